cimport cython
from ..transport cimport Transport
from ..upgrade cimport Upgrade
from .session cimport Session, WebSocketContext


@cython.final
cdef class Opening(Upgrade):
    cdef WebSocketContext websockets
    cdef dict environ
    cdef object offer
    cdef object websocket
    cdef Session session           # after `accept`
    cdef TakenConnection taken     # after `take_socket`
    cdef int open_session(self, str protocol) except -1


@cython.final
cdef class TakenConnection(Transport):
    cdef object socket             # the application's
