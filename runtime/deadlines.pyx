"""Deadlines that are swept, not timed one by one.

Each phase of a connection (head, body, write, keep-alive) has one constant timeout. A queue per phase, to which links are
only ever added at the end, is therefore already in order of expiry, and a periodic sweep looks at its head alone: no timer
is started or stopped for a request. Adding and removing are a few pointer writes.

A `Timed` object has two links, since it may wait for input and for room to write at the same time; each is in at most
one queue. Links point at their owners without holding a reference: the owner's deallocation unlinks it.
"""


cdef extern from *:
    """
    #include <time.h>
    /* The coarse clock advances with the kernel's tick (1 to 10 ms) and costs a few nanoseconds. */
    #ifdef CLOCK_MONOTONIC_COARSE
    #define HUBLET_CLOCK CLOCK_MONOTONIC_COARSE
    #else
    #define HUBLET_CLOCK CLOCK_MONOTONIC
    #endif
    static double hublet_coarse_now(void) {
        struct timespec now;
        clock_gettime(HUBLET_CLOCK, &now);
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    }
    """
    double hublet_coarse_now() noexcept nogil


cdef double coarse_now() noexcept nogil:
    """Seconds on a monotonic clock, a few milliseconds coarse."""
    return hublet_coarse_now()


cdef void unlink(Link* link) noexcept:
    """Take `link` out of its queue; nothing happens if it is in none."""
    if link.next != NULL:
        link.prev.next = link.next
        link.next.prev = link.prev
        link.prev = link.next = NULL


cdef void detach_all(Link* ends) noexcept:
    """Take every link out of the ring `ends`, which is about to go: a cycle may be collected in any order."""
    while ends.next != ends:
        unlink(ends.next)


cdef class Timed:
    """Something that can wait under a deadline. Subclasses say in `expired` what happens when it passes."""

    def __cinit__(self):
        self.link_in.prev = self.link_in.next = NULL
        self.link_out.prev = self.link_out.next = NULL
        self.link_in.owner = self.link_out.owner = <PyObject*>self

    def __dealloc__(self):
        unlink(&self.link_in)
        unlink(&self.link_out)

    cdef int expired(self, DeadlineQueue queue) except -1:
        """Called on the hub when this object's time in `queue` is over; it has already been taken out."""
        return 0


cdef class DeadlineQueue:
    """Everything that waits under one constant timeout, in seconds, oldest first."""

    def __cinit__(self, Sweeper sweeper not None, double timeout):
        self.sweeper = sweeper
        self.timeout = timeout
        self.ends.prev = self.ends.next = &self.ends
        sweeper.queues.append(self)
        sweeper.interval = min(sweeper.interval, max(timeout / 8, 0.01))

    def __dealloc__(self):
        detach_all(&self.ends)

    cdef void add(self, Link* link) noexcept:
        """Start the time of `link` now, wherever it waited before."""
        unlink(link)
        link.since = hublet_coarse_now()
        link.prev = self.ends.prev
        link.next = &self.ends
        link.prev.next = link
        self.ends.prev = link
        if not self.sweeper.running:
            self.sweeper.start()

    cdef Timed first(self):
        """The one that has waited longest, or None."""
        if self.ends.next == &self.ends:
            return None
        return <Timed>self.ends.next.owner

    cdef int sweep(self, double now) except -1:
        """Expire what is due at `now`; returns whether anything is still waiting."""
        cdef Link* link
        cdef Timed owner
        # What expires may add itself to this queue again, at the end and not yet due: the loop ends there.
        while self.ends.next != &self.ends and now - self.ends.next.since >= self.timeout:
            link = self.ends.next
            owner = <Timed>link.owner
            unlink(link)
            try:
                owner.expired(self)
            except BaseException as error:
                self.sweeper.loop.handle_error(owner, type(error), error, error.__traceback__)
        return self.ends.next != &self.ends


cdef class Sweeper:
    """Sweeps its queues on a gevent loop, from a timer that runs only while something waits."""

    def __cinit__(self, loop):
        self.loop = loop
        self.queues = []
        self.interval = 1.0

    def start(self):
        """Start the timer. It does not keep the loop running by itself."""
        if self.timer is None:
            self.timer = self.loop.timer(self.interval, self.interval, ref=False)
        self.running = True
        self.timer.start(self.sweep)

    def sweep(self):
        """Expire what is due in every queue, and stop the timer when all of them are empty."""
        cdef DeadlineQueue queue
        cdef double now = hublet_coarse_now()
        cdef bint waiting = False
        for queue in self.queues:
            if queue.sweep(now):
                waiting = True
        if not waiting:
            self.stop()

    def stop(self):
        """Stop and free the timer."""
        self.running = False
        if self.timer is not None:
            self.timer.stop()
            self.timer.close()
            self.timer = None
