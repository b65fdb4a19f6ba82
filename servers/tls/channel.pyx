"""TLS between a connection and its socket: what `recv` and `send` are to plain connections, callers notice no more.

OpenSSL, through the standard library's ssl, reads from one piece of memory and writes to another. Both are shared by all
connections of a server, as the scratch buffers are: they are empty between two calls. What a call leaves in one of them
is kept by the channel, nearly always nothing, so an idle connection takes no more than OpenSSL's own state. A pair
for each connection would take ten times as much.

The rule for that: nothing that might switch greenlets may come between filling and emptying them. OpenSSL calls back
into Python only in a handshake, to choose a certificate; handshakes run on the hub, where nothing can switch.

    receive     `recv`s, and decrypts as much as fits. What does not fit is not announced by the kernel again:
                `has_input` says so, and the transport sees to it.
    transmit    encrypts, and `send`s. When the kernel does not take all of that it says WOULD_BLOCK, and the caller
                repeats the same bytes later: they are not encrypted again but counted as sent then.
"""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ssl import MemoryBIO, SSLError, SSLWantReadError, SSLZeroReturnError

from ..sockets cimport GONE, MSG_NOSIGNAL, WOULD_BLOCK, c_recv, c_send, iovec

from ...runtime import limits

cdef size_t RECV_SIZE = limits.RECV_SIZE
cdef size_t BATCH = limits.TLS_BATCH
cdef Py_ssize_t MAX_UNSENT = limits.TLS_UNSENT
cdef enum:
    HANDSHAKE_RECORD = 22  # RFC 8446 section 5.1: what every TLS connection begins with
    OVERHEAD = 256         # what a record adds to its content: a header, a nonce, padding and a tag
    LEAST_RECV = 4096      # fewer encrypted bytes are not worth a call


cdef inline object to_read(const char* data, size_t size):
    return PyMemoryView_FromMemory(<char*>data, size, PyBUF_READ)


@cython.final
cdef class TlsContext:
    """What the TLS connections of one server share.

    `ssl_context` is that of new connections, and may be replaced. `describe(ssl_object)` is called after each handshake
    and returns what the connection's requests find in their environ; that dict is not changed.
    """

    def __init__(self, ssl_context, describe):
        self.ssl_context = ssl_context
        self.describe = describe
        self.incoming = MemoryBIO()
        self.outgoing = MemoryBIO()
        # One that is not for servers fails here, not with the first connection.
        ssl_context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def __cinit__(self, *_args):
        self.raw = <char*>malloc(RECV_SIZE)
        self.plain = <char*>malloc(BATCH)
        if self.raw == NULL or self.plain == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.raw)
        free(self.plain)

    cdef int clear(self) noexcept:
        """A call has failed half-way: nothing of it may reach another connection."""
        self.incoming.read()
        self.outgoing.read()
        return 0


cdef TlsChannel make_channel(TlsContext context):
    """The channel of a new connection, whose handshake comes first."""
    cdef TlsChannel channel = TlsChannel.__new__(TlsChannel)
    channel.context = context
    channel.ssl_object = context.ssl_context.wrap_bio(context.incoming, context.outgoing, server_side=True)
    return channel


