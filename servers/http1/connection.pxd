cimport cython
from ...runtime.deadlines cimport DeadlineQueue
from ...runtime.request_greenlet cimport RequestGreenlet
from ..upgrade cimport Upgrade
from .exchange cimport Exchange, ExchangeContext
from .head cimport Head, HeadParser, ScanState
from .request_body cimport RequestBody
from ..tls.channel cimport TlsContext
from ..transport cimport Transport


@cython.final
cdef class Engine(ExchangeContext):
    cdef Head head                 # the head being parsed
    cdef object queue              # connections whose request waits for admission
    cdef DeadlineQueue head_queue
    cdef DeadlineQueue idle_queue
    cdef DeadlineQueue shake_queue
    cdef object record             # the access log's record, or None
    cdef public object upgrader    # called as upgrader(environ) for an Upgrade field: an Upgrade, or None
    cdef public object forwarded   # called as forwarded(environ, peer) for a proxy's fields; None leaves them alone
    cdef public object on_room     # called when there may be room again, while accepting pauses for want of it
    cdef public object on_refuse   # called as on_refuse(environ, status, reason), or None
    cdef public object on_shake_failed  # called as on_shake_failed(host, port, reason), or None
    cdef readonly int max_connections
    cdef readonly int max_in_flight
    cdef readonly int max_queued
    cdef readonly int in_flight
    cdef readonly int queued       # how many are in the queue
    cdef readonly unsigned long long accepted
    cdef readonly unsigned long long requests
    cdef readonly unsigned long long rejected
    cdef readonly unsigned long long timed_out
    cdef readonly unsigned long long failed_handshakes

    cdef public bint patient       # connections that were used a moment ago are drained without haste
    cdef bint pausing              # accepting pauses until there is room
    cdef bint admitting            # `admit` has been put off to the loop's next turn
    cdef int admit_later(self) except -1
    cdef bint must_queue(self) noexcept
    cdef bint is_full(self) noexcept
    cdef bint make_room(self) except *
    cdef int end_pause(self) except -1
    cdef int finished_one(self) except -1


@cython.final
cdef class Endpoint:
    cdef Engine engine
    cdef TlsContext tls            # of every connection, or None
    cdef readonly HeadParser parser


@cython.final
cdef class Connection(Transport):
    cdef Engine engine
    cdef Endpoint endpoint
    cdef Exchange exchange         # the one that runs or is queued
    cdef RequestBody unread        # what is being drained
    cdef str remote_host
    cdef str remote_port
    cdef ScanState scan
    cdef int state
    cdef bint in_head              # part of a head has arrived
    cdef bint dispatching          # the hub callback that started the greenlet is still beneath it
    cdef size_t lingered           # bytes thrown away after the last response
    cdef double started            # when the request was dispatched, if the engine is timed
    cdef double started_at         # the same, by the wall clock

    cdef int open(self, Endpoint endpoint, int fd, str host, str port) except -1
    cdef int begin_handshake(self) except -1
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
