"""What one turn of the loop sends: answers that are ready in quick succession wait for each other, and go out together.

A busy server finds many of its connections readable at once. If each answer went out as soon as it is ready, it would
wake the peer, or the proxy, on a processor that has just gone idle again, and waking one costs the sender an interrupt:
in a virtual machine more than the whole of an HTTP request. Answers that are sent together wake it once.

Nothing waits in vain: an answer goes out at once unless the loop has more events to tell of in this turn, and answers
come so fast that others can be expected within limits.GATHER_TIME. What waits is sent when that time is over, at the
turn's last event, or at the latest when the hub is about to look for events again.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize

from .sockets cimport GONE, WOULD_BLOCK

cdef extern from *:
    """
    #include <time.h>
    #include <unistd.h>
    static double hublet_now(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + now.tv_nsec * 1e-9;
    }
    """
    double precise_now "hublet_now"() noexcept
    int getpid() noexcept


cdef class TurnSender(Timed):
    """A connection whose bytes may wait for the end of the turn; before it sends others, it has those flushed."""

    cdef Py_ssize_t transmit(self, iovec* pieces, int count, int flags) noexcept:
        """Send what the kernel takes of `pieces`; the number of bytes, WOULD_BLOCK, or GONE."""
        return WOULD_BLOCK

    cdef int undelivered(self, bytes rest) except -1:
        """The kernel has not taken `rest`, which must be sent next; None if it never will be. Raises nothing."""
        raise NotImplementedError


@cython.final
cdef class TurnOutput:
    """What waits to be sent in this turn of the loop, for all connections of a server.

    It waits for `time` seconds, and is sent when there are `limit` bytes of it.
    """

    def __init__(self, loop not None, double time, size_t limit):
        self.loop = loop
        self.time = time
        self.limit = limit
        self.callback = self.at_end
        self.out = OutBuffer()
        self.senders = []

    cdef bint take(self, TurnSender sender, const char* data, size_t size) except *:
        """Take the `size` bytes at `data` that `sender` has ready now, if they are to wait; False if not: send them."""
        cdef double now = precise_now()
        cdef bint quick = now - self.last < self.time
        cdef bint pending
        self.last = now
        if self.sending or not (quick or self.senders):
            return False
        pending = <int>self.loop.pendingcnt > 0
        if not (pending or self.senders):
            return False
        if sender.held and self.senders[-1] is not sender:
            return False  # the kernel may not take all of what it has here, and that would have to go out first
        if not self.senders:
            self.since = now
            self.pid = getpid()  # a child may go on serving
            if not self.due:
                self.loop.run_callback(self.callback)
                self.due = True
        self.out.append(data, size)
        if not sender.held:
            self.senders.append(sender)
        sender.held += size
        if not pending or self.out.size >= self.limit or now - self.since >= self.time:
            self.flush()
        return True

    def at_end(self):
        """On the hub, before it looks for events again."""
        self.due = False
        self.flush()

    cdef int flush_if_late(self) except -1:
        """Send what waits if it has waited long enough: something else is about to run."""
        if self.senders and precise_now() - self.since >= self.time:
            self.flush()
        return 0

    cdef int flush(self) except -1:
        """Send what waits."""
        cdef TurnSender sender
        cdef list late = None
        if self.sending or not self.senders:
            return 0
        self.sending = True
        try:
            late = self.send_all()
        finally:
            self.senders.clear()
            self.out.size = 0
            self.sending = False
        if late is not None:
            for sender, rest in late:
                sender.undelivered(rest)
        return 0

    cdef list send_all(self):
        """Give the kernel what waits; what it has not taken, with its senders, or None if it has taken all.

        A process that was forked off has a copy of what waits, which is not its own to send.
        """
        cdef TurnSender sender
        cdef iovec piece
        cdef Py_ssize_t sent
        cdef size_t start = 0
        cdef list late = None
        cdef bint own = getpid() == self.pid
        for sender in self.senders:
            piece.iov_base = self.out.data + start
            piece.iov_len = sender.held
            start += sender.held
            sender.held = 0
            sent = sender.transmit(&piece, 1, 0) if own else <Py_ssize_t>piece.iov_len
            if sent == <Py_ssize_t>piece.iov_len:
                continue
            if late is None:
                late = []
            late.append((sender, None if sent == GONE else unsent(&piece, 0 if sent == WOULD_BLOCK else sent)))
        return late


cdef bytes unsent(iovec* piece, size_t sent):
    """What is left of `piece` after its first `sent` bytes."""
    return PyBytes_FromStringAndSize(<char*>piece.iov_base + sent, piece.iov_len - sent)
