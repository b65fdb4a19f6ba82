cimport cython
from .chunked cimport ChunkedDecoder
from ...runtime.deadlines cimport DeadlineQueue
from ..transport cimport Transport


@cython.final
cdef class RequestBody:
    cdef Transport transport
    cdef DeadlineQueue patience      # of each wait for more
    cdef ChunkedDecoder decoder      # None when the length is known
    cdef long long remaining         # bytes of a body of known length not yet received
    cdef unsigned long long received # payload of a chunked body
    cdef size_t skipped              # bytes thrown away after the response
    cdef unsigned long long limit    # 0: none
    cdef bint continue_due           # the peer waits for 100 (Continue) before it sends
    cdef bint busy                   # a greenlet is inside a read
    cdef object failure              # the exception that every further read raises again
    cdef bytes ahead                 # read ahead for lines, from `ahead_start`
    cdef Py_ssize_t ahead_start

    cdef bint is_complete(self) noexcept
    cdef bint is_drainable(self) noexcept
    cdef bint is_broken(self) noexcept
    cdef int skip(self, Transport transport) except -1
    cdef void detach(self) noexcept
    cdef Py_ssize_t fill(self, char* into, size_t room) except -1
    cdef Py_ssize_t fill_chunked(self, char* into, size_t room) except -1
    cdef Py_ssize_t fetch(self, char* into, size_t room) except -1
    cdef int fail(self, object failure) except -1
    cdef int enter(self) except -1
    cdef bytes read_bytes(self, Py_ssize_t want)
    cdef bytes read_line(self, Py_ssize_t want)
    cdef int put_back(self, bytes data) except -1
    cdef bytes read_exactly(self, Py_ssize_t size)
    cdef Transport require_open(self)


cdef RequestBody make_body(
    Transport transport, DeadlineQueue patience, long long content_length, bint chunked, bint expect, long long limit
)
