cimport cython
from ...runtime.deadlines cimport DeadlineQueue
from ...runtime.request_greenlet cimport RequestGreenlet
from ..transport cimport IoContext
from .frames cimport MessageReader
from .sender cimport Flusher, FrameSender


@cython.final
cdef class WebSocketContext:
    cdef IoContext io
    cdef object on_error           # called as on_error(environ, exception, note)
    cdef readonly object server
    cdef DeadlineQueue ping_queue
    cdef DeadlineQueue pong_queue
    cdef DeadlineQueue close_queue
    cdef DeadlineQueue accept_queue
    cdef readonly size_t max_message
    cdef readonly str compression
    cdef Flusher flusher
    cdef readonly tuple subprotocols
    cdef readonly bytes server_line
    cdef public bint spreading     # while draining: connections are closed by `restart_clients`
    cdef readonly int open_sessions
    cdef readonly unsigned long long accepted
    cdef set orphans               # sessions whose application runs although the connection is closed
    cdef int ended(self) except -1


@cython.final
cdef class Session(FrameSender):
    cdef WebSocketContext websockets
    cdef MessageReader frames
    cdef object deflater           # with permessage-deflate
    cdef public object websocket   # the application's object, until the application has finished
    cdef object protocol           # whose on_message and on_close are called, in callback style
    cdef object receiver           # where the messages go in the end
    cdef list inbox                # messages that the application has not taken, or None
    cdef size_t inbox_bytes
    cdef bint paused               # the inbox is full: reading has stopped
    cdef bint heard                # something has arrived since the last ping
    cdef bint pinged               # a pong is awaited
    cdef bint told                 # the application has been told that the connection is closed
    cdef bint finished             # the application is done with it
    cdef bint settling             # `settle` has been put off to the loop
    cdef bint resuming             # `read_on` has been put off to the loop's next turn
    cdef readonly int close_code
    cdef readonly str close_reason

    cdef int open(self, bytes head) except -1
    cdef int pump(self) except -1
    cdef int digest(self, const char* data, size_t size, bint buffered) except -1
    cdef int collect(self, object message) except -1
    cdef object take_message(self)
    cdef int resume_input(self) except -1
    cdef object next_message(self, object timeout)
    cdef int wait_for_message(self) except -1
    cdef bint is_settled(self) noexcept
    cdef int call_back(self) except -1
    cdef int run_callbacks(self) except -1
    cdef int take_turn(self, size_t size) except -1
    cdef int close_stream(self) except -1
    cdef int send_message(self, object message, object binary) except -1
    cdef int begin_close(self, int code, str reason) except -1
    cdef int peer_closed(self) except -1
    cdef int fail_with(self, int code, str reason) except -1
    cdef int end(self) except -1
    cdef int settle_now(self) except -1
    cdef int application_failed(self, BaseException error) except -1
    cdef int request_finished(self, BaseException error) except -1
    cdef int application_done(self) except -1


@cython.final
cdef class CallbackGreenlet(RequestGreenlet):
    cdef Session session
