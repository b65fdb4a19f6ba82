"""A WebSocket request between its arrival and the first use of `wsgi.websocket`: the handshake waits for that.

Until then the application may do one of three things: use the WebSocket, which completes the handshake; answer the
request as HTTP, a 404 perhaps; or take the socket itself, as simple-websocket does, which writes a handshake of its own.
An application that holds the WebSocket without using it, say to be broadcast to, is connected after a moment.
"""

cimport cython
from cpython.object cimport PyObject

import os
from io import RawIOBase

from gevent import GreenletExit, socket, spawn
from geventwebsocket.exceptions import WebSocketError

from ...runtime.deadlines cimport DeadlineQueue, unlink
from ..transport cimport Transport
from ..upgrade cimport DECLINED, OFFERED, TAKEN, Upgrade
from .session cimport Session, WebSocketContext

from .deflate import Deflater, Inflater
from .handshake import accept_head, choose_protocol
from .taken_socket import TakenSocket
from .websocket import WebSocket

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* each)

cdef extern from *:
    """
    #include <sys/socket.h>
    static void hublet_end_connection(int fd) { shutdown(fd, SHUT_RDWR); }
    """
    void hublet_end_connection(int fd) noexcept

# Values that the environs of open connections have in common: they are alike in nearly all of them, and many are open.
cdef dict SHARED = {}
cdef enum:
    MOST_SHARED = 1024
    LONGEST_SHARED = 256
# What every connection has for itself.
cdef frozenset UNIQUE = frozenset((
    "REMOTE_PORT", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "QUERY_STRING", "RAW_URI",
))


cdef int share_values(dict environ) except -1:
    """Let an environ that is going to stay refer to strings that others have already."""
    if len(SHARED) > MOST_SHARED:
        SHARED.clear()
    for name, value in environ.items():
        if type(value) is str and len(value) <= LONGEST_SHARED and name not in UNIQUE:
            environ[name] = SHARED.setdefault(value, value)
    return 0


class NoInput(RawIOBase):
    """`wsgi.input` of all requests that have become WebSockets, at its end: a handshake has no body."""

    def readable(self):
        """Return True."""
        return True

    def readinto(self, buffer):
        """Read nothing."""
        return 0

    def close(self):
        """Stay open for the others."""


NO_INPUT = NoInput()

# What refers to a WebSocket that the application has not touched: its environ, and its opening.
cdef enum:
    UNTOUCHED = 2


@cython.final
cdef class Opening(Upgrade):
    """The offer of one request, whose handshake has been checked. `offer` is what the client asks for."""

    def __init__(self, WebSocketContext websockets not None, dict environ not None, offer):
        self.websockets = websockets
        self.environ = environ
        self.offer = offer
        self.websocket = WebSocket(environ, self)
        environ["wsgi.websocket"] = self.websocket
        environ["wsgi.websocket_version"] = environ["HTTP_SEC_WEBSOCKET_VERSION"]
        # The key under which gunicorn has the socket is the one that the most libraries look for.
        environ["gunicorn.socket"] = TakenSocket(self.take_socket)
        websockets.accept_queue.add(&self.link_in)

    @property
    def server(self):
        """The server that the connection belongs to."""
        return self.websockets.server

    @property
    def is_declined(self):
        """Whether the request is answered as HTTP, so that there is no WebSocket."""
        return self.state == DECLINED or self.taken is not None

    def accept(self):
        """Complete the handshake. Raises WebSocketError where something else has been done with the request."""
        if self.state == OFFERED:
            unlink(&self.link_in)
            # The application's own code chooses; it may even wait, and something else may happen meanwhile.
            protocol = self.choose_protocol()
            if self.state == OFFERED:
                self.open_session(protocol)
        if self.session is None:
            raise WebSocketError(
                "the socket has been taken over by the application" if self.taken is not None
                else "there is no WebSocket: the request has been answered as HTTP, or its connection closed"
            )

    def choose_protocol(self):
        """The subprotocol: of the server's list, or what the application says for this path."""
        supported = self.websockets.subprotocols
        choose = getattr(self.websockets.server.application, "app_protocol", None)
        if choose is not None and self.offer.protocols:
            named = choose(self.environ["PATH_INFO"])
            supported = ((named, *supported) if isinstance(named, str) else (*(named or ()), *supported))
        return choose_protocol(self.offer.protocols, supported)

    cdef int open_session(self, str protocol) except -1:
        cdef Session session
        agreement = self.offer.agreement
        head = accept_head(self.offer, protocol, self.websockets.server_line)
        if agreement is None:
            session = Session(self.websockets, self.websocket, None, None)
        else:
            session = Session(self.websockets, self.websocket, Inflater(agreement), Deflater(agreement))
        self.take(session)
        self.session = session
        self.websocket.accepted(session, protocol)
        self.websocket = None
        self.environ.pop("gunicorn.socket", None)
        self.environ["wsgi.input"] = NO_INPUT
        share_values(self.environ)
        return session.open(head)

    def take_socket(self):
        """Give the connection to the application, which does everything itself; returns a gevent socket and its input.

        The input is what has been received already. Raises WebSocketError where it is too late.
        """
        cdef bytes unread
        cdef TakenConnection taken
        if self.state != OFFERED:
            raise WebSocketError("the socket cannot be taken: the request has been answered, or the WebSocket been used")
        taken = TakenConnection.__new__(TakenConnection)
        self.take(taken)
        self.taken = taken
        self.websockets.open_sessions += 1
        self.websocket = None
        unread = taken.buffer[taken.buffer_start:taken.buffer_end] if taken.buffered() else b""
        taken.use(taken.buffered())
        taken.socket = socket.socket(fileno=os.dup(taken.fd))
        return taken.socket, unread

    cdef int expired(self, DeadlineQueue queue) except -1:
        """The application has not used its WebSocket; if it holds it, that means that it waits for something else."""
        if Py_REFCNT(<PyObject*>self.websocket) > UNTOUCHED:
            spawn(self.accept_unused)
        else:
            queue.add(&self.link_in)
        return 0

    def accept_unused(self):
        """Complete the handshake in the application's place; `app_protocol` may wait."""
        try:
            self.accept()
        except WebSocketError:
            pass  # something else has been done with the request meanwhile
        except BaseException as error:
            self.websockets.on_error(self.environ, error, "the WebSocket handshake failed")

    cdef int unanswered(self) except -1:
        """It had nothing to say on the WebSocket: complete the handshake, as gevent-websocket does, and close."""
        if self.state == OFFERED:
            self.accept()
        return 0

    cdef int decline(self) except -1:
        Upgrade.decline(self)
        self.websocket = None
        return 0

    cdef int finished(self, BaseException error) except -1:
        if self.session is not None:
            return self.session.request_finished(error)
        self.taken.worker = None
        hublet_end_connection(self.taken.fd)  # the application may have duplicates of the descriptor
        if self.taken.socket is not None:
            self.taken.socket.close()
        self.taken.close()
        self.websockets.ended()
        # ConnectionError and StopIteration are how libraries tell servers that there is no response to send.
        if error is not None and not isinstance(error, (OSError, StopIteration, GreenletExit)):
            self.websockets.on_error(self.environ, error, "the application failed after taking the socket")
        return 0


@cython.final
cdef class TakenConnection(Transport):
    """The place among the server's connections of one that the application has taken over."""

    cdef int wind_down(self) except -1:
        hublet_end_connection(self.fd)  # which the application finds out by reading
        return 0
