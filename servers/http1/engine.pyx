"""What the connections of a server share, and which of their requests may run."""

cimport cython

from ...runtime.deadlines cimport DeadlineQueue, coarse_now, unlink
from ..transport cimport Transport
from .head cimport Head

from collections import deque

from ...runtime import limits

cdef int PIPELINE_BATCH = limits.PIPELINE_BATCH
cdef double EVICTION_AGE = limits.EVICTION_AGE


cdef class Admissible(Transport):
    """A connection whose request may have to wait for admission."""

    cdef int admitted(self) except -1:
        """On the hub: the turn of the request has come."""
        raise NotImplementedError


@cython.final
cdef class Engine(ExchangeContext):
    """What the connections of one server share: its settings, its application, its counters, and admission."""

    def __cinit__(self, settings, *_args, **_kwargs):
        self.head_queue = DeadlineQueue(self.sweeper, settings.head_timeout)
        self.idle_queue = DeadlineQueue(self.sweeper, settings.keepalive_timeout or settings.head_timeout)
        self.shake_queue = DeadlineQueue(self.sweeper, settings.handshake_timeout)
        self.head = Head.__new__(Head)
        self.queue = deque()

    def __init__(self, settings, app, on_error, record=None, int max_connections=0):
        self.app = app
        self.on_error = on_error
        self.record = record
        self.timed = record is not None
        self.server_line = settings.server_line
        self.max_body = settings.max_body
        self.max_connections = max_connections
        self.max_in_flight = settings.max_in_flight
        self.max_queued = settings.max_queued

    cdef bint is_full(self) noexcept:
        return 0 < self.max_connections <= self.open_connections

    cdef bint make_room(self) except *:
        """Close the connection that has been idle longest, if it has been for a while; whether there is room then."""
        cdef double now = coarse_now()
        cdef Transport idle = self.idle_queue.first()
        while idle is not None and self.is_full() and now - idle.link_in.since >= EVICTION_AGE:
            unlink(&idle.link_in)
            idle.wind_down()  # one whose request has just arrived is served instead
            idle = self.idle_queue.first()
        return not self.is_full()

    cdef int end_pause(self) except -1:
        """There may be room again."""
        self.pausing = False
        if self.on_room is not None:
            self.loop.run_callback(self.on_room)
        return 0

    cdef bint must_queue(self) noexcept:
        return 0 < self.max_in_flight <= self.in_flight

    cdef int finished_one(self) except -1:
        """A request has ended: admit one that waits, and tell who waits for the last one."""
        self.in_flight -= 1
        if self.queued:
            self.admit_later()
        if self.in_flight == 0 and self.on_idle is not None:
            self.loop.run_callback(self.on_idle)
        return 0

    cdef int closed_one(self) except -1:
        ExchangeContext.closed_one(self)
        if self.pausing:
            self.end_pause()
        if self.on_fewer is not None and not self.telling:
            self.telling = True
            self.loop.run_callback(self.tell_fewer)
        return 0

    def tell_fewer(self):
        """On the hub, once for all the connections that were closed since the last time."""
        self.telling = False
        if self.on_fewer is not None:  # accepting may have ended meanwhile
            self.on_fewer()

    def admit(self):
        """On the hub: start requests that wait, as far as the limit allows, up to a batch."""
        cdef Admissible connection
        cdef int admitted = 0
        self.admitting = False
        while self.queued and not self.must_queue():
            if admitted == PIPELINE_BATCH:
                break
            admitted += 1
            connection = self.queue.popleft()
            self.queued -= 1
            connection.admitted()
        self.admit_later()

    cdef int admit_later(self) except -1:
        """Have what waits admitted in the loop's next turn."""
        if self.queued and not self.admitting and not self.must_queue():
            self.admitting = True
            self.later(self.admit)
        return 0