@cython.final
cdef class TlsChannel:
    """The encryption of one connection. Its socket's descriptor is passed to every call."""

    # The handshake, on the hub.

    cdef Shake shake(self, int fd) except *:
        """Receive once, and bring the handshake forward by that."""
        cdef Py_ssize_t got
        if self.unsent is not None:
            got = self.push(fd, 0)
            if got == GONE:
                self.failure = "the peer has closed the connection"
                return SHAKE_FAILED
            if got == WOULD_BLOCK:
                return SHAKE_WAITS
            if self.environ is not None:
                return SHAKE_DONE
        got = c_recv(fd, self.context.raw, RECV_SIZE, 0)
        if got < 0 and (errno == EAGAIN or errno == EINTR):
            return SHAKE_WAITS
        if got <= 0:
            self.failure = "the peer has closed the connection"
            return SHAKE_FAILED
        if not self.begun:
            self.begun = True
            if c"A" <= self.context.raw[0] <= c"Z":  # a request line; no record type is a letter
                return SHAKE_PLAIN
        try:
            self.context.incoming.write(to_read(self.context.raw, got))
            self.ssl_object.do_handshake()
            self.environ = self.context.describe(self.ssl_object)
            self.unread = self.context.incoming.read() or None  # a request may come with the end of the handshake
        except SSLWantReadError:
            pass
        except OSError as error:
            self.fail(fd, error)
            return SHAKE_FAILED
        except BaseException:
            self.context.clear()
            raise
        self.collect()
        if self.unread is not None:
            return SHAKE_DONE  # the session ticket goes with the answer; `flush` sees to it if that has to wait
        # Otherwise it goes now: it carries an acknowledgement, for which the request of a peer with Nagle's algorithm
        # would wait.
        got = self.push(fd, 0)
        if got == GONE:
            self.failure = "the peer has closed the connection"
            return SHAKE_FAILED
        return SHAKE_DONE if self.environ is not None and got == 0 else SHAKE_WAITS

    cdef int flush(self, int fd) noexcept:
        """Send what has waited for an answer to go with; what the kernel does not take goes with the answer after all."""
        if not self.owed:
            self.push(fd, 0)
        return 0

    # Receiving.

    cdef bint has_input(self) noexcept:
        """Whether `receive` has something to return, perhaps, of which the kernel knows nothing."""
        return self.filled or self.unread is not None or self.ended or self.failure is not None

    cdef Py_ssize_t receive(self, int fd, char* into, size_t size) noexcept:
        """Receive up to `size` bytes; 0 at the peer's end, with or without a close_notify, WOULD_BLOCK, or GONE.

        After `end` what arrives is not decrypted any more, but only counted.
        """
        try:
            return self.decrypt(fd, into, size)
        except BaseException as error:
            self.context.clear()
            self.failure = str(error)
            return GONE

    cdef Py_ssize_t decrypt(self, int fd, char* into, size_t size) except? -2:
        cdef Py_ssize_t got
        cdef size_t want = min(max(size, <size_t>LEAST_RECV) + OVERHEAD, RECV_SIZE)
        if self.silent:
            want = RECV_SIZE
        elif self.filled or self.unread is not None:
            got = self.read_records(fd, into, size)
            if got:
                return got
        while self.failure is None and not self.ended:
            got = c_recv(fd, self.context.raw, want, 0)
            if got < 0:
                if errno == EAGAIN:
                    return WOULD_BLOCK
                if errno == EINTR:
                    continue
                return GONE
            if got == 0 or self.silent:
                return got
            self.context.incoming.write(to_read(self.context.raw, got))
            got = self.read_records(fd, into, size)
            if got:
                return got
        return GONE if self.failure is not None else 0

    cdef Py_ssize_t read_records(self, int fd, char* into, size_t size) except? -2:
        """Decrypt what OpenSSL has been given; 0 if that is not a whole record, or the end."""
        cdef object incoming = self.context.incoming
        cdef size_t total = 0
        cdef Py_ssize_t got
        if self.unread is not None:
            incoming.write(self.unread)
            self.unread = None
        try:
            while True:
                got = self.ssl_object.read(size - total, PyMemoryView_FromMemory(into + total, size - total, PyBUF_WRITE))
                if got == 0:
                    self.ended = True
                    break
                total += got
                if total == size or not incoming.pending:
                    break
        except SSLWantReadError:
            pass
        except SSLZeroReturnError:
            self.ended = True
        except SSLError as error:
            self.fail(fd, error)
            return total if total else GONE
        self.filled = total == size  # otherwise the last record has been read to its end
        if incoming.pending:
            self.unread = incoming.read()
        if self.context.outgoing.pending:  # a KeyUpdate is answered (RFC 8446 section 4.6.3)
            self.collect()
            self.push(fd, 0)
            if self.unsent is not None and PyBytes_GET_SIZE(self.unsent) > MAX_UNSENT:
                self.failure = "the peer makes us answer, and takes no answer"
                return GONE
        return total

    # Sending.

    cdef bint has_output(self) noexcept:
        """Whether something waits for the kernel to take it."""
        return self.unsent is not None

    cdef Py_ssize_t transmit(self, int fd, iovec* pieces, int count, int flags) noexcept:
        """Send what the kernel takes of `pieces`; the number of bytes, WOULD_BLOCK, or GONE.

        After WOULD_BLOCK, and after less than all, the rest must be sent next, and nothing else.
        """
        try:
            return self.encrypt(fd, pieces, count, flags)
        except BaseException as error:
            self.context.clear()
            self.failure = str(error)
            return GONE

    cdef Py_ssize_t encrypt(self, int fd, iovec* pieces, int count, int flags) except? -2:
        cdef const char* data
        cdef size_t size, part, offset = 0, taken = 0
        cdef Py_ssize_t pushed
        cdef int index = 0
        if self.failure is not None or (self.silent and not self.owed):
            return GONE
        if self.owed or self.unsent_start:
            pushed = self.push(fd, flags)
            if pushed < 0:
                return pushed
            if self.owed:
                taken, self.owed = self.owed, 0
                return taken
        while True:
            while index < count and offset == pieces[index].iov_len:
                index += 1
                offset = 0
            if index == count:
                return taken
            data = <char*>pieces[index].iov_base + offset
            size = min(pieces[index].iov_len - offset, BATCH)
            if size == BATCH or index == count - 1:
                offset += size
            else:  # small pieces share a record
                data = self.context.plain
                size = 0
                while index < count and size < BATCH:
                    part = min(pieces[index].iov_len - offset, BATCH - size)
                    memcpy(self.context.plain + size, <char*>pieces[index].iov_base + offset, part)
                    size += part
                    offset += part
                    if offset == pieces[index].iov_len:
                        index += 1
                        offset = 0
            self.ssl_object.write(to_read(data, size))
            if self.parting and (index == count or (index == count - 1 and offset == pieces[index].iov_len)):
                self.say_goodbye()
            self.collect()
            pushed = self.push(fd, flags)
            if pushed == GONE:
                return GONE
            if pushed == WOULD_BLOCK:
                self.owed = size
                return taken if taken else WOULD_BLOCK
            taken += size

    cdef int collect(self) except -1:
        """Take what OpenSSL has for the peer."""
        cdef bytes more = self.context.outgoing.read()
        if more:
            self.unsent = more if self.unsent is None else self.unsent[self.unsent_start:] + more
            self.unsent_start = 0
        return 0

    cdef Py_ssize_t push(self, int fd, int flags) noexcept:
        """Send what is encrypted; 0 when there is no more of it, WOULD_BLOCK, or GONE."""
        cdef Py_ssize_t sent
        while self.unsent is not None:
            sent = c_send(
                fd, PyBytes_AS_STRING(self.unsent) + self.unsent_start,
                PyBytes_GET_SIZE(self.unsent) - self.unsent_start, flags | MSG_NOSIGNAL,
            )
            if sent >= 0:
                self.unsent_start += sent
                if self.unsent_start == <size_t>PyBytes_GET_SIZE(self.unsent):
                    self.unsent = None
                    self.unsent_start = 0
            elif errno == EAGAIN:
                return WOULD_BLOCK
            elif errno != EINTR:
                return GONE
        return 0

    # The end.

    cdef int end(self, int fd) noexcept:
        """Send a close_notify, which says that what was sent is complete (RFC 8446 section 6.1), and nothing after it.

        It is not sent where that would be untrue, because something is still to be sent.
        """
        if self.silent:
            return 0
        if self.environ is None or self.failure is not None or self.owed or self.push(fd, 0) < 0:
            self.fall_silent()
            return 0
        try:
            self.say_goodbye()
            self.collect()
            self.push(fd, 0)
        except BaseException as error:
            self.context.clear()
            self.failure = str(error)
        return 0

    cdef int say_goodbye(self) except -1:
        """Have OpenSSL write the close_notify, behind all that it has written."""
        self.fall_silent()
        try:
            self.ssl_object.unwrap()
        except OSError:
            pass  # it waits for the peer's, which we do not
        self.context.incoming.read()
        return 0

    cdef int fall_silent(self) noexcept:
        """Nothing is encrypted or decrypted any more."""
        self.silent = True
        self.unread = None
        self.filled = False
        return 0

    cdef int fail(self, int fd, object error) except -1:
        """The connection cannot go on because of what the peer has sent; it gets an alert."""
        self.failure = getattr(error, "reason", None) or str(error)
        self.context.incoming.read()
        self.collect()
        self.push(fd, 0)
        return 0
