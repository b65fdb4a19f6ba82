"""A WebSocket connection after its handshake: frames between the socket and the application (RFC 6455).

Hub callbacks read, answer control frames and put complete messages into the inbox. The application takes them from
there in one of two styles. A greenlet that blocks in `receive` is resumed by the callback that brings a message. In
callback style no greenlet is held: one is started when there are messages, calls `on_message` for each and ends.

    OPEN      messages go both ways
    CLOSING   our close frame has been queued; what arrives is dropped until the peer's close frame comes
    ENDING    both close frames are there, or the peer broke the protocol: flush, end the stream, wait for the peer's end
    CLOSED    the descriptor is gone

Nothing grows with what a peer sends: a full inbox stops the reading, so the peer is slowed down.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import random

import gevent
from gevent import GreenletExit
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.protocols.base import BaseProtocol
from geventwebsocket.websocket import MSG_ALREADY_CLOSED, MSG_SOCKET_DEAD

from ...runtime.deadlines cimport DeadlineQueue, unlink
from ...runtime.request_greenlet cimport RequestGreenlet, current, greenlet, resume, start
from ..transport cimport WOULD_BLOCK, IoContext, iovec
from .frames cimport (
    CLOSE, FAILED, FIN, MESSAGE, NEED_MORE, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG, OP_TEXT, PING, RSV1, Event,
    MessageReader, is_utf8,
)
from .sender cimport CLOSED, CLOSING, ENDING, OPEN, Flusher, FrameSender

from ...runtime import limits
from ...runtime.request_greenlet import pass_interrupt
from .frames import encode_close

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef size_t RECV_SIZE = limits.RECV_SIZE
cdef size_t FAIRNESS_BYTES = limits.FAIRNESS_BYTES
cdef size_t MESSAGE_COST = limits.MESSAGE_COST
cdef int FRAME_BATCH = limits.WEBSOCKET_FRAME_BATCH
cdef Py_ssize_t INBOX = limits.WEBSOCKET_INBOX
cdef size_t INBOX_BYTES = limits.WEBSOCKET_INBOX_BYTES
cdef Py_ssize_t DEFLATE_FROM = limits.DEFLATE_FROM

cdef enum:
    # RFC 6455 section 7.4.1 and the IANA registry of close codes.
    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    ABNORMAL_CLOSURE = 1006  # never sent: there was no close frame
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    SPREAD_STEPS = 100


@cython.final
cdef class WebSocketContext:
    """What the WebSocket connections of one server share."""

    def __init__(self, IoContext io not None, settings, on_error, server):
        self.io = io
        self.on_error = on_error
        self.server = server
        self.ping_queue = DeadlineQueue(io.sweeper, settings.websocket_ping_interval)
        self.pong_queue = DeadlineQueue(io.sweeper, settings.websocket_pong_timeout)
        self.close_queue = DeadlineQueue(io.sweeper, settings.websocket_close_timeout)
        self.accept_queue = DeadlineQueue(io.sweeper, limits.WEBSOCKET_ACCEPT_DELAY)
        self.max_message = settings.websocket_max_message
        self.compression = settings.websocket_compression
        self.flusher = Flusher(io, settings.websocket_buffer)
        self.subprotocols = settings.websocket_subprotocols
        self.server_line = settings.server_line
        self.orphans = set()

    cdef int ended(self) except -1:
        """A connection is closed, and the application has finished with it."""
        self.open_sessions -= 1
        if self.io.on_idle is not None:
            self.io.loop.run_callback(self.io.on_idle)
        return 0

    def abort_orphans(self):
        """On the hub: kill what the application still runs for connections that are closed."""
        for each in list(self.orphans):
            (<Session>each).abort()

    def restart_clients(self, double seconds):
        """Close every connection so that its client comes back, one after the other within `seconds`. Waits."""
        cdef Session session
        sessions = [each for each in self.io.open_transports() if isinstance(each, Session)]
        random.shuffle(sessions)
        while sessions:
            for session in sessions[:max(len(sessions) // SPREAD_STEPS, 1)]:
                session.begin_close(SERVICE_RESTART, "the server restarts")
            del sessions[:max(len(sessions) // SPREAD_STEPS, 1)]
            gevent.sleep(seconds / SPREAD_STEPS)

    def open_websockets(self):
        """A list of the applications' WebSocket objects whose connections are open."""
        return [
            (<Session>each).websocket
            for each in self.io.open_transports()
            if isinstance(each, Session) and (<Session>each).state == OPEN and (<Session>each).websocket is not None
        ]


