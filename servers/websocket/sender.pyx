"""The sending half of a WebSocket connection: frames go to the kernel whole, or to the backlog.

A frame is never sent by a greenlet that waits in the middle of it, so the frames of any number of senders do not mix.
What the kernel does not take goes to the backlog, which a write watcher empties; so do the frames of broadcasts, which
the flusher sends to some connections in each turn of the loop. Several that come in quick succession then go out in one
call, which is what makes them cheap. The backlog has a limit, beyond which senders wait and broadcasts pass the
connection over: nothing grows with what a peer does not take.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from collections import deque

from ...runtime.deadlines cimport unlink
from ...runtime.request_greenlet cimport current, greenlet
from ..out_buffer cimport OutBuffer
from ..transport cimport WOULD_BLOCK, IoContext, Transport, iovec
from .frames cimport FIN, MAX_HEADER, OP_PONG, put_frame_header

from ...runtime import limits

cdef size_t JOIN_SIZE = limits.JOIN_SIZE
cdef int FLUSH_BATCH = limits.FLUSH_BATCH
cdef enum:
    FLUSH_PIECES = 64   # of the backlog, for one `sendmsg`


cdef class Flusher:
    """Flushes the backlogs that broadcasts have filled. `limit` is that of each backlog, in bytes."""

    def __init__(self, IoContext io not None, size_t limit):
        self.io = io
        self.limit = limit
        self.due = deque()

    cdef int flush_soon(self, FrameSender sender) except -1:
        """Have the backlog of `sender` flushed by the hub, some in each turn of the loop."""
        if not self.due:
            self.io.later(self.flush_due)
        self.due.append(sender)
        return 0

    def flush_due(self):
        """On the hub: flush the backlogs of as many connections as one turn allows."""
        self.flush_some(FLUSH_BATCH)
        if self.due:
            self.io.later(self.flush_due)

    cdef int flush_some(self, Py_ssize_t most) except -1:
        """Flush the backlogs of up to `most` connections that are due."""
        cdef FrameSender sender
        while self.due and most > 0:
            sender = self.due.popleft()
            most -= 1
            if sender.state != CLOSED and sender.backlog is not None:
                try:
                    sender.flush()
                except BaseException as error:
                    sender.crash(error)
        return 0


cdef class FrameSender(Transport):
    """A connection that frames can be sent to. A subclass says what happens at its end."""

    # What a subclass does.

    cdef int lost(self) except -1:
        """The peer is gone: close the descriptor."""
        return 0

    cdef int crash(self, BaseException error) except -1:
        """A failure of ours or the machine's: it costs this connection only."""
        return 0

    cdef int backlog_sent(self) except -1:
        """The backlog is empty."""
        return 0

    cdef int settle_later(self) except -1:
        """Have the hub let senders go on, if there is room for them or the connection is closed."""
        return 0

    # Sending.

    cdef int wait_for_room(self) except -1:
        cdef greenlet waiting = current()
        self.moved = 0
        while self.backlog_bytes > self.flusher.limit and self.state == OPEN:
            if self.senders is None:
                self.senders = []
            self.senders.append(waiting)
            try:
                self.context.hub.switch()
            finally:
                if self.senders is not None and waiting in self.senders:  # woken by an exception
                    self.senders.remove(waiting)
        return 0

    cdef int put_frame(self, int first_byte, const char* data, size_t size) except -1:
        """Send a frame, or queue it. It does not wait."""
        cdef OutBuffer out = self.context.out
        cdef iovec pieces[2]
        cdef char header[MAX_HEADER]
        cdef size_t header_size = put_frame_header(header, first_byte, size)
        if size <= JOIN_SIZE:
            out.size = 0
            out.append(header, header_size)
            out.append(data, size)
            pieces[0].iov_base = out.data
            pieces[0].iov_len = out.size
            return self.put(pieces, 1)
        pieces[0].iov_base = header
        pieces[0].iov_len = header_size
        pieces[1].iov_base = <void*>data
        pieces[1].iov_len = size
        return self.put(pieces, 2)

    cdef int put_control(self, int opcode, bytes payload) except -1:
        """Send a control frame, or queue it. Of pongs only the latest is queued (RFC 6455 section 5.5.3)."""
        if opcode == OP_PONG and self.backlog is not None:
            self.pong = payload
            return 0
        return self.put_frame(FIN | opcode, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef int put(self, iovec* pieces, int count) except -1:
        """Send what the kernel takes of `pieces`, and put the rest into the backlog."""
        cdef Py_ssize_t sent = 0
        cdef int index
        cdef bint fresh
        if self.backlog is None and count == 1:
            if self.context.turn.take(self, <const char*>pieces.iov_base, pieces.iov_len):
                return 0
        if self.held:
            self.context.turn.flush()
        fresh = self.backlog is None
        if fresh:
            sent = self.transmit(pieces, count, 0)
            if sent < 0:
                if sent != WOULD_BLOCK:
                    return self.lost()
                sent = 0
        for index in range(count):
            if <size_t>sent >= pieces[index].iov_len:
                sent -= pieces[index].iov_len
                continue
            self.put_off(
                PyBytes_FromStringAndSize(<char*>pieces[index].iov_base + sent, pieces[index].iov_len - sent)
            )
            sent = 0
        if fresh and self.backlog is not None:
            self.watch_for_room()
        return 0

    cdef int undelivered(self, bytes rest) except -1:
        try:
            if rest is None:
                self.lost()
            elif self.state != CLOSED:
                self.put_off(rest)
                self.watch_for_room()
        except BaseException as error:
            self.crash(error)
        return 0

    cdef bint put_shared(self, bytes frame) except *:
        """Put a frame that goes to many behind the backlog, to be flushed soon; False when too much is there already."""
        if self.held:
            self.context.turn.flush()
            if self.state != OPEN:
                return False
        if self.backlog_bytes and self.backlog_bytes + PyBytes_GET_SIZE(frame) > self.flusher.limit:
            return False
        if self.backlog is None:
            self.flusher.flush_soon(self)
        self.put_off(frame)
        return True

    cdef int put_off(self, bytes data) except -1:
        """Put `data` behind the backlog."""
        if self.backlog is None:
            self.backlog = [data]
        else:
            self.backlog.append(data)
        self.backlog_bytes += PyBytes_GET_SIZE(data)
        return 0

    def on_writable(self):
        try:
            self.flush()
        except BaseException as error:
            self.crash(error)

    cdef int flush(self) except -1:
        """Send what the kernel takes of the backlog, and let senders go on when half of it is free."""
        cdef iovec pieces[FLUSH_PIECES]
        cdef Py_ssize_t sent = 0, total = 0
        cdef int count
        while sent == total and self.backlog is not None:
            total = 0
            count = 0
            for data in self.backlog:
                pieces[count].iov_base = PyBytes_AS_STRING(data)
                pieces[count].iov_len = PyBytes_GET_SIZE(data)
                if count == 0:
                    pieces[0].iov_base = <char*>pieces[0].iov_base + self.backlog_start
                    pieces[0].iov_len -= self.backlog_start
                total += pieces[count].iov_len
                count += 1
                if count == FLUSH_PIECES:
                    break
            sent = self.transmit(pieces, count, 0)
            if sent < 0:
                if sent != WOULD_BLOCK:
                    return self.lost()
                sent = 0
            self.drop_sent(sent)
        if self.backlog is not None:
            self.watch_for_room()
        else:
            if self.write_watcher is not None:
                self.write_watcher.stop()
            unlink(&self.link_out)
            self.backlog_sent()
        if self.senders and self.has_room():
            self.settle_later()
        return 0

    cdef bint has_room(self) noexcept:
        return self.backlog_bytes <= self.flusher.limit // 2

    cdef int drop_sent(self, size_t size) except -1:
        """Drop the first `size` bytes of the backlog."""
        cdef Py_ssize_t whole = 0
        self.backlog_bytes -= size
        self.backlog_start += size
        while whole < len(self.backlog) and self.backlog_start >= <size_t>PyBytes_GET_SIZE(self.backlog[whole]):
            self.backlog_start -= PyBytes_GET_SIZE(self.backlog[whole])
            whole += 1
        if whole == len(self.backlog):
            self.backlog = None
        elif whole:
            del self.backlog[:whole]
        return 0
