cimport cython
from ..runtime.deadlines cimport Timed
from .out_buffer cimport OutBuffer
from .sockets cimport iovec


cdef class TurnSender(Timed):
    cdef size_t held       # how many of its bytes wait in the TurnOutput

    cdef Py_ssize_t transmit(self, iovec* pieces, int count, int flags) noexcept
    cdef int undelivered(self, bytes rest) except -1


@cython.final
cdef class TurnOutput:
    cdef object loop
    cdef object callback   # `at_end`, bound once
    cdef OutBuffer out     # what waits, in the order of `senders`
    cdef list senders
    cdef double time       # the longest that anything waits for something else to be ready, in seconds
    cdef size_t limit      # how many bytes wait at the most
    cdef double since      # when the first of it was put here
    cdef double last       # when something was last ready to be sent
    cdef int pid           # the process that it waits in
    cdef bint due          # the hub will call `at_end`
    cdef bint sending      # `flush` is at work

    cdef bint take(self, TurnSender sender, const char* data, size_t size) except *
    cdef int flush(self) except -1
    cdef int flush_if_late(self) except -1
    cdef list send_all(self)
