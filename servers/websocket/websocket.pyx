"""`environ["wsgi.websocket"]`: the object through which an application uses its WebSocket.

It is a subclass of gevent-websocket's class, for code that asks, and has its methods and attributes; the connection and
the protocol are in the session. The handshake is completed when the application first uses it, so that one that
answers the request as HTTP, or takes the socket for itself, can do that.
"""

from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.handler import Client
from geventwebsocket.websocket import MSG_ALREADY_CLOSED
from geventwebsocket.websocket import WebSocket as GeventWebSocket

from .frames cimport OP_BINARY, OP_CLOSE, OP_PING, OP_PONG, OP_TEXT, is_valid_close_code
from .session cimport Session

import logging
import struct

log = logging.getLogger("hublet.websocket")


class WebSocket(GeventWebSocket):
    """One WebSocket, with the interface of `geventwebsocket.websocket.WebSocket`.

    Any number of greenlets may send at once; one may receive. `close_code` and `close_reason` say how the connection was
    closed (RFC 6455 section 7.4): by the peer's close frame, by our own, or 1006 when it broke off.
    """

    __slots__ = ("_opening", "_session", "_environ", "_protocol", "_handler", "_client", "__weakref__")

    def __init__(self, environ, opening):
        self._environ = environ
        self._opening = opening
        self._session = self._handler = self._client = self._protocol = None

    def __del__(self):
        """Nothing: the connection does not end with this object."""

    def __repr__(self):
        state = "not accepted" if self._session is None else "closed" if self._session.is_closed else "open"
        return f"<WebSocket {self.path} from {self.handler.client_address}: {state}>"

    def __iter__(self):
        """Iterate over the messages, until the connection is closed."""
        self.accept()
        try:
            yield from iter(self.receive, None)
        except WebSocketError:
            pass  # the application has closed it, between two messages

    def accept(self):
        """Complete the handshake now rather than at the first use. Raises WebSocketError where it is too late."""
        if self._session is None:
            self._opening.accept()

    def accepted(self, session, protocol):
        """The handshake is being completed. For the server."""
        self._session = session
        self._protocol = protocol
        self._opening = None

    def serve_callbacks(self, protocol):
        """Have `on_message` and `on_close` of a gevent-websocket protocol called when the application has returned."""
        self._session.serve_callbacks(protocol)

    def forget(self):
        """The application has finished: undo the cycle of objects. For the server."""
        self._environ["wsgi.websocket"] = None

    # Messages.

    def receive(self, timeout=None):
        """Wait for the next message: a str, or a bytearray for a binary one. None, once, when the connection is closed.

        After that WebSocketError is raised. With a `timeout`, in seconds, TimeoutError is raised when nothing has come;
        nothing is lost then, nor when any other exception interrupts the wait.
        """
        if self._session is None:
            self._opening.accept()
        return (<Session>self._session).next_message(timeout)

    def send(self, message, binary=None):
        """Send one message: a str as text, anything like bytes as binary, or as `binary` says.

        It waits while more than `websocket_buffer` bytes wait for the peer. Raises WebSocketError when the connection is
        closed, TypeError for what is no message, and ValueError for text that is not UTF-8.
        """
        if self._session is None:
            self._opening.accept()
        (<Session>self._session).send_message(message, binary)

    def ping(self, payload=b""):
        """Send a ping of up to 125 bytes. Raises WebSocketError when the connection is closed.

        The server sends pings of its own and closes the connection when one is not answered.
        """
        data = payload.encode() if isinstance(payload, str) else bytes(payload)
        if len(data) > 125:
            raise ValueError(f"a ping carries at most 125 bytes, not {len(data)} (RFC 6455 section 5.5)")
        self.accept()
        self._session.ping(data)

    def close(self, code=1000, message=b""):
        """Begin the closing handshake, with a code and a reason of up to 123 bytes; nothing happens if it is closed.

        Returns at once: the server waits for the peer's answer. Raises ValueError for a code that must not be sent.
        """
        code = 1000 if code is None else code
        if not is_valid_close_code(code):
            raise ValueError(f"close code {code!r}: must be 1000 to 1003, 1007 to 1014, or 3000 to 4999 (RFC 6455 7.4)")
        reason = message.decode() if isinstance(message, (bytes, bytearray)) else str(message or "")
        if self._session is None and not self._opening.is_declined:
            self._opening.accept()
        if self._session is not None:
            self._session.start_close(code, reason)

    def send_frame(self, message, opcode):
        """Send a message or a control frame by its opcode, as gevent-websocket does."""
        if opcode == OP_PING:
            self.ping(message or b"")
        elif opcode == OP_CLOSE:
            code = struct.unpack("!H", message[:2])[0] if message else 1000
            self.close(code, message[2:] if message else b"")
        elif opcode in (OP_TEXT, OP_BINARY):
            self.send(message, opcode == OP_BINARY)
        elif opcode != OP_PONG:  # the server has answered the ping already
            raise ValueError(f"opcode {opcode!r}: must be one of the OPCODE_ constants, and not OPCODE_CONTINUATION")

    # State.

    @property
    def closed(self):
        """Whether the connection is closed, or being closed: nothing more can be sent."""
        if self._session is None:
            if self._opening.is_declined:
                return True
            self._opening.accept()
        return self._session.is_closed

    @property
    def close_code(self):
        """The code the connection was closed with; None while it is open."""
        return self._session.close_code if self._session is not None and self._session.is_closed else None

    @property
    def close_reason(self):
        """The reason that came with the code, which may be empty; None while the connection is open."""
        return self._session.close_reason if self._session is not None and self._session.is_closed else None

    # The request.

    @property
    def environ(self):
        """The environ of the request."""
        return self._environ

    @property
    def origin(self):
        """The Origin field, or None."""
        return self._environ.get("HTTP_ORIGIN")

    @property
    def protocol(self):
        """The subprotocol agreed upon; where none was, what the client offered, as in gevent-websocket."""
        return self._protocol or self._environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL")

    @property
    def version(self):
        """The Sec-WebSocket-Version field."""
        return self._environ.get("HTTP_SEC_WEBSOCKET_VERSION")

    @property
    def path(self):
        """PATH_INFO."""
        return self._environ.get("PATH_INFO")

    @property
    def handler(self):
        """What gevent-websocket has there: `server`, `client_address`, `active_client` and more."""
        if self._handler is None:
            self._handler = Handler(self)
        return self._handler

    @property
    def client(self):
        """The entry of this connection in `server.clients`."""
        if self._client is None:
            self._client = Client(self.handler.client_address, self)
        return self._client

    @property
    def current_app(self):
        """Nothing, as in gevent-websocket with its own `Resource`."""
        return None

    @property
    def logger(self):
        """The logger of the server's WebSocket side."""
        return log

    # Names of gevent-websocket's own workings. The frames are read elsewhere.

    read_message = receive
    stream = raw_read = raw_write = utf8validator = utf8validate_last = None


class Handler:
    """The part of gevent-websocket's WebSocketHandler that applications look at."""

    __slots__ = ("websocket", "server")

    def __init__(self, websocket):
        self.websocket = websocket
        self.server = (websocket._session or websocket._opening).server

    @property
    def environ(self):
        """The environ of the request."""
        return self.websocket.environ

    @property
    def application(self):
        """The WSGI application."""
        return self.server.application

    @property
    def client_address(self):
        """Host and port of the peer."""
        environ = self.websocket.environ
        port = environ.get("REMOTE_PORT") or "0"
        return environ.get("REMOTE_ADDR", ""), int(port)

    @property
    def active_client(self):
        """The entry of this connection in `server.clients`."""
        return self.websocket.client

    @property
    def logger(self):
        """The logger of the server's WebSocket side."""
        return log
