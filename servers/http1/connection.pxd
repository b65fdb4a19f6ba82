cimport cython
from ...runtime.request_greenlet cimport RequestGreenlet
from ..upgrade cimport Upgrade
from .engine cimport Admissible, Engine
from .exchange cimport Exchange
from .head cimport Head, HeadParser, ScanState
from .request_body cimport RequestBody
from ..tls.channel cimport TlsContext


@cython.final
cdef class Connection(Admissible):
    cdef Engine engine
    cdef HeadParser parser
    cdef Exchange exchange         # the one that runs or is queued
    cdef RequestBody unread        # what is being drained
    cdef bytes rest                # of a response, which the hub sends when there is room, or None
    cdef Exchange ended            # the one whose response that is, if it ended after that, or None
    cdef str remote_host
    cdef str remote_port
    cdef ScanState scan
    cdef int state
    cdef bint in_head              # part of a head has arrived
    cdef bint dispatching          # the hub callback that started the greenlet is still beneath it
    cdef size_t lingered           # bytes thrown away after the last response
    cdef double started            # when the request was dispatched, if the engine is timed
    cdef double started_at         # the same, by the wall clock

    cdef int open(self, Engine engine, HeadParser parser, TlsContext tls, int fd, str host, str port) except -1
    cdef int begin_handshake(self, TlsContext tls) except -1
    cdef int shake(self) except -1
    cdef int end_handshake(self) except -1
    cdef int fail_handshake(self, str reason) except -1
    cdef bint is_reset(self) noexcept
    cdef bint is_in_use(self) noexcept
    cdef int fail(self, BaseException error) except -1
    cdef int read_heads(self) except -1
    cdef int serve_buffered(self) except -1
    cdef int begin(self, const char* data, size_t size, bint buffered) except -1
    cdef int admit(self, Head head) except -1
    cdef int heed_proxy(self, dict environ) except -1
    cdef int offer_upgrade(self, dict environ) except -1
    cdef int dispatch(self) except -1
    cdef int run_exchange(self) except -1
    cdef int keep_rest(self, bytes rest) except -1
    cdef int begin_sending(self) except -1
    cdef int send_rest(self) except -1
    cdef int end_rest(self) except -1
    cdef int conclude(self, Exchange exchange) except -1
    cdef int end_exchange(self, Exchange exchange) except -1
    cdef int drain(self) except -1
    cdef int ready_for_next(self) except -1
    cdef int refuse(self, int status, str reason, bytes extra, dict environ=*) except -1
    cdef int linger(self) except -1
    cdef int discard(self) except -1
    cdef int record(self, dict environ, str status, sent, double at, double first_byte, double total) except -1


@cython.final
cdef class ConnectionGreenlet(RequestGreenlet):
    cdef Connection connection
