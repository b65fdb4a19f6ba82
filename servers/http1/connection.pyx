"""A connection: what happens between one readable socket and the next request on it. Hub callbacks, no greenlet.

    SHAKING     with TLS, is not encrypted yet
    READING     waits for a request head, or is in the middle of one
    QUEUED      has a request that waits for admission
    RUNNING     a request greenlet runs the exchange; what else arrives stays in the kernel
    SENDING     the exchange has ended, and the hub sends the rest of its response
    DRAINING    throws away what the application left unread of the request body
    LINGERING   has sent its last response and waits for the peer to close, so that no reset destroys that response
    CLOSED

`read_heads` is the fast road: one `recv`, the head parsed from the scratch buffer, the application run by a direct
switch. When it comes back without having waited, the loop goes on with the next pipelined request; otherwise the rest
happens at the end of the greenlet, which hands control back to the hub and never starts another request by itself.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memset

from time import perf_counter, time

from ...runtime.deadlines cimport DeadlineQueue, coarse_now, unlink
from ...runtime.request_greenlet cimport RequestGreenlet, start
from ..sockets cimport c_recv
from ..tls.channel cimport SHAKE_DONE, SHAKE_FAILED, SHAKE_PLAIN, Shake, TlsContext, make_channel
from ..transport cimport GONE, WOULD_BLOCK, WRITE, Transport, iovec
from .engine cimport Admissible, Engine
from .exchange cimport make_exchange, put_simple_response
from .head cimport SCAN_INCOMPLETE, SCAN_REJECTED, Head, HeadParser, ScanResult

from ...runtime import limits
from ...runtime.errors import ClientDisconnected, RequestBodyError, RequestRejected
from .exchange import reason_of

cdef extern from *:
    """
    #include <sys/socket.h>

    /* Make the coming close a reset. */
    static void hublet_set_reset(int fd) {
        struct linger at_once = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    """
    enum:
        MSG_PEEK
    void hublet_set_reset(int fd) noexcept

cdef enum State:
    SHAKING
    READING
    QUEUED
    RUNNING
    SENDING
    DRAINING
    LINGERING
    CLOSED

cdef size_t RECV_SIZE = limits.RECV_SIZE
cdef size_t LINGER_BYTES = limits.LINGER_BYTES
cdef int PIPELINE_BATCH = limits.PIPELINE_BATCH
cdef double DRAIN_IDLE = limits.DRAIN_IDLE


@cython.final
cdef class Connection(Admissible):
    """One accepted connection."""

    def __cinit__(self):
        self.state = CLOSED

    cdef int open(self, Engine engine, HeadParser parser, TlsContext tls, int fd, str host, str port) except -1:
        self.engine = engine
        self.parser = parser
        self.remote_host = host
        self.remote_port = port
        self.enter(engine, fd)
        engine.accepted += 1
        if tls is not None:
            return self.begin_handshake(tls)
        self.state = READING
        self.start_reading()
        self.engine.idle_queue.add(&self.link_in)
        return 0

    # The handshake, on the hub.

    cdef int begin_handshake(self, TlsContext tls) except -1:
        self.state = SHAKING
        try:
            self.tls = make_channel(tls)
            self.start_reading()
        except BaseException as error:
            return self.fail(error)
        self.engine.shake_queue.add(&self.link_in)
        return 0

    cdef int shake(self) except -1:
        """Go on with the handshake: something has arrived, or there is room to send."""
        cdef Shake result = self.tls.shake(self.fd)
        if result == SHAKE_DONE:
            return self.end_handshake()
        if result == SHAKE_FAILED:
            return self.fail_handshake(self.tls.failure)
        if result == SHAKE_PLAIN:
            self.tls = None
            return self.refuse(400, "plain HTTP was sent to a port that speaks TLS; its URLs begin with https://", b"")
        if self.tls.has_output() and self.write_watcher is None:
            self.write_watcher = self.engine.loop.io(self.fd, WRITE)
            self.write_watcher.start(self.on_writable)
        return 0

    cdef int end_handshake(self) except -1:
        unlink(&self.link_in)
        if self.write_watcher is not None:
            self.write_watcher.close()
            self.write_watcher = None
        self.state = READING
        self.engine.idle_queue.add(&self.link_in)
        if self.tls.has_input():
            self.read_heads()
            if self.tls is not None:  # otherwise it has been answered, and that was all
                self.tls.flush(self.fd)
        return 0

    cdef int fail_handshake(self, str reason) except -1:
        """The peer's mistake, or ours: our certificate may not be to its liking."""
        self.engine.failed_handshakes += 1
        if self.engine.on_shake_failed is not None:
            self.engine.on_shake_failed(self.remote_host, self.remote_port, reason)
        return self.close()

    def on_writable(self):
        if self.state != SHAKING and self.rest is None:
            return Transport.on_writable(self)
        try:
            if self.rest is not None:
                self.send_rest()
                return
            self.shake()
            if self.state == SHAKING and not self.tls.has_output():
                self.write_watcher.close()
                self.write_watcher = None
        except BaseException as error:
            self.fail(error)

    cdef int close(self) except -1:
        if self.state == SENDING:
            self.rest = self.ended = None
            self.engine.finished_one()
        self.state = CLOSED
        if self.exchange is not None:
            self.exchange.withdraw_offer()
        return self.release()

    cdef int hand_over(self, Transport successor) except -1:
        """Another protocol takes over: for HTTP this request and this connection are finished."""
        self.state = CLOSED
        Transport.hand_over(self, successor)
        self.engine.finished_one()
        return 0

    cdef bint is_reset(self) noexcept:
        """Whether the peer has vanished. One that has only finished sending still wants its answer."""
        cdef char byte
        if self.fd >= 0 and c_recv(self.fd, &byte, 1, MSG_PEEK) < 0 and errno != EAGAIN and errno != EINTR:
            self.gone = True
        return self.gone

    cdef int wind_down(self) except -1:
        """Close the connection unless a request, or part of one, is there or has just arrived."""
        if self.state == READING and self.buffered() == 0 and not self.dispatching:
            self.read_heads()
            if self.state == READING and self.buffered() == 0 and not self.is_in_use():
                self.close()
        elif self.state == SHAKING:
            self.close()
        elif self.state == DRAINING:
            self.linger()  # there will be no next request to drain for
        return 0

    cdef bint is_in_use(self) noexcept:
        """Whether a patient server waits for the next request, which may be on its way, and will be the last."""
        return self.engine.patient and coarse_now() - self.link_in.since < DRAIN_IDLE

    cdef int abort(self) except -1:
        if self.state == QUEUED:
            return self.refuse(503, "the server is stopping", b"Retry-After: 1\r\n")
        if self.state == SENDING:
            self.engine.cut_off += 1
        return Transport.abort(self)

    # Events, on the hub.

    def on_readable(self):
        try:
            if self.state == READING:
                self.read_heads()
            elif self.state == LINGERING:
                self.discard()
            elif self.state == DRAINING:
                self.drain()
            elif self.state == SHAKING:
                self.shake()
            elif self.state == QUEUED and self.is_reset():
                self.engine.queue.remove(self)
                self.engine.queued -= 1
                self.close()
            else:
                Transport.on_readable(self)
        except BaseException as error:
            self.fail(error)

    cdef int expired(self, DeadlineQueue queue) except -1:
        if self.rest is not None and queue is self.engine.write_queue:
            if self.has_progressed():
                queue.add(&self.link_out)
            else:
                self.engine.timed_out += 1
                self.gone = True
                self.end_rest()
        elif self.state == RUNNING:
            self.engine.timed_out += self.wake_late(queue)
        elif queue is self.engine.head_queue:
            self.engine.timed_out += 1
            self.refuse(408, f"the request head did not arrive within {queue.timeout:g} s", b"")
        elif queue is self.engine.shake_queue:
            self.engine.timed_out += 1
            self.fail_handshake(f"it was not finished within {queue.timeout:g} s")
        else:
            self.close()
        return 0

    cdef int fail(self, BaseException error) except -1:
        """Something that is nobody's mistake but ours or the machine's: it costs this connection only."""
        self.engine.hub.handle_error(self, type(error), error, error.__traceback__)
        self.torn = True
        return self.close()

    # Requests.

    cdef int read_heads(self) except -1:
        """Receive once, and serve the requests that are then complete."""
        cdef Engine engine = self.engine
        cdef Py_ssize_t got
        if self.held:  # by a request that was pipelined, whose answer the peer need not have seen to send the next one
            engine.turn.flush()
            if self.state != READING:
                return 0
        if self.buffered() and not self.in_head:
            return self.serve_buffered()  # complete requests wait: receiving more would only pile them up
        got = self.receive(engine.scratch, RECV_SIZE)
        if got <= 0:
            return 0 if got == WOULD_BLOCK else self.close()
        if self.buffered():
            self.keep(engine.scratch, got)
        elif not self.begin(engine.scratch, got, False):
            return 0
        return self.serve_buffered()

    cdef int serve_buffered(self) except -1:
        """Serve buffered requests up to a batch; other connections have their turn before the rest."""
        cdef int served = 0
        while self.state == READING and self.buffered():
            if served == PIPELINE_BATCH:
                self.engine.later(self.read_on)
                break
            if not self.begin(self.buffer + self.buffer_start, self.buffered(), True):
                break
            served += 1
        return 0

    def read_on(self):
        """On the hub, when it was left for later: go on with what is buffered."""
        if self.state == READING:
            self.serve_buffered()

    cdef int begin(self, const char* data, size_t size, bint buffered) except -1:
        """Begin the request at `data`, which is the buffer or the scratch buffer; 0 if it cannot begin (yet)."""
        cdef Engine engine = self.engine
        cdef HeadParser parser = self.parser
        cdef Head head = engine.head
        cdef ScanResult result = parser.scan(data, size, &self.scan, head)
        if result == SCAN_INCOMPLETE:
            if not buffered:
                self.keep(data, size)
            if not self.in_head:
                self.in_head = True
                engine.head_queue.add(&self.link_in)
            return 0
        if result == SCAN_REJECTED or not parser.parse_into(data, &self.scan, head):
            return self.refuse(parser.status, parser.reason, b"", head.environ if self.scan.fields_start else None)
        unlink(&self.link_in)
        self.in_head = False
        memset(&self.scan, 0, sizeof(self.scan))
        if buffered:
            self.use(head.size)
        else:
            self.keep(data + head.size, size - head.size)
        return self.admit(head)

    cdef int admit(self, Head head) except -1:
        """Run the request whose head has been parsed, or queue or refuse it; 1 if it runs or has run."""
        cdef Engine engine = self.engine
        cdef dict environ = head.environ
        engine.requests += 1
        environ["REMOTE_ADDR"] = self.remote_host
        environ["REMOTE_PORT"] = self.remote_port
        if self.tls is not None:
            environ.update(self.tls.environ)
        self.exchange = make_exchange(engine, self, head)  # takes the environ out of the head
        if head.forwarded and engine.forwarded is not None and not self.heed_proxy(environ):
            return 0
        if 0 < <long long>engine.max_body < head.content_length:
            return self.refuse(413, f"the request body is larger than {engine.max_body} bytes", b"")
        if "HTTP_UPGRADE" in environ and engine.upgrader is not None and not self.offer_upgrade(environ):
            return 0
        if engine.must_queue():
            if engine.queued >= engine.max_queued:
                return self.refuse(503, "the server is at its limit of requests in flight", b"Retry-After: 1\r\n")
            self.state = QUEUED
            engine.queue.append(self)
            engine.queued += 1
            return 0
        return self.dispatch()

    cdef int heed_proxy(self, dict environ) except -1:
        """Have what a proxy says of the client taken over or removed; 0 if it is malformed and has been refused."""
        try:
            self.engine.forwarded(environ, self.remote_host)
        except RequestRejected as rejected:
            return self.refuse(rejected.status, rejected.reason, rejected.fields)
        return 1

    cdef int offer_upgrade(self, dict environ) except -1:
        """Let another protocol see whether the request asks for it; 0 if it does so wrongly and has been refused."""
        cdef Upgrade upgrade
        try:
            upgrade = self.engine.upgrader(environ)
        except RequestRejected as rejected:
            return self.refuse(rejected.status, rejected.reason, rejected.fields)
        if upgrade is not None:
            upgrade.transport = self
            self.exchange.upgrade = upgrade
        return 1

    cdef int admitted(self) except -1:
        if self.is_reset():
            return self.close()
        if self.state == QUEUED:
            self.dispatch()
            self.serve_buffered()
        return 0

    cdef int dispatch(self) except -1:
        """On the hub: run the exchange until it waits or ends."""
        cdef ConnectionGreenlet fresh = ConnectionGreenlet.__new__(ConnectionGreenlet)
        self.engine.turn.flush_if_late()
        self.state = RUNNING
        self.engine.in_flight += 1
        if self.engine.timed:
            self.started = perf_counter()
            self.started_at = time()
        fresh.connection = self
        self.worker = fresh
        self.dispatching = True
        try:
            start(fresh)
        except BaseException:  # for want of memory: it has not run
            self.engine.finished_one()
            raise
        finally:
            self.dispatching = False
        return 1

    cdef int run_exchange(self) except -1:
        """In the request greenlet: run the exchange and see to what comes after it. Raises nothing."""
        cdef Exchange exchange = self.exchange
        try:
            exchange.run()
        except BaseException as error:
            self.fail(error)  # not the application's: what that raises has been dealt with inside
        try:
            self.end_exchange(exchange)
        except BaseException as error:
            self.fail(error)
        self.worker = None
        return 0

    cdef int end_exchange(self, Exchange exchange) except -1:
        """The application has finished, and its response has been sent as far as that was possible."""
        self.exchange = None
        if exchange.is_taken():
            if self.engine.record is not None:
                self.record_switch(exchange)
            return 0
        self.engine.finished_one()
        if self.engine.record is not None:
            self.record_exchange(exchange)
        if self.held and (exchange.close or self.engine.draining):
            self.engine.turn.flush()  # while its rest can still be kept: the connection ends now
        if self.state == CLOSED:
            return 0
        if self.rest is not None:
            self.ended = exchange
            return self.begin_sending()
        return self.conclude(exchange)

    # An answer that was sent together with others, and that the kernel has not taken whole: the hub sends the rest.

    cdef int undelivered(self, bytes rest) except -1:
        try:
            if self.state == READING and rest is None:
                self.close()
            elif (self.state == READING or self.state == RUNNING) and rest is not None:
                self.keep_rest(rest)
        except BaseException as error:
            self.fail(error)
        return 0

    cdef int keep_rest(self, bytes rest) except -1:
        if self.state == READING:
            unlink(&self.link_in)
            self.begin_sending()
        self.rest = rest
        return self.watch_for_room()

    cdef int begin_sending(self) except -1:
        """Nothing but the rest is left to do for a request, which is in flight until that has gone out."""
        self.state = SENDING
        self.engine.in_flight += 1
        return 0

    cdef int send_rest(self) except -1:
        """On the hub: there is room for the rest, or some of it."""
        cdef iovec piece
        cdef Py_ssize_t sent
        piece.iov_base = PyBytes_AS_STRING(self.rest)
        piece.iov_len = PyBytes_GET_SIZE(self.rest)
        sent = self.transmit(&piece, 1, 0)
        if sent == WOULD_BLOCK:
            return 0
        unlink(&self.link_out)
        if sent == GONE or sent == <Py_ssize_t>piece.iov_len:
            return self.end_rest()
        self.rest = self.rest[sent:]
        return self.watch_for_room()

    cdef int end_rest(self) except -1:
        """The rest has gone out, or never will."""
        cdef Exchange exchange = self.ended
        self.rest = None
        self.write_watcher.close()
        self.write_watcher = None
        if self.state == SENDING:
            self.state = RUNNING
            self.ended = None
            self.engine.finished_one()
            if exchange is not None:
                return self.conclude(exchange)
            return self.close() if self.gone else self.ready_for_next()
        return 0

    # What comes after an exchange.

    cdef int conclude(self, Exchange exchange) except -1:
        """The response has gone out, as far as that was possible: decide what becomes of the connection."""
        if self.writer is not None:
            self.torn = True  # by a greenlet that the application left behind in write()
        self.dismiss()
        if self.write_watcher is not None:
            self.write_watcher.close()
            self.write_watcher = None
        if self.gone:
            return self.close()
        if exchange.cut_short or self.torn:
            self.torn = True
            if exchange.ends_with_connection():
                hublet_set_reset(self.fd)  # a regular end would make the part that was sent look like the whole
            return self.close()
        if exchange.close:
            # Unless all that the peer has sent was received, closing would reset the connection (RFC 9112 9.6).
            if exchange.body.is_complete() and self.buffered() == 0 and self.reading:
                return self.close()
            return self.linger()
        if exchange.body.is_complete():
            return self.ready_for_next()
        self.unread = exchange.body
        self.state = DRAINING
        return self.drain()

    cdef int drain(self) except -1:
        """Throw away what the application left of the request body, as far as it has arrived."""
        try:
            if self.unread.skip(self):
                unlink(&self.link_in)
                self.unread = None
                return self.ready_for_next()
        except RequestBodyError:
            return self.linger()
        except ClientDisconnected:
            return self.close()
        if self.link_in.next == NULL:  # once: a peer that trickles must not hold the connection for ever
            self.engine.body_queue.add(&self.link_in)
        return self.start_reading()

    cdef int ready_for_next(self) except -1:
        """The connection may carry another request."""
        self.state = READING
        if self.buffered():
            if not self.dispatching:
                self.engine.later(self.read_on)
        elif self.engine.draining:
            return self.close()
        else:
            self.engine.idle_queue.add(&self.link_in)
            if self.engine.pausing:
                self.engine.end_pause()
        return self.start_reading()

    # The end.

    cdef int refuse(self, int status, str reason, bytes extra, dict environ=None) except -1:
        """Answer in the application's place, without a greenlet and without waiting, and end the connection; returns 0.

        `environ` is what is known of the request, if that is anything.
        """
        cdef iovec piece
        cdef Py_ssize_t size
        cdef Exchange exchange = self.exchange
        self.exchange = None
        self.engine.rejected += 1
        if exchange is not None:
            exchange.withdraw_offer()
            environ = exchange.environ
        else:
            environ = {} if environ is None else environ
            environ["REMOTE_ADDR"] = self.remote_host
            environ["REMOTE_PORT"] = self.remote_port
        size = put_simple_response(self.engine, status, reason, environ.get("REQUEST_METHOD") != "HEAD", extra)
        piece.iov_base = self.engine.out.data
        piece.iov_len = self.engine.out.size
        self.transmit(&piece, 1, 0)  # it fits the kernel's buffer, unless the peer has stopped reading long ago
        if self.engine.record is not None:
            self.record(environ, f"{status} {reason_of(status)}", size, time(), 0.0, 0.0)
        if self.engine.on_refuse is not None:
            self.engine.on_refuse(environ, status, reason)
        return self.linger()

    cdef int linger(self) except -1:
        """Send no more; close when the peer does, after a time, or after a number of bytes."""
        if self.gone:
            return self.close()
        self.state = LINGERING
        self.use(self.buffered())
        self.end_stream()
        self.engine.linger_queue.add(&self.link_in)
        return self.start_reading()

    cdef int discard(self) except -1:
        cdef Py_ssize_t got = self.receive(self.engine.scratch, RECV_SIZE)
        if got > 0:
            self.lingered += got
        if got == 0 or got == GONE or self.lingered > LINGER_BYTES:
            return self.close()
        return 0

    # The access log.

    def record_exchange(self, Exchange exchange):
        """Have the access log note a request that reached the application."""
        cdef double now = perf_counter()
        status = exchange.head.status_text if exchange.head is not None else "-"
        first_byte = exchange.first_byte or now
        self.record(exchange.environ, status, exchange.sent, self.started_at, first_byte - self.started, now - self.started)

    def record_switch(self, Exchange exchange):
        """Have the access log note a request that ended in another protocol, when the application has returned."""
        status = f"101 {reason_of(101)}"
        self.record(exchange.environ, status, 0, self.started_at, 0.0, perf_counter() - self.started)

    cdef int record(self, dict environ, str status, sent, double at, double first_byte, double total) except -1:
        try:
            self.engine.record(environ, status, sent, at, first_byte, total)
        except BaseException as error:
            self.engine.hub.handle_error(self.engine.record, type(error), error, error.__traceback__)
        return 0


@cython.final
cdef class ConnectionGreenlet(RequestGreenlet):
    """The greenlet of one exchange on a connection."""

    cdef int serve(self) except -1:
        cdef Connection connection = self.connection
        self.connection = None
        return 0 if connection is None else connection.run_exchange()
