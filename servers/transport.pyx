"""The socket under a connection: direct `recv` and `send` on a descriptor, and the waits of greenlets for either.

Hub callbacks never wait: they call `receive` and `transmit`, which return WOULD_BLOCK. Request greenlets call the
methods that wait (`wait_readable`, `send*`): these leave the greenlet's name here, switch to the hub and are woken by the
watcher's callback, by a deadline, or by an exception that somebody throws into the greenlet.

There is no output buffer here: what does not fit the kernel's makes its greenlet wait. The input buffer holds what
was received beyond what has been used, so it is empty on an idle connection and then takes no memory.

A protocol is a subclass. Another one may take the connection over in the middle (an HTTP upgrade): `hand_over` moves the
descriptor, the unused input and the place among the server's connections to the successor.

The context's scratch buffers are shared by all connections of a server. Their content is valid until the next switch,
so nothing that might run Python code (and with it a switch) may come between filling and using one.

A connection with TLS has a channel, through which all of its bytes go. What the channel has received and not yet been
asked for is unknown to the kernel: while the read watcher is started, `announce` takes its place.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

import os
from functools import partial

from gevent import GreenletExit, get_hub
from gevent.hub import Waiter

from ..runtime.deadlines cimport DeadlineQueue, Link, Sweeper, detach_all, unlink
from ..runtime.request_greenlet cimport current, greenlet, resume
from .out_buffer cimport OutBuffer
from .sockets cimport SHUT_WR, c_recv, c_send, c_sendmsg, c_shutdown, msghdr
from .turn_output cimport TurnOutput, TurnSender

from ..runtime import limits
from ..runtime.errors import ClientDisconnected

cdef extern from *:
    """
    #include <sys/ioctl.h>
    #ifdef __linux__
    #include <linux/sockios.h>
    #endif
    /* How many bytes wait in the kernel for the peer to take them; 0 where the kernel does not tell. */
    static int hublet_unsent(int fd) {
        int unsent = 0;
    #if defined(SIOCOUTQ)
        if (ioctl(fd, SIOCOUTQ, &unsent) < 0) unsent = 0;
    #elif defined(SO_NWRITE)
        socklen_t size = sizeof(unsent);
        if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &unsent, &size) < 0) unsent = 0;
    #endif
        return unsent;
    }
    """
    int hublet_unsent(int fd) noexcept

cdef extern from "<unistd.h>":
    int c_close "close"(int fd) noexcept

cdef size_t RECV_SIZE = limits.RECV_SIZE
cdef size_t FAIRNESS_BYTES = limits.FAIRNESS_BYTES
cdef long long SENDFILE_SIZE = limits.SENDFILE_SIZE


cdef class IoContext:
    """What the connections of one server share: the hub, the scratch buffers, deadlines, and the list of them all."""

    def __cinit__(self, settings, *_args, **_kwargs):
        self.transports.prev = self.transports.next = &self.transports
        self.hub = get_hub()
        self.loop = self.hub.loop
        self.scratch = <char*>malloc(RECV_SIZE)
        if self.scratch == NULL:
            raise MemoryError()
        self.out = OutBuffer()
        self.turn = TurnOutput(self.loop, limits.GATHER_TIME, limits.GATHER_BYTES)
        self.sweeper = Sweeper(self.loop)
        self.write_queue = DeadlineQueue(self.sweeper, settings.write_timeout)
        self.linger_queue = DeadlineQueue(self.sweeper, limits.LINGER_TIMEOUT)

    def __dealloc__(self):
        detach_all(&self.transports)
        free(self.scratch)

    def open_transports(self):
        """A list of the open connections."""
        cdef Link* link = self.transports.next
        found = []
        while link != &self.transports:
            found.append(<object>link.owner)
            link = link.next
        return found

    def drain(self):
        """On the hub: stop keeping connections alive. Idle ones are closed now, the others when they have finished."""
        self.draining = True
        for each in self.open_transports():
            (<Transport>each).wind_down()

    def abort_all(self):
        """On the hub: kill what still runs, and close every connection."""
        self.stopping = True
        for each in self.open_transports():
            (<Transport>each).abort()
        for each in self.open_transports():
            (<Transport>each).close()
        self.sweeper.stop()
        self.stopping = False

    cdef int closed_one(self) except -1:
        """A connection has been closed."""
        self.open_connections -= 1
        if self.open_connections == 0 and self.on_idle is not None:
            self.loop.run_callback(self.on_idle)
        return 0

    cdef int later(self, object callback) except -1:
        """Call `callback()` on the hub when the loop has looked for events again.

        `loop.run_callback` would call it in the same pass, up to fifty times over, before anybody else has a turn.
        """
        if self.deferred is None:
            self.deferred = []
            self.check_watcher = self.loop.check()
            self.check_watcher.start(self.run_deferred)
            self.idle_watcher = self.loop.idle()  # an active one keeps the loop from waiting for events
            self.idle_watcher.start(do_nothing)
        self.deferred.append(callback)
        return 0

    def run_deferred(self):
        """The check watcher's callback, after each look for events."""
        cdef list callbacks = self.deferred
        self.deferred = None
        for watcher in (self.check_watcher, self.idle_watcher):
            watcher.stop()
            watcher.close()
        self.check_watcher = self.idle_watcher = None
        for callback in callbacks:
            try:
                callback()
            except BaseException as error:
                self.hub.handle_error(callback, type(error), error, error.__traceback__)


