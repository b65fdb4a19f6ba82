cimport cython
from ...runtime.deadlines cimport DeadlineQueue
from ..transport cimport Transport
from .exchange cimport ExchangeContext
from .head cimport Head


cdef class Admissible(Transport):
    cdef int admitted(self) except -1


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
    cdef public object on_fewer    # called soon after connections were closed, or None
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
    cdef bint telling              # `tell_fewer` has been put off to the loop
    cdef bint admitting            # `admit` has been put off to the loop's next turn
    cdef int admit_later(self) except -1
    cdef bint must_queue(self) noexcept
    cdef bint is_full(self) noexcept
    cdef bint make_room(self) except *
    cdef int end_pause(self) except -1
    cdef int finished_one(self) except -1
