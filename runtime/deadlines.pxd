from cpython.object cimport PyObject


cdef struct Link:
    Link* prev
    Link* next
    PyObject* owner
    double since


cdef class Timed:
    cdef Link link_in
    cdef Link link_out
    cdef int expired(self, DeadlineQueue queue) except -1


cdef class DeadlineQueue:
    cdef Link ends
    cdef Sweeper sweeper
    cdef readonly double timeout
    cdef void add(self, Link* link) noexcept
    cdef Timed first(self)
    cdef int sweep(self, double now) except -1


cdef class Sweeper:
    cdef object loop
    cdef object timer
    cdef list queues
    cdef bint running
    cdef double interval


cdef void unlink(Link* link) noexcept
cdef void detach_all(Link* ends) noexcept
cdef double coarse_now() noexcept nogil
