from ..transport cimport IoContext, Transport, iovec

cdef enum State:
    OPEN
    CLOSING    # our close frame has been queued; the peer's has not come
    ENDING     # no more frames are read, and after those that are queued none is sent
    CLOSED


cdef class Flusher:
    cdef IoContext io
    cdef size_t limit
    cdef object due                # those whose backlog is to be flushed by the hub
    cdef int flush_soon(self, FrameSender sender) except -1
    cdef int flush_some(self, Py_ssize_t most) except -1


cdef class FrameSender(Transport):
    cdef Flusher flusher
    cdef list backlog              # bytes that have not been given to the kernel yet, or None
    cdef size_t backlog_start      # of its first
    cdef size_t backlog_bytes
    cdef list senders              # greenlets that wait for room in the backlog, or None
    cdef bytes pong                # to be sent after the backlog
    cdef State state

    cdef int lost(self) except -1
    cdef int crash(self, BaseException error) except -1
    cdef int backlog_sent(self) except -1
    cdef int settle_later(self) except -1
    cdef int wait_for_room(self) except -1
    cdef int put_frame(self, int first_byte, const char* data, size_t size) except -1
    cdef int put_control(self, int opcode, bytes payload) except -1
    cdef int put(self, iovec* pieces, int count) except -1
    cdef bint put_shared(self, bytes frame) except *
    cdef int put_off(self, bytes data) except -1
    cdef int flush(self) except -1
    cdef bint has_room(self) noexcept
    cdef int drop_sent(self, size_t size) except -1
