cimport cython
from ...runtime.deadlines cimport DeadlineQueue
from ...runtime.request_greenlet cimport RequestGreenlet
from ..transport cimport IoContext, Transport, iovec
from .frames cimport MessageReader

cdef enum State:
    OPEN
    CLOSING    # our close frame has been queued; the peer's has not come
    ENDING     # no more frames are read, and after those that are queued none is sent
    CLOSED


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
    cdef size_t buffer_limit
    cdef readonly tuple subprotocols
    cdef readonly bytes server_line
    cdef readonly int open_sessions
    cdef readonly unsigned long long accepted
    cdef set orphans               # sessions whose application runs although the connection is closed
    cdef object due                # sessions whose backlog is to be flushed by the hub
    cdef int ended(self) except -1
    cdef int flush_soon(self, Session session) except -1
    cdef int flush_some(self, Py_ssize_t most) except -1


@cython.final
cdef class Session(Transport):
    cdef WebSocketContext websockets
    cdef MessageReader frames
    cdef object deflater           # with permessage-deflate
    cdef public object websocket   # the application's object, until the application has finished
    cdef object protocol           # whose on_message and on_close are called, in callback style
    cdef list inbox                # messages that the application has not taken, or None
    cdef size_t inbox_bytes
    cdef bint paused               # the inbox is full: reading has stopped
    cdef list backlog              # bytes that have not been given to the kernel yet, or None
    cdef size_t backlog_start      # of its first
    cdef size_t backlog_bytes
    cdef list senders              # greenlets that wait for room in the backlog, or None
    cdef bytes pong                # to be sent after the backlog
    cdef State state
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
    cdef int send_message(self, object message, object binary) except -1
    cdef int wait_for_room(self) except -1
    cdef int put_frame(self, int first_byte, const char* data, size_t size) except -1
    cdef int put_off(self, bytes data) except -1
    cdef int wait_to_flush(self) except -1
    cdef bint has_room(self) noexcept
    cdef int drop_sent(self, size_t size) except -1
    cdef int put_control(self, int opcode, bytes payload) except -1
    cdef int put(self, iovec* pieces, int count) except -1
    cdef bint put_shared(self, bytes frame) except *
    cdef int flush(self) except -1
    cdef int begin_close(self, int code, str reason) except -1
    cdef int peer_closed(self) except -1
    cdef int fail_with(self, int code, str reason) except -1
    cdef int end(self) except -1
    cdef int finish_sending(self) except -1
    cdef int settle_later(self) except -1
    cdef int settle_now(self) except -1
    cdef int lost(self) except -1
    cdef int crash(self, BaseException error) except -1
    cdef int application_failed(self, BaseException error) except -1
    cdef int request_finished(self, BaseException error) except -1
    cdef int application_done(self) except -1


@cython.final
cdef class CallbackGreenlet(RequestGreenlet):
    cdef Session session
