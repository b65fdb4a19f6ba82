cimport cython
from .head cimport Head
from .request_body cimport RequestBody
from .response_head cimport ResponseHead
from ...runtime.deadlines cimport DeadlineQueue
from ..transport cimport IoContext, Transport, iovec
from ..upgrade cimport Upgrade


cdef class ExchangeContext(IoContext):
    cdef public object app
    cdef object on_error          # called as on_error(environ, exception, note)
    cdef bytes server_line        # "Server: ...\r\n", or empty
    cdef bint keeps_alive         # connections may carry another request
    cdef bint timed               # exchanges note the time of their first byte
    cdef DeadlineQueue body_queue
    cdef readonly int cut_off     # how many requests were killed while the server stopped
    cdef unsigned long long max_body


@cython.final
cdef class Exchange:
    cdef ExchangeContext context
    cdef Transport transport
    cdef readonly dict environ
    cdef RequestBody body
    cdef Upgrade upgrade          # what may take over the connection, or None
    cdef ResponseHead head        # None until start_response was called
    cdef long long total          # the body's whole size where it is known before it is sent, or -1
    cdef unsigned long long sent  # body bytes sent
    cdef double first_byte        # when the head was sent, if the context is timed
    cdef int minor
    cdef int sent_error           # the status of the server's own error response, or 0
    cdef bint is_head
    cdef bint keep_alive
    cdef bint over                # the request has ended: start_response and write are refused
    cdef bint head_sent
    cdef bint sending             # a greenlet is inside a send, or one was when it failed
    cdef bint bodiless            # this response has no body, whatever the application returns
    cdef bint chunked
    cdef bint close               # the connection ends with this response
    cdef bint cut_short           # the application failed inside the response
    cdef bint overrun             # more was offered than declared

    cdef int run(self) except -1
    cdef int withdraw_offer(self) except -1
    cdef int answer(self) except -1
    cdef bint is_taken(self) noexcept
    cdef int close_result(self, object close) except -1
    cdef int send_result(self, object result) except -1
    cdef int send_list(self, object pieces) except -1
    cdef int send_file(self, object source) except -1
    cdef int send_body(self, object data) except -1
    cdef int send_end(self) except -1
    cdef size_t within_length(self, size_t size) except? 0
    cdef long long promised(self) noexcept
    cdef int begin_sending(self) except -1
    cdef int end_sending(self, size_t size) noexcept
    cdef void part(self) noexcept
    cdef int emit(self, const char* data, size_t size) except -1
    cdef int put_head(self) except -1
    cdef int put_framing(self) except -1
    cdef int fail(self, BaseException error) except -1
    cdef bint ends_with_connection(self) noexcept
    cdef int send_error(self, int status, str text) except -1
    cdef int report(self, BaseException error, str note) except -1


cdef Exchange make_exchange(ExchangeContext context, Transport transport, Head head)
cdef Py_ssize_t put_simple_response(ExchangeContext context, int status, str text, bint with_body, bytes extra) except -1