def do_nothing():
    """The callback of a watcher that only has to be active."""


cdef class Transport(TurnSender):
    """A connected, non-blocking stream socket, owned by descriptor number."""

    def __cinit__(self):
        self.fd = -1
        self.link_all.prev = self.link_all.next = NULL
        self.link_all.owner = <PyObject*>self

    def __dealloc__(self):
        unlink(&self.link_all)
        free(self.buffer)
        if self.fd >= 0:
            c_close(self.fd)

    cdef int enter(self, IoContext context, int fd) except -1:
        """Own the descriptor of a new connection."""
        cdef Link* ends = &context.transports
        self.context = context
        self.fd = fd
        self.link_all.prev = ends.prev
        self.link_all.next = ends
        ends.prev.next = &self.link_all
        ends.prev = &self.link_all
        context.open_connections += 1
        return 0

    cdef int hand_over(self, Transport successor) except -1:
        """Let `successor`, which is new, have the connection: it has not been closed, and this object is done with."""
        cdef int fd = self.fd
        successor.worker, self.worker = self.worker, None
        successor.buffer = self.buffer
        successor.buffer_start = self.buffer_start
        successor.buffer_end = self.buffer_end
        successor.buffer_capacity = self.buffer_capacity
        successor.gone = self.gone
        successor.tls, self.tls = self.tls, None
        self.buffer = NULL
        self.buffer_start = self.buffer_end = self.buffer_capacity = 0
        self.leave()
        self.fd = -1
        self.context.open_connections -= 1
        return successor.enter(self.context, fd)

    # What subclasses do when the server stops, on the hub.

    cdef int wind_down(self) except -1:
        """Close the connection if it is idle; otherwise it ends when it has finished."""
        return 0

    cdef int abort(self) except -1:
        """Kill what the application runs for this connection; `close` follows."""
        if self.worker is not None:
            self.worker.throw(GreenletExit)
        return 0

    cdef int close(self) except -1:
        """Close the connection now, if it is open."""
        return self.release()

    # From the hub or a greenlet, never waiting.

    cdef Py_ssize_t receive(self, char* into, size_t size) noexcept:
        """Receive up to `size` bytes; 0 at the peer's end of stream, WOULD_BLOCK, or GONE."""
        cdef Py_ssize_t got
        if self.gone:
            return GONE
        if self.tls is not None:
            return self.receive_decrypted(into, size)
        while True:
            got = c_recv(self.fd, into, size, 0)
            if got >= 0:
                return got
            if errno == EAGAIN:  # EWOULDBLOCK is the same number on Linux and macOS
                return WOULD_BLOCK
            if errno != EINTR:
                self.gone = True
                return GONE

    cdef Py_ssize_t receive_decrypted(self, char* into, size_t size) noexcept:
        cdef Py_ssize_t got = self.tls.receive(self.fd, into, size)
        if got == GONE:
            self.gone = True
        elif self.reading and self.tls.has_input():
            try:
                self.announce()
            except BaseException:  # for want of memory: the rest would be forgotten
                self.gone = True
                return GONE
        return got

    cdef int announce(self) except -1:
        """Have `on_readable` called for what the channel has, of which the kernel knows nothing."""
        if not self.tls.announced:
            self.tls.announced = True
            self.context.later(self.on_announced)
        return 0

    def on_announced(self):
        """On the hub, when it was left for later: there may still be something in the channel, and somebody to read it."""
        if self.tls is not None:
            self.tls.announced = False
            if self.reading and self.tls.has_input():
                self.on_readable()

    cdef Py_ssize_t transmit(self, iovec* pieces, int count, int flags) noexcept:
        """Send what the kernel takes of `pieces`; the number of bytes, WOULD_BLOCK, or GONE.

        What was not sent must be sent next: with TLS it may have been encrypted already.
        """
        cdef msghdr message
        cdef Py_ssize_t sent
        if self.gone:
            return GONE
        if self.tls is not None:
            sent = self.tls.transmit(self.fd, pieces, count, flags)
            if sent == GONE:
                self.gone = True
            return sent
        while True:
            if count == 1:
                sent = c_send(self.fd, pieces.iov_base, pieces.iov_len, flags | MSG_NOSIGNAL)
            else:
                memset(&message, 0, sizeof(message))
                message.msg_iov = pieces
                message.msg_iovlen = count
                sent = c_sendmsg(self.fd, &message, flags | MSG_NOSIGNAL)
            if sent >= 0:
                return sent
            if errno == EAGAIN:  # EWOULDBLOCK is the same number on Linux and macOS
                return WOULD_BLOCK
            if errno != EINTR:
                self.gone = True
                return GONE

    cdef void part(self) noexcept:
        """Nothing is received any more, and what is sent next is the last: with TLS its close_notify goes with it."""
        if self.tls is not None:
            self.tls.parting = True

    cdef int end_stream(self) except -1:
        """Send no more; what was sent is complete. What the peer still sends can be received."""
        if self.held:
            self.context.turn.flush()
        if self.tls is not None and not self.torn:
            self.tls.end(self.fd)
        c_shutdown(self.fd, SHUT_WR)
        return 0

    cdef size_t buffered(self) noexcept:
        """How many received bytes have not been used."""
        return self.buffer_end - self.buffer_start

    cdef int keep(self, const char* data, size_t size) except -1:
        """Put `size` received bytes behind those that are buffered."""
        cdef size_t used = self.buffer_end - self.buffer_start
        cdef size_t capacity
        cdef char* larger
        if size == 0:
            return 0
        if self.buffer_end + size > self.buffer_capacity:
            if self.buffer_start:
                memmove(self.buffer, self.buffer + self.buffer_start, used)
                self.buffer_start = 0
                self.buffer_end = used
            if used + size > self.buffer_capacity:
                capacity = max(2 * self.buffer_capacity, used + size)
                larger = <char*>realloc(self.buffer, capacity)
                if larger == NULL:
                    raise MemoryError()
                self.buffer = larger
                self.buffer_capacity = capacity
        memcpy(self.buffer + self.buffer_end, data, size)
        self.buffer_end += size
        return 0

    cdef size_t take(self, char* into, size_t size) noexcept:
        """Move up to `size` buffered bytes to `into`; returns how many."""
        size = min(size, self.buffer_end - self.buffer_start)
        if size:
            memcpy(into, self.buffer + self.buffer_start, size)
            self.use(size)
        return size

    cdef void use(self, size_t size) noexcept:
        """Drop the first `size` buffered bytes; an empty buffer is freed."""
        self.buffer_start += size
        if self.buffer_start == self.buffer_end:
            free(self.buffer)
            self.buffer = NULL
            self.buffer_start = self.buffer_end = self.buffer_capacity = 0

    cdef int start_reading(self) except -1:
        """Have `on_readable` called while there is something to receive."""
        if not self.reading and self.fd >= 0:
            if self.read_watcher is None:
                self.read_watcher = self.context.loop.io(self.fd, READ)
            self.read_watcher.start(self.on_readable)
            self.reading = True
            if self.tls is not None and self.tls.has_input():
                self.announce()
        return 0

    cdef int stop_reading(self) except -1:
        """Leave what arrives in the kernel, which slows the peer down."""
        if self.reading:
            self.read_watcher.stop()
            self.reading = False
        return 0

    def on_readable(self):
        """The read watcher's callback, on the hub."""
        cdef greenlet reader = self.reader
        if reader is None:
            self.stop_reading()
        else:
            self.reader = None
            unlink(&self.link_in)
            resume(reader)

    def on_writable(self):
        """The write watcher's callback, on the hub."""
        cdef greenlet writer = self.writer
        self.write_watcher.stop()
        if writer is not None:
            self.writer = None
            unlink(&self.link_out)
            resume(writer)

    cdef int watch_for_room(self) except -1:
        """Have `on_writable` called when the kernel takes more, and `expired` if it does not in time."""
        if self.write_watcher is None:
            self.write_watcher = self.context.loop.io(self.fd, WRITE)
        self.write_watcher.start(self.on_writable)
        self.note_unsent()
        self.context.write_queue.add(&self.link_out)
        return 0

    # From a greenlet, waiting.

    cdef bint wait_readable(self, DeadlineQueue queue) except -1:
        """Wait until there is something to receive; False when that takes longer than `queue` allows, if there is one."""
        cdef greenlet waiting = current()
        self.late_in = False
        self.moved = 0
        self.reader = waiting
        self.start_reading()
        if queue is not None:
            queue.add(&self.link_in)
        try:
            self.context.hub.switch()
        finally:
            if self.reader is waiting:  # not woken by us but by an exception; otherwise the link is no longer ours
                self.reader = None
                unlink(&self.link_in)
            self.forget_dismissed(waiting)
        return not self.late_in

    cdef int wait_writable(self) except -1:
        """Wait until the kernel takes more; ClientDisconnected when the peer takes nothing for too long."""
        cdef greenlet waiting = current()
        self.late_out = False
        self.moved = 0
        self.watch_for_room()
        self.writer = waiting
        try:
            self.context.hub.switch()
        finally:
            if self.writer is waiting:
                self.writer = None
                unlink(&self.link_out)
                self.write_watcher.stop()
            self.forget_dismissed(waiting)
        if self.late_out:
            self.gone = True
            raise ClientDisconnected(f"the peer took no byte within {self.context.write_queue.timeout:g} s")
        return 0

    cdef int send(self, const char* data, size_t size) except -1:
        """Send all of `data`, which may lie in a scratch buffer, waiting as needed."""
        cdef iovec piece
        piece.iov_base = <void*>data
        piece.iov_len = size
        return self.send_pieces(&piece, 1, 1, 0)

    cdef int send_in_turn(self, const char* data, size_t size) except -1:
        """Send all of `data`, the end of an answer, at once or together with what others send in this turn of the loop."""
        if self.writer is None and not self.torn and self.context.turn.take(self, data, size):
            return 0
        return self.send(data, size)

    cdef int send_pieces(self, iovec* pieces, int count, size_t volatile_pieces, int flags) except -1:
        """Send all of `pieces` in order, waiting as needed.

        The first `volatile_pieces` of them may lie in a scratch buffer; they are copied before the first wait.
        Raises ClientDisconnected. Whatever is raised, the connection is torn then: how much went out is not known
        above, and nothing may follow it.
        """
        cdef Py_ssize_t sent
        cdef bytes saved
        if self.writer is not None:
            raise RuntimeError("another greenlet is already sending this response")
        if self.torn:
            raise ClientDisconnected("the response was cut short before; nothing can follow it")
        while True:
            sent = self.transmit(pieces, count, flags)
            if sent == GONE:
                self.torn = True
                raise ClientDisconnected("the peer has closed the connection")
            if sent > 0:
                self.moved += sent
                while count and <size_t>sent >= pieces.iov_len:
                    sent -= pieces.iov_len
                    pieces += 1
                    count -= 1
                    if volatile_pieces:
                        volatile_pieces -= 1
                if count == 0:
                    return 0
                pieces.iov_base = <char*>pieces.iov_base + sent
                pieces.iov_len -= sent
            if volatile_pieces:  # there is one at the most, and it comes first
                saved = (<char*>pieces.iov_base)[:pieces.iov_len]
                pieces.iov_base = PyBytes_AS_STRING(saved)
                volatile_pieces = 0
            try:
                self.wait_writable()
            except BaseException:
                self.torn = True
                raise
            if self.torn:
                raise ClientDisconnected("the request ended while its response was being sent")

    cdef int send_file(self, int source, long long offset, long long count, long long* sent) except -1:
        """Send `count` bytes of the file `source` from `offset`; `sent` says how many there were."""
        cdef long long part
        sent[0] = 0
        if self.tls is not None:
            return self.send_file_encrypted(source, offset, count, sent)
        while sent[0] < count:
            if self.gone:
                raise ClientDisconnected("the peer has closed the connection")
            try:
                part = os.sendfile(self.fd, source, offset + sent[0], min(count - sent[0], SENDFILE_SIZE))
            except BlockingIOError:
                self.wait_writable()
                continue
            except ConnectionError as error:
                self.gone = True
                raise ClientDisconnected("the peer has closed the connection") from error
            if part == 0:
                return 0  # the file has become shorter
            sent[0] += part
            self.moved += part
            self.yield_if_due()
        return 0

    cdef int send_file_encrypted(self, int source, long long offset, long long count, long long* sent) except -1:
        """The same where the kernel cannot do it: the bytes are read, and sent encrypted."""
        cdef bytes part
        while sent[0] < count:
            part = os.pread(source, min(count - sent[0], <long long>RECV_SIZE), offset + sent[0])
            if not part:
                return 0  # the file has become shorter
            self.send(PyBytes_AS_STRING(part), len(part))
            sent[0] += len(part)
            self.yield_if_due()
        return 0

    cdef int yield_if_due(self) except -1:
        """Let the hub run when this connection has moved its share of bytes without a wait."""
        if self.moved >= FAIRNESS_BYTES:
            self.moved = 0
            waiter = Waiter(self.context.hub)  # unlike a bare switch it does no harm when somebody else was faster
            self.context.later(partial(waiter.switch, None))
            waiter.get()
        return 0

    cdef void note_unsent(self) noexcept:
        """A wait for room begins."""
        self.unsent = hublet_unsent(self.fd)

    cdef bint has_progressed(self) noexcept:
        """Whether the peer has taken bytes since the wait for room began, or since this was last asked.

        The kernel reports room only when much of its buffer is free: a slow peer may have taken bytes all the same.
        """
        cdef int before = self.unsent
        self.note_unsent()
        return self.unsent < before

    cdef int wake_late(self, DeadlineQueue queue) except -1:
        """Wake the greenlet whose wait in `queue` took too long; 0 if that is not so after all."""
        cdef greenlet waiting
        if queue is not self.context.write_queue:
            self.late_in = True
            waiting, self.reader = self.reader, None
        else:
            if self.has_progressed():
                queue.add(&self.link_out)
                return 0
            self.late_out = True
            waiting, self.writer = self.writer, None
        if waiting is not None:
            resume(waiting)
        return 1

    cdef int dismiss(self) except -1:
        """The request is over: have greenlets that still wait for its bytes find out that it is in vain."""
        if self.reader is None and self.writer is None:
            return 0
        self.dismissed = [waiting for waiting in (self.reader, self.writer) if waiting is not None]
        self.reader = self.writer = None
        unlink(&self.link_in)
        unlink(&self.link_out)
        self.context.loop.run_callback(self.wake_dismissed)
        return 0

    def wake_dismissed(self):
        """On the hub: wake those that have been dismissed and were not woken by an exception meanwhile."""
        while self.dismissed:
            resume(self.dismissed.pop())

    cdef int forget_dismissed(self, greenlet waiting) except -1:
        if self.dismissed and waiting in self.dismissed:
            self.dismissed.remove(waiting)
        return 0

    cdef int release(self) except -1:
        """Close the descriptor and let go of everything that held this object; nothing happens the second time."""
        if self.fd < 0:
            return 0
        if self.held:
            self.context.turn.flush()
        if self.tls is not None and not (self.gone or self.torn):
            self.tls.end(self.fd)
        self.leave()
        self.tls = None
        self.use(self.buffered())
        c_close(self.fd)
        self.fd = -1
        return self.context.closed_one()

    cdef int leave(self) except -1:
        """Let go of everything but the descriptor."""
        unlink(&self.link_all)
        self.dismiss()
        unlink(&self.link_in)
        unlink(&self.link_out)
        self.gone = True
        for watcher in (self.read_watcher, self.write_watcher):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self.reading = False
        self.read_watcher = self.write_watcher = None
        return 0
