"""`wsgi.input`: the request body as a file that waits cooperatively (PEP 3333, "Input and Error Streams").

Bytes go from the socket straight into the object that `read` returns; nothing is received before the application asks
for it, so an application that does not read slows its peer down instead of filling memory. When the request is over
the body lets go of the connection: whoever kept it cannot read from the next request's bytes.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from .chunked cimport ChunkedDecoder
from ..transport cimport GONE, WOULD_BLOCK, Transport

from ...runtime import limits
from ...runtime.errors import ClientDisconnected, RequestBodyError

cdef enum:
    LINE_READ = 8192       # how far `readline` reads ahead, within the body
    PIECE = 1 << 20        # what `read` allocates ahead of the bytes: a peer's promise is not trusted further

cdef size_t RECV_SIZE = limits.RECV_SIZE
cdef size_t MAX_DRAIN = limits.MAX_DRAIN
cdef const char* CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


cdef RequestBody make_body(
    Transport transport, DeadlineQueue patience, long long content_length, bint chunked, bint expect, long long limit
):
    """The body of a request: `content_length` bytes (-1: none), or `chunked`; at most `limit` bytes unless it is 0.

    `patience` bounds each wait for more of it.
    """
    cdef RequestBody body = RequestBody.__new__(RequestBody)
    body.transport = transport
    body.patience = patience
    body.limit = limit
    body.continue_due = expect and transport.buffered() == 0  # one that has begun to send does not wait
    if chunked:
        body.decoder = ChunkedDecoder.__new__(ChunkedDecoder)
    elif content_length > 0:
        body.remaining = content_length
    return body


@cython.freelist(64)
@cython.final
cdef class RequestBody:
    """A request body. Reading raises RequestBodyError when it is malformed, late, too large or cut short."""

    # For the server.

    cdef bint is_complete(self) noexcept:
        """Whether every byte of the body has been received, so that the next request begins behind it."""
        if self.failure is not None:
            return False
        return self.remaining == 0 if self.decoder is None else self.decoder.finished

    cdef bint is_drainable(self) noexcept:
        """Whether it is worth trying to receive what the application leaves unread."""
        if self.is_complete():
            return True
        return not self.is_broken() and not self.continue_due and self.remaining <= <long long>MAX_DRAIN

    cdef bint is_broken(self) noexcept:
        """Whether no more of the body can be had."""
        return self.failure is not None or (self.decoder is not None and self.decoder.reason is not None)

    cdef int skip(self, Transport transport) except -1:
        """On the hub: throw away what has arrived of the body; 1 when it is over, 0 when more must come.

        Raises RequestBodyError when it is malformed or larger than what is worth draining, ClientDisconnected when no
        more will come.
        """
        cdef char* scratch = transport.context.scratch
        cdef Py_ssize_t got
        cdef size_t want, used
        while not self.is_complete():
            if self.is_broken():
                raise RequestBodyError(400, "the rest of the request body cannot be read")
            if transport.buffered():
                if self.decoder is None:
                    used = min(transport.buffered(), <size_t>self.remaining)
                    self.remaining -= used
                else:
                    self.decoder.decode(
                        transport.buffer + transport.buffer_start, transport.buffered(), scratch, RECV_SIZE, &used
                    )
                transport.use(used)
                continue
            want = RECV_SIZE
            if self.decoder is None:
                want = min(want, <size_t>self.remaining)
            got = transport.receive(scratch, want)
            if got == WOULD_BLOCK:
                return 0
            if got <= 0:
                raise ClientDisconnected("the peer closed the connection inside the request body")
            self.skipped += got
            if self.skipped > MAX_DRAIN:
                raise RequestBodyError(413, f"more than {MAX_DRAIN} bytes of the request body were left unread")
            if self.decoder is None:
                self.remaining -= got
            else:
                transport.keep(scratch, got)
        return 1

    cdef void detach(self) noexcept:
        """The request is over: let go of the connection."""
        self.transport = None

    # Reading, from a greenlet.

    cdef Transport require_open(self):
        if self.transport is None:
            raise ValueError("wsgi.input is closed: its request is over")
        return self.transport

    cdef int fail(self, object failure) except -1:
        self.failure = failure
        raise failure

    cdef Py_ssize_t fetch(self, char* into, size_t room) except -1:
        """Receive at least one byte, waiting for it, and inviting the peer to send if it waits for that."""
        cdef Transport transport = self.require_open()
        cdef Py_ssize_t got
        transport.yield_if_due()
        self.require_open()  # the request may have ended meanwhile
        while True:
            got = transport.receive(into, room)
            if got > 0:
                self.continue_due = False  # it did not wait
                transport.moved += got
                return got
            if got == 0:
                self.fail(RequestBodyError(400, "the peer closed the connection inside the request body"))
            if got == GONE:
                self.fail(ClientDisconnected("the peer has closed the connection"))
            if self.continue_due:
                self.continue_due = False
                transport.send(CONTINUE, 25)
            if not transport.wait_readable(self.patience):
                self.fail(RequestBodyError(408, f"no byte of the request body within {self.patience.timeout:g} s"))
            self.require_open()

    cdef Py_ssize_t fill(self, char* into, size_t room) except -1:
        """Bring 1 to `room` bytes of the body, or 0 at its end."""
        cdef Py_ssize_t got
        if self.failure is not None:
            raise self.failure
        if self.decoder is not None:
            return self.fill_chunked(into, room)
        if self.remaining < <long long>room:
            room = <size_t>self.remaining
        if room == 0:
            return 0
        got = self.require_open().take(into, room)
        if got == 0:
            got = self.fetch(into, room)
        self.remaining -= got
        return got

    cdef Py_ssize_t fill_chunked(self, char* into, size_t room) except -1:
        cdef Transport transport
        cdef char* scratch
        cdef Py_ssize_t got, produced = 0
        cdef size_t used
        while produced == 0 and room and not self.decoder.finished:
            transport = self.require_open()
            if transport.buffered() or self.decoder.reason is not None:
                produced = self.decoder.decode(
                    transport.buffer + transport.buffer_start, transport.buffered(), into, room, &used
                )
                transport.use(used)
            else:
                scratch = transport.context.scratch
                got = self.fetch(scratch, RECV_SIZE)
                produced = self.decoder.decode(scratch, got, into, room, &used)
                if produced >= 0:
                    transport.keep(scratch + used, got - used)
            if produced < 0:
                self.fail(RequestBodyError(400, self.decoder.reason))
        self.received += produced
        if self.limit and self.received > self.limit:
            self.fail(RequestBodyError(413, f"the request body is larger than {self.limit} bytes"))
        return produced

    cdef bytes read_exactly(self, Py_ssize_t size):
        """`size` bytes, or fewer at the end of the body; all that is left when `size` is negative."""
        cdef Py_ssize_t room, have, got
        cdef bytes piece = b""
        cdef list pieces = []
        if self.decoder is None and (size < 0 or size > self.remaining):
            size = <Py_ssize_t>self.remaining
        if size == 0 and self.failure is not None:
            raise self.failure
        while size != 0:
            room = PIECE if size < 0 else min(size, PIECE)
            piece = PyBytes_FromStringAndSize(NULL, room)
            have = 0
            while have < room:
                try:
                    got = self.fill(PyBytes_AS_STRING(piece) + have, room - have)
                except BaseException:
                    self.put_back(b"".join(pieces) + piece[:have])
                    raise
                if got == 0:
                    size = 0
                    piece = piece[:have]
                    break
                have += got
            if size > 0:
                size -= have
            if pieces or size:
                pieces.append(piece)
        return b"".join(pieces) if pieces else piece

    cdef int enter(self) except -1:
        """Begin a read; whoever waits in one must not be overtaken by another."""
        self.require_open()
        if self.busy:
            raise RuntimeError("another greenlet is already reading this request's body")
        self.busy = True
        return 0

    def read(self, size=-1):
        """Read `size` bytes, waiting for them; fewer at the end of the body. All of it without a size."""
        cdef Py_ssize_t want = -1 if size is None else size
        self.enter()
        try:
            return self.read_bytes(want)
        finally:
            self.busy = False

    def readline(self, size=-1):
        """Read up to and including the next LF, at most `size` bytes if that is not negative."""
        cdef Py_ssize_t want = -1 if size is None else size
        self.enter()
        try:
            return self.read_line(want)
        finally:
            self.busy = False

    cdef bytes read_bytes(self, Py_ssize_t want):
        cdef bytes ahead
        if self.ahead is None:
            return self.read_exactly(want)
        if 0 <= want <= PyBytes_GET_SIZE(self.ahead) - self.ahead_start:
            ahead = self.ahead[self.ahead_start:self.ahead_start + want]
            self.ahead_start += want
            return ahead
        ahead, self.ahead = self.ahead[self.ahead_start:], None
        try:
            return ahead + self.read_exactly(want - len(ahead) if want >= 0 else -1)
        except BaseException:
            self.put_back(ahead)
            raise

    cdef int put_back(self, bytes data) except -1:
        """A read was interrupted, say by a gevent.Timeout: what it has taken comes first in the next one."""
        if data:
            self.ahead = data if self.ahead is None else data + self.ahead[self.ahead_start:]
            self.ahead_start = 0
        return 0

    cdef bytes read_line(self, Py_ssize_t want):
        cdef Py_ssize_t end, have
        cdef list pieces = []
        cdef bytes chunk
        cdef const char* found
        while want != 0:
            if self.ahead is None or self.ahead_start == PyBytes_GET_SIZE(self.ahead):
                chunk = PyBytes_FromStringAndSize(NULL, LINE_READ)
                try:
                    have = self.fill(PyBytes_AS_STRING(chunk), LINE_READ)
                except BaseException:
                    self.ahead = None
                    self.put_back(b"".join(pieces))
                    raise
                if have == 0:
                    self.ahead = None
                    break
                self.ahead = chunk[:have]
                self.ahead_start = 0
            have = PyBytes_GET_SIZE(self.ahead) - self.ahead_start
            if want >= 0:
                have = min(have, want)
            found = <const char*>memchr(PyBytes_AS_STRING(self.ahead) + self.ahead_start, c"\n", have)
            if found != NULL:
                have = found - PyBytes_AS_STRING(self.ahead) - self.ahead_start + 1
            end = self.ahead_start + have
            pieces.append(self.ahead[self.ahead_start:end])
            self.ahead_start = end
            if found != NULL:
                break
            if want >= 0:
                want -= have
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readlines(self, hint=-1):
        """Read the lines that are left; stop after the line with which their size reaches `hint`, if positive."""
        cdef Py_ssize_t limit = -1 if hint is None else hint
        cdef Py_ssize_t total = 0
        lines = []
        for line in self:
            lines.append(line)
            total += len(line)
            if 0 < limit <= total:
                break
        return lines

    def __iter__(self):
        return self

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line

