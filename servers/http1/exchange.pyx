"""One request and its response: the application is called and its result is sent (PEP 3333).

Everything here runs in the request's greenlet and may wait. The response is framed by what is known when its first
byte goes out: a declared or computable length, chunks (HTTP/1.1), or the end of the connection (HTTP/1.0).

An application's error costs its own request: a 500 when nothing has been sent, otherwise a response that ends in a way
that the peer cannot mistake for a complete one. What the peer does wrong is not reported as the application's error.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import http
import io
import os
import stat
import tempfile
from time import perf_counter

from gevent import GreenletExit, get_hub

from ..out_buffer cimport OutBuffer
from ..upgrade cimport TAKEN
from .head cimport Head
from .request_body cimport make_body
from .response_head cimport append_date, append_number, is_bodiless, make_response_head
from ..transport cimport MSG_MORE, IoContext, Transport, iovec

from ...runtime import limits
from ...runtime.errors import ClientDisconnected, RequestBodyError
from ...runtime.request_greenlet import pass_interrupt

cdef size_t JOIN_SIZE = limits.JOIN_SIZE
cdef long long MAX_DRAIN = limits.MAX_DRAIN

cdef extern from "Python.h":
    object PyMethod_New(object function, object instance)

KNOWN_STATUSES = frozenset(http.HTTPStatus)
# File objects whose descriptor holds just what reading them would give, from their position on.
PLAIN_FILES = (io.BufferedReader, io.BufferedRandom, io.FileIO)


class FileWrapper:
    """`wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling"): an iterable over a file.

    Returned unchanged by the application for a regular file, the file is sent by the kernel without passing through
    Python. `block_size` is the size in bytes of the pieces that it yields otherwise.
    """

    def __init__(self, filelike, block_size=8192):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.block_size)
        if not data:
            raise StopIteration
        return data


def plain_file(filelike):
    """Return `filelike`, or the file inside it, if the kernel may send it in its place; None otherwise."""
    if isinstance(filelike, tempfile._TemporaryFileWrapper):
        filelike = filelike.file
    if type(filelike) not in PLAIN_FILES:
        return None
    raw = filelike if type(filelike) is io.FileIO else filelike.raw
    if type(raw) is not io.FileIO:
        return None
    status = os.fstat(raw.fileno())
    # What /proc holds claims to be a regular file of no size.
    return filelike if stat.S_ISREG(status.st_mode) and status.st_size > 0 else None


cdef Py_ssize_t put_simple_response(ExchangeContext context, int status, str text, bint with_body, bytes extra) except -1:
    """Put a final response of the server's own, after which the connection ends, into the context's buffer.

    Returns the size of its body.
    """
    cdef bytes line = f"HTTP/1.1 {status} {reason_of(status)}\r\n".encode()
    cdef bytes body = f"{status} {reason_of(status)}: {text}\n".encode()
    cdef OutBuffer out = context.out
    out.size = 0
    out.append(PyBytes_AS_STRING(line), len(line))
    append_date(out)
    out.append(PyBytes_AS_STRING(context.server_line), len(context.server_line))
    out.append(PyBytes_AS_STRING(extra), len(extra))
    line = b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    out.append(PyBytes_AS_STRING(line), len(line))
    if with_body:
        out.append(PyBytes_AS_STRING(body), len(body))
    return len(body) if with_body else 0


def reason_of(status):
    """The reason phrase of a status code."""
    return http.HTTPStatus(status).phrase if status in KNOWN_STATUSES else "Error"


cdef bytes as_bytes(object piece):
    """A piece of a response body as bytes that nobody else can change."""
    if type(piece) is bytes:
        return <bytes>piece
    if not isinstance(piece, (bytes, bytearray)):
        raise TypeError(f"the response body must be made of bytes, not {type(piece).__name__}")
    return bytes(piece)


cdef class ExchangeContext(IoContext):
    """What the exchanges of one server share."""

    def __cinit__(self, settings, *_args, **_kwargs):
        self.body_queue = DeadlineQueue(self.sweeper, settings.body_timeout)
        self.keeps_alive = settings.keepalive_timeout > 0


cdef Exchange make_exchange(ExchangeContext context, Transport transport, Head head):
    """The exchange for a request whose head has been parsed."""
    cdef Exchange exchange = Exchange.__new__(Exchange)
    exchange.context = context
    exchange.transport = transport
    exchange.environ = head.environ
    exchange.body = make_body(
        transport, context.body_queue, head.content_length, head.chunked, head.expect_continue and head.content_length != 0,
        context.max_body,
    )
    exchange.total = -1
    exchange.minor = head.minor
    exchange.is_head = head.is_head
    exchange.keep_alive = head.keep_alive and context.keeps_alive
    head.environ["wsgi.input"] = exchange.body
    head.environ = None
    return exchange


@cython.freelist(64)
@cython.final
cdef class Exchange:
    """One request and its response."""

    cdef int run(self) except -1:
        """Call the application and send its response. What goes wrong is dealt with here; nothing is raised."""
        try:
            self.answer()
            if self.is_taken():
                self.upgrade.finished(None)
        except BaseException as error:
            self.fail(error)
        finally:
            self.over = True
            self.body.detach()
            self.withdraw_offer()
        return 0

    cdef int withdraw_offer(self) except -1:
        """No other protocol can have the connection any more, unless one has it already."""
        if self.upgrade is not None:
            self.upgrade.decline()
        return 0

    cdef bint is_taken(self) noexcept:
        """Whether another protocol has taken the connection over: nothing more is sent here."""
        return self.upgrade is not None and self.upgrade.state == TAKEN

    cdef int answer(self) except -1:
        # A bound method made by hand: looking it up on the instance costs several times as much.
        cdef object result = self.context.app(self.environ, PyMethod_New(START_RESPONSE, self))
        if type(result) is list or type(result) is tuple:
            return 0 if self.is_taken() else self.send_list(result)  # these have no close()
        if result is None and self.is_taken():
            return 0
        try:
            self.send_result(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                self.close_result(close)
        return 0

    cdef int close_result(self, object close) except -1:
        """Call the result's close(). Its failure is reported, and does not hide one that came before it."""
        try:
            close()
        except BaseException as error:
            self.report(error, "the close() of the response iterable failed")
        return 0

    # What the application calls.

    def start_response(self, status, headers, exc_info=None):
        """PEP 3333, "The start_response() Callable"."""
        if self.over or self.context is None:
            raise RuntimeError("start_response was called after the request had ended")
        if self.is_taken():
            return self.write
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # it refers to the caller's frame, which refers to us
        elif self.head is not None:
            raise RuntimeError("start_response was called a second time without exc_info")
        self.head = make_response_head(self.context.out, status, headers)
        return self.write

    def write(self, data):
        """PEP 3333, "The write() Callable"."""
        if self.context is None:
            raise RuntimeError("write belongs to no request")
        self.send_body(data)

    # The body.

    cdef int send_result(self, object result) except -1:
        if type(result) is FileWrapper:
            source = plain_file(result.filelike)
            if source is not None and self.head is not None and not self.head_sent:
                return self.send_file(source)
        for data in result:
            self.send_body(data)
            if self.bodiless:
                break  # nothing more of it will be sent
        return self.send_end()

    cdef int send_list(self, object pieces) except -1:
        """A list or tuple is complete, so its size is known before its first byte is sent.

        What is sent is what it holds now: the application may share it, and change it while the peer is slow.
        """
        cdef long long total = 0
        cdef list whole
        if len(pieces) == 1 and not self.head_sent:
            piece = as_bytes(pieces[0])
            self.total = PyBytes_GET_SIZE(piece)
            self.send_body(piece)
            return self.send_end()
        whole = [as_bytes(each) for each in pieces]
        for piece in whole:
            total += PyBytes_GET_SIZE(piece)
        if not self.head_sent:
            self.total = total
        if len(whole) > 1 and total <= <long long>JOIN_SIZE:
            self.send_body(b"".join(whole))
        else:
            for piece in whole:
                self.send_body(piece)
        return self.send_end()

    cdef int send_file(self, object source) except -1:
        """Have the kernel send a regular file from its position on."""
        cdef long long offset = source.tell(), sent = 0
        cdef size_t size
        cdef iovec piece
        self.begin_sending()
        self.total = max(os.fstat(source.fileno()).st_size - offset, 0)
        size = self.within_length(<size_t>self.total)
        self.context.out.size = 0
        self.put_head()
        piece.iov_base = self.context.out.data
        piece.iov_len = self.context.out.size
        self.transport.send_pieces(&piece, 1, 1, 0 if self.bodiless or size == 0 else MSG_MORE)
        if not self.bodiless:
            try:
                self.transport.send_file(source.fileno(), offset, size, &sent)
            finally:
                self.sent += sent
        self.sending = False
        return self.send_end()

    cdef int send_body(self, object data) except -1:
        """Send one piece of the body as it is, with the head before the first."""
        cdef size_t size
        if self.is_taken():
            return 0
        data = as_bytes(data)
        size = PyBytes_GET_SIZE(data)
        if size == 0:
            return 0  # PEP 3333: the head waits for the first byte, and an empty chunk would end the body
        self.transport.yield_if_due()
        if self.over:
            raise RuntimeError("write was called after the request had ended")
        if self.head is None:
            raise RuntimeError("the application sent a body before it called start_response")
        if not self.head_sent and (self.is_head or is_bodiless(self.head.status)):
            return self.emit(NULL, 0)
        if self.bodiless:
            return 0
        size = self.within_length(size)
        if size or not self.head_sent:
            self.emit(PyBytes_AS_STRING(data), size)
        return 0

    cdef int send_end(self) except -1:
        """The application has nothing more to send: finish the response, and see whether it kept its promise."""
        cdef long long promised
        if self.head is None and self.upgrade is not None:
            self.upgrade.unanswered()
        if self.is_taken():
            return 0
        if self.head is None:
            raise RuntimeError("the application returned without calling start_response")
        if not self.head_sent:
            self.total = max(self.total, 0)
            self.emit(NULL, 0)
        if self.bodiless:
            return 0
        self.begin_sending()
        if self.chunked:
            self.part()
            self.transport.send(b"0\r\n\r\n", 5)
        self.sending = False
        promised = self.promised()
        if <long long>self.sent < promised:
            self.close = True
            self.report(None, f"the response body ended after {self.sent} of {promised} bytes; the connection is closed")
        return 0

    cdef size_t within_length(self, size_t size) except? 0:
        """How much of `size` more bytes the promised length leaves room for; the first excess is reported."""
        cdef long long promised = self.promised()
        cdef long long room
        if promised < 0:
            return size
        room = max(promised - <long long>self.sent, 0)
        if <long long>size <= room:
            return size
        if not self.overrun and not self.is_head and not is_bodiless(self.head.status):
            self.overrun = True
            self.report(
                None, f"the response body is longer than its Content-Length of {promised}; it is cut there"
            )
        return <size_t>room

    cdef long long promised(self) noexcept:
        """The length that the head declares or will declare, or -1."""
        return self.head.content_length if self.head.content_length >= 0 else self.total

    cdef int begin_sending(self) except -1:
        """From here on until `sending` is reset no other greenlet may send. If that fails in between, it stays so."""
        if self.sending:
            raise RuntimeError("another greenlet is already sending this response")
        self.sending = True
        return 0

    cdef int emit(self, const char* data, size_t size) except -1:
        """Send `size` bytes of body, framed, together with the head if that has not gone out; one `send` if small."""
        cdef OutBuffer out = self.context.out
        cdef iovec pieces[3]
        cdef bint last
        self.begin_sending()
        out.size = 0
        if not self.head_sent:
            self.put_head()
        last = self.bodiless or (not self.chunked and <long long>(self.sent + size) == self.promised())
        if last:
            self.part()
        if self.chunked and size:
            append_number(out, size, 16)
            out.append(b"\r\n", 2)
        if size <= JOIN_SIZE:
            if size:
                out.append(data, size)
                if self.chunked:
                    out.append(b"\r\n", 2)
            if last and not self.close and self.body.is_complete() and self.transport.buffered() == 0:
                self.transport.send_in_turn(out.data, out.size)
            else:
                self.transport.send(out.data, out.size)
            return self.end_sending(size)
        pieces[0].iov_base = out.data
        pieces[0].iov_len = out.size
        pieces[1].iov_base = <void*>data
        pieces[1].iov_len = size
        pieces[2].iov_base = <void*><const char*>b"\r\n"
        pieces[2].iov_len = 2
        if out.size == 0:
            self.transport.send_pieces(&pieces[1], 1, 0, 0)
        else:
            self.transport.send_pieces(pieces, 3 if self.chunked else 2, 1, 0)
        return self.end_sending(size)

    cdef int end_sending(self, size_t size) noexcept:
        """All of it has gone out, with `size` bytes of body."""
        self.sent += size
        self.sending = False
        return 0

    cdef void part(self) noexcept:
        """The response ends with what is sent next, and the connection perhaps with the response."""
        if self.close and self.body.is_complete():
            self.transport.part()

    # The head.

    cdef int put_head(self) except -1:
        """Append the head to the context's buffer. It counts as sent: the caller sends it before anybody can switch."""
        cdef OutBuffer out = self.context.out
        cdef bytes server = self.context.server_line
        out.append(PyBytes_AS_STRING(self.head.lines), PyBytes_GET_SIZE(self.head.lines))
        if not self.head.has_date:
            append_date(out)
        if not self.head.has_server:
            out.append(PyBytes_AS_STRING(server), PyBytes_GET_SIZE(server))
        self.put_framing()
        if not self.keep_alive or self.context.draining or not self.body.is_drainable():
            self.close = True
        if self.close:
            out.append(b"Connection: close\r\n", 19)
        elif self.minor == 0:
            out.append(b"Connection: keep-alive\r\n", 24)
        out.append(b"\r\n", 2)
        self.head_sent = True
        self.withdraw_offer()
        self.body.continue_due = False  # an interim response cannot follow the final one
        if self.context.timed:
            self.first_byte = perf_counter()
        return 0

    cdef int put_framing(self) except -1:
        """Decide how the body is delimited (RFC 9112 section 6.3) and append the field that says so."""
        cdef OutBuffer out = self.context.out
        cdef bint never = is_bodiless(self.head.status)
        self.bodiless = never or self.is_head
        if never:
            # An interim status cannot be final: the peer would wait for more, so it is told that nothing follows.
            self.close = self.close or self.head.status < 200
            if self.head.status == 205:
                out.append(b"Content-Length: 0\r\n", 19)  # RFC 9110 section 15.3.6
        elif self.head.content_length >= 0:
            pass
        elif self.total > 0 or (self.total == 0 and not self.is_head):
            # To HEAD an empty list says nothing about the size that GET would have.
            out.append(b"Content-Length: ", 16)
            append_number(out, self.total, 10)
            out.append(b"\r\n", 2)
        elif self.is_head:
            pass
        elif self.minor:
            self.chunked = True
            out.append(b"Transfer-Encoding: chunked\r\n", 28)
        else:
            self.close = True
        return 0

    # Errors.

    cdef int fail(self, BaseException error) except -1:
        """Answer for an exception that came out of the application or of sending its response."""
        if self.context.stopping and isinstance(error, GreenletExit):
            self.context.cut_off += 1
        if self.is_taken():
            return self.upgrade.finished(error)
        self.withdraw_offer()  # the answer is HTTP; what follows may wait, in the error log
        if self.context.stopping and isinstance(error, GreenletExit):
            self.close = self.cut_short = True
            return 0 if self.head_sent else self.send_error(503, "the server is stopping")
        if isinstance(error, ClientDisconnected):
            self.close = True
            return 0
        if isinstance(error, RequestBodyError):
            if not self.head_sent:
                return self.send_error(error.status, error.reason)
        else:
            self.report(error, "the application failed")
            if not self.head_sent:
                self.send_error(500, "the application failed")
        if self.head_sent and self.sent_error == 0:
            # Without the last chunk, or short of the declared length, the response is visibly incomplete.
            self.close = self.cut_short = True
        pass_interrupt(error)
        return 0

    cdef bint ends_with_connection(self) noexcept:
        """Whether the body is delimited by the end of the connection."""
        return self.head_sent and not (
            self.bodiless or self.chunked or self.head.content_length >= 0 or self.total >= 0
        )

    cdef int send_error(self, int status, str text) except -1:
        """Send an error response in the application's place, in the ordinary way, so that the connection may live on."""
        cdef str phrase
        cdef bytes body
        self.sent_error = status
        self.sent = 0
        try:
            phrase = reason_of(status)
            body = f"{status} {phrase}: {text}\n".encode("utf-8", "backslashreplace")
            self.total = len(body)
            self.head = make_response_head(
                self.context.out, f"{status} {phrase}", [("Content-Type", "text/plain; charset=utf-8")]
            )
            self.send_body(body)
        except BaseException:
            self.close = True  # the peer is gone, or we are being killed: nobody is left to tell
        return 0

    cdef int report(self, BaseException error, str note) except -1:
        """Have the error log told; reporting must not become a failure itself."""
        try:
            self.context.on_error(self.environ, error, note)
        except BaseException as second:
            get_hub().handle_error(self.context.on_error, type(second), second, second.__traceback__)
        return 0


cdef object START_RESPONSE = Exchange.start_response