@cython.final
cdef class Session(FrameSender):
    """One WebSocket connection. Its `def` methods are for the application's object and the loop."""

    def __init__(self, WebSocketContext websockets not None, websocket, inflater, deflater):
        self.websockets = websockets
        self.flusher = websockets.flusher
        self.websocket = websocket
        self.deflater = deflater
        self.frames = MessageReader(websockets.max_message, inflater)
        self.state = OPEN
        self.close_reason = ""

    cdef int open(self, bytes head) except -1:
        """Complete the handshake and begin. The connection has been handed over."""
        cdef iovec piece
        piece.iov_base = PyBytes_AS_STRING(head)
        piece.iov_len = PyBytes_GET_SIZE(head)
        self.websockets.open_sessions += 1
        self.websockets.accepted += 1
        self.put(&piece, 1)
        if self.state == OPEN:
            self.websockets.ping_queue.add(&self.link_in)
            self.resume_input()
            if self.context.draining:
                self.wind_down()
        return 0

    # Events, on the hub.

    def on_readable(self):
        try:
            self.pump()
        except BaseException as error:
            self.crash(error)

    def read_on(self):
        """Go on with what was left in the buffer, in a turn of its own."""
        self.resuming = False
        try:
            if self.buffered() and not self.paused:
                self.digest(self.buffer + self.buffer_start, self.buffered(), True)
                self.settle_now()
            if self.state != CLOSED and not self.paused:
                self.resume_input()
        except BaseException as error:
            self.crash(error)

    cdef int expired(self, DeadlineQueue queue) except -1:
        if queue is self.websockets.ping_queue:
            self.heard = False
            self.pinged = True
            self.websockets.pong_queue.add(&self.link_in)
            self.put_control(OP_PING, b"")
        elif queue is self.websockets.pong_queue:
            if self.heard or self.paused:  # its answer may be behind what has not been read yet
                self.heard = False
                queue.add(&self.link_in)
            else:
                self.fail_with(INTERNAL_ERROR, f"no answer to a ping within {queue.timeout:g} s")
                self.settle()
        elif queue is self.context.write_queue:
            if self.has_progressed():
                queue.add(&self.link_out)
            else:
                self.lost()
        elif self.state == CLOSING and self.backlog is not None:
            queue.add(&self.link_in)  # our close frame is not out yet: it has the time of what comes before it
        else:  # the peer's close frame or its end has not come
            self.lost()
        return 0

    cdef int crash(self, BaseException error) except -1:
        self.context.hub.handle_error(self, type(error), error, error.__traceback__)
        return self.lost()

    cdef int wind_down(self) except -1:
        if not self.websockets.spreading:
            self.begin_close(GOING_AWAY, "the server is stopping")
        return 0

    cdef int close(self) except -1:
        return self.lost()

    # Input, on the hub.

    cdef int pump(self) except -1:
        """Receive once, and deal with the frames that are then complete."""
        cdef char* scratch = self.context.scratch
        cdef Py_ssize_t got
        if self.buffered():
            return self.stop_reading()  # until that has been dealt with
        got = self.receive(scratch, RECV_SIZE)
        if got == 0 and self.state == ENDING and self.backlog is not None:
            return self.stop_reading()  # the peer only sends no more: what is queued still goes out to it
        if got <= 0:
            return 0 if got == WOULD_BLOCK else self.lost()
        self.heard = True
        if self.state == ENDING:
            return 0
        self.digest(scratch, got, False)
        return self.settle_now()

    cdef int digest(self, const char* data, size_t size, bint buffered) except -1:
        """Take frames from `data`, which is the buffer or the scratch buffer, as long as the inbox has room.

        After so many of them the rest is kept for later, since each ping makes us send.
        """
        cdef size_t used
        cdef Event event
        cdef int count = 0
        while size and count < FRAME_BATCH and not self.paused and self.state != CLOSED:  # which frees the buffer
            count += 1
            event = self.frames.read(data, size, &used)
            data += used
            size -= used
            if buffered:
                self.use(used)
            if event == NEED_MORE:
                break
            if event == MESSAGE:
                self.collect(self.frames.take_message())
            elif event == PING:
                if self.state == OPEN:
                    self.put_control(OP_PONG, self.frames.payload)
            elif event == CLOSE or event == FAILED:
                self.settle_now()  # what came before it can still be answered
                if event == CLOSE:
                    return self.peer_closed()
                return self.fail_with(self.frames.close_code, self.frames.reason)
            elif self.pinged:
                self.pinged = False
                if self.state == OPEN:
                    self.websockets.ping_queue.add(&self.link_in)
        if size and self.state < ENDING:
            if not buffered:
                self.keep(data, size)
            if not self.paused:
                self.resume_input()
        return 0

    cdef int collect(self, object message) except -1:
        """Put a message into the inbox, unless nobody wants it any more."""
        if self.state != OPEN:
            return 0
        if self.inbox is None:
            self.inbox = [message]
        else:
            self.inbox.append(message)
        self.inbox_bytes += len(message)
        if len(self.inbox) >= INBOX or self.inbox_bytes >= INBOX_BYTES:
            self.paused = True
            self.stop_reading()
        return 0

    cdef object take_message(self):
        """The first message of the inbox. When that is the last one, reading goes on."""
        cdef object message
        if len(self.inbox) > 1:
            return self.inbox.pop(0)
        message = self.inbox[0]
        self.inbox = None
        self.inbox_bytes = 0
        if self.paused or self.buffered():
            self.paused = False
            self.resume_input()
        return message

    cdef int resume_input(self) except -1:
        """Read: first what is buffered, in the loop's next turn, so that others have theirs."""
        if not self.buffered():
            return self.start_reading()
        if not self.resuming:
            self.resuming = True
            self.context.later(self.read_on)
        return 0

    # What the application waits for.

    cdef object next_message(self, object timeout):
        """The next message; None once when the connection is closed. Raises WebSocketError after that, or TimeoutError."""
        if self.protocol is not None:
            raise RuntimeError("the messages of this WebSocket go to on_message")
        if self.inbox is not None:
            return self.take_message()
        if self.state == OPEN:
            if self.reader is not None:
                raise RuntimeError("another greenlet is already receiving from this WebSocket")
            if timeout is None:
                self.wait_for_message()
            else:
                with gevent.Timeout(timeout, TimeoutError(f"no message within {timeout:g} s")):
                    self.wait_for_message()
            if self.inbox is not None:
                return self.take_message()
        if self.told:
            raise WebSocketError(MSG_ALREADY_CLOSED)
        self.told = True
        return None

    cdef int wait_for_message(self) except -1:
        cdef greenlet waiting = current()
        self.moved = 0
        while self.inbox is None and self.state == OPEN:
            self.reader = waiting
            try:
                self.context.hub.switch()
            finally:
                if self.reader is waiting:  # woken by an exception
                    self.reader = None
                self.forget_dismissed(waiting)
        return 0

    cdef bint is_settled(self) noexcept:
        """Whether the application knows everything there is to know: it has no message to take and no end to hear of."""
        return self.inbox is None and self.state == OPEN

    cdef int settle_later(self) except -1:
        """From a greenlet: have the hub tell the application's waiting greenlets, or its callbacks, what has changed."""
        if not self.settling:
            self.settling = True
            self.context.loop.run_callback(self.settle)
        return 0

    def settle(self):
        """On the hub: let those go on who wait for what is there now."""
        self.settling = False
        while self.senders and (self.state != OPEN or self.has_room()):
            resume(self.senders.pop(0))
        self.settle_now()

    cdef int settle_now(self) except -1:
        cdef greenlet waiting = self.reader
        if self.is_settled():
            return 0
        if waiting is not None:
            self.reader = None
            resume(waiting)
        elif self.protocol is not None and self.worker is None:
            self.call_back()
        return 0

    # Callback style.

    def serve_callbacks(self, protocol):
        """From the application's greenlet: have `on_message` and `on_close` of `protocol` called from now on."""
        if self.protocol is not None:
            raise RuntimeError("the messages of this WebSocket go to callbacks already")
        self.protocol = protocol
        # gevent-websocket's own protocol only passes a message on.
        self.receiver = protocol.app if type(protocol) is BaseProtocol else protocol

    cdef int call_back(self) except -1:
        """On the hub: run the callbacks for what has arrived, in a greenlet that ends when that is done."""
        cdef CallbackGreenlet fresh = CallbackGreenlet.__new__(CallbackGreenlet)
        fresh.session = self
        self.worker = fresh
        try:
            start(fresh)
        except BaseException:  # for want of memory: it has not run
            self.worker = None
            raise
        return 0

    cdef int run_callbacks(self) except -1:
        """In the callbacks' greenlet. Raises nothing."""
        try:
            while self.inbox is not None:
                try:
                    self.receiver.on_message(self.take_message())
                except WebSocketError:
                    if self.state == OPEN:  # otherwise an answer to this one came too late, and there may be others
                        raise
        except BaseException as error:
            self.inbox = None
            self.told = True
            self.application_failed(error)
        if self.state != OPEN:
            self.run_close_callbacks()
        self.worker = None
        return 0

    def run_close_callbacks(self):
        """Tell the application that its connection is closed: as in gevent-websocket, by a None, and by `on_close`."""
        protocol, self.protocol, self.receiver = self.protocol, None, None
        try:
            if not self.told:
                self.told = True
                protocol.on_message(None)
        except (KeyboardInterrupt, SystemExit) as error:
            pass_interrupt(error)
        except BaseException:
            pass  # most have never heard of that None: they take it for a message, or try to send it back
        try:
            protocol.on_close()
        except (WebSocketError, GreenletExit):
            pass  # it tried to send, or has been killed
        except BaseException as error:
            self.report(error)
            pass_interrupt(error)
        self.application_done()

    # Output, from a greenlet.

    cdef int send_message(self, object message, object binary) except -1:
        """Send one message: text if it is a str, or as `binary` says. Waits while too much waits for the peer already."""
        cdef const char* data
        cdef Py_ssize_t size
        cdef bint text = isinstance(message, str) if binary is None else not binary
        cdef int first_byte = FIN | (OP_TEXT if text else OP_BINARY)
        cdef bytes packed
        if self.state != OPEN:  # before the message is looked at: an echo sends back the None that `receive` ended with
            raise WebSocketError(MSG_SOCKET_DEAD)
        if isinstance(message, str):
            data = PyUnicode_AsUTF8AndSize(message, &size)
        else:
            packed = message if type(message) is bytes else bytes(memoryview(message))
            message = packed  # which keeps the data alive
            data = PyBytes_AS_STRING(packed)
            size = PyBytes_GET_SIZE(packed)
            if text and not is_utf8(data, size):
                raise ValueError("a text message must be UTF-8")
        self.take_turn(size)
        if self.deflater is not None and size >= DEFLATE_FROM:
            packed = self.deflater.compress(data[:size])
            self.put_frame(first_byte | RSV1, PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed))
        else:
            self.put_frame(first_byte, data, size)
        if self.state == CLOSED:
            raise WebSocketError(MSG_SOCKET_DEAD)
        return 0

    cdef int take_turn(self, size_t size) except -1:
        """Before a frame of `size` bytes: wait while too much waits for the peer, and let others run now and then."""
        if self.backlog_bytes > self.flusher.limit:
            self.wait_for_room()
        elif self.moved >= FAIRNESS_BYTES and current() is not self.context.hub:
            self.yield_if_due()
        if self.state != OPEN:
            raise WebSocketError(MSG_SOCKET_DEAD)
        self.moved += size + MESSAGE_COST
        return 0

    cdef int backlog_sent(self) except -1:
        cdef bytes pong = self.pong
        if pong is not None:
            self.pong = None
            if self.state == OPEN:
                self.put_control(OP_PONG, pong)
        if self.state == CLOSING:
            self.websockets.close_queue.add(&self.link_in)  # the peer's time begins when it can have our close frame
        elif self.state == ENDING:
            return self.close_stream()
        return 0

    # The end.

    cdef int begin_close(self, int code, str reason) except -1:
        """Send a close frame; the rest happens on the hub. Nothing happens unless the connection is open."""
        if self.state != OPEN:
            return 0
        payload = encode_close(code, reason)
        self.state = CLOSING
        self.close_code = code
        self.close_reason = reason
        self.websockets.close_queue.add(&self.link_in)
        self.put_control(OP_CLOSE, payload)
        self.paused = False
        if self.state != CLOSED:
            self.resume_input()
        return self.settle_later()

    cdef int peer_closed(self) except -1:
        """On the hub: the peer's close frame has arrived (RFC 6455 section 5.5.1)."""
        cdef bint answer = self.state == OPEN
        if self.state >= ENDING:
            return 0
        self.state = ENDING
        if answer:
            self.close_code = self.frames.close_code
            self.close_reason = self.frames.reason
            self.put_control(OP_CLOSE, encode_close(self.close_code, ""))
        return self.end()

    cdef int fail_with(self, int code, str reason) except -1:
        """On the hub: the connection cannot go on, and the peer is told why (RFC 6455 section 7.1.7)."""
        cdef bint answer = self.state == OPEN
        if self.state >= ENDING:
            return 0
        self.state = ENDING
        if answer:
            self.close_code = code
            self.close_reason = reason
            self.put_control(OP_CLOSE, encode_close(code, reason))
        return self.end()

    cdef int end(self) except -1:
        """On the hub: end our stream after what is queued, and wait a little for the peer's end."""
        if self.state == CLOSED:
            return 0
        self.use(self.buffered())
        self.paused = False
        self.start_reading()
        if self.held:
            self.context.turn.flush()
        if self.backlog is None:
            self.close_stream()
        else:
            unlink(&self.link_in)  # the write timeout holds until the backlog has gone out
        return self.settle_later() if self.senders else 0

    cdef int close_stream(self) except -1:
        """Everything has been sent: end our stream, and wait a little for the peer's end."""
        self.end_stream()
        self.context.linger_queue.add(&self.link_in)
        return self.start_reading()

    cdef int lost(self) except -1:
        """Close the descriptor: the peer is gone, or the connection has come to its regular end."""
        if self.state == CLOSED:
            return 0
        if self.state == OPEN:
            self.close_code = ABNORMAL_CLOSURE
            self.close_reason = ""
        self.state = CLOSED
        self.backlog = None
        self.backlog_bytes = 0
        self.pong = None
        self.release()
        if self.finished:
            self.websockets.ended()
        else:
            self.websockets.orphans.add(self)  # those that the list of open connections does not know any more
        return self.settle_later()

    cdef int application_failed(self, BaseException error) except -1:
        """In the application's greenlet: it has raised `error`."""
        if isinstance(error, GreenletExit):
            return self.begin_close(GOING_AWAY, "")
        if self.state == OPEN or not isinstance(error, (WebSocketError, ConnectionError, StopIteration)):
            self.report(error)  # otherwise it is how it found out that the peer is gone
        self.begin_close(INTERNAL_ERROR, "")
        pass_interrupt(error)
        return 0

    cdef int request_finished(self, BaseException error) except -1:
        """In the request's greenlet: the application has returned, or raised `error`. Callbacks begin after that."""
        self.worker = None
        if error is not None:
            self.protocol = None
            self.application_failed(error)
        elif self.protocol is not None:
            return self.settle_later()
        else:
            self.begin_close(NORMAL_CLOSURE, "")
        return self.application_done()

    cdef int application_done(self) except -1:
        """Nobody is left who wants to hear of this connection."""
        self.finished = True
        self.websocket.forget()
        self.websocket = None
        if self.state == CLOSED:
            self.websockets.orphans.discard(self)
            self.websockets.ended()
        return 0

    def report(self, BaseException error):
        """Have the error log told of an error of the application."""
        try:
            self.websockets.on_error(self.websocket.environ, error, "the WebSocket application failed")
        except BaseException as second:
            self.context.hub.handle_error(self, type(second), second, second.__traceback__)

    # What the application's object calls.

    def ping(self, bytes payload not None):
        """Send a ping."""
        if self.state != OPEN:
            raise WebSocketError(MSG_ALREADY_CLOSED)
        self.take_turn(PyBytes_GET_SIZE(payload))
        self.put_control(OP_PING, payload)

    def start_close(self, int code, str reason):
        """Begin the closing handshake for the application, which needs not be told of it again."""
        if self.state == OPEN:
            self.told = self.reader is None
            self.inbox = None
            self.inbox_bytes = 0
            self.begin_close(code, reason)

    @property
    def server(self):
        """The server that the connection belongs to."""
        return self.websockets.server

    @property
    def is_closed(self):
        """Whether no more messages can be sent."""
        return self.state != OPEN


@cython.final
cdef class CallbackGreenlet(RequestGreenlet):
    """The greenlet in which callbacks of one connection run."""

    cdef int serve(self) except -1:
        cdef Session session = self.session
        self.session = None
        return 0 if session is None else session.run_callbacks()
