from ..runtime.deadlines cimport DeadlineQueue, Link, Sweeper
from ..runtime.request_greenlet cimport greenlet
from .out_buffer cimport OutBuffer
from .sockets cimport GONE, MSG_MORE, MSG_NOSIGNAL, WOULD_BLOCK, iovec
from .tls.channel cimport TlsChannel
from .turn_output cimport TurnOutput, TurnSender

cdef enum:
    READ = 1   # gevent's event masks
    WRITE = 2


cdef class IoContext:
    cdef object hub
    cdef object loop
    cdef char* scratch
    cdef OutBuffer out
    cdef TurnOutput turn
    cdef Sweeper sweeper
    cdef DeadlineQueue write_queue
    cdef DeadlineQueue linger_queue
    cdef Link transports   # every open one, linked by `link_all`
    cdef readonly int open_connections
    cdef public object on_idle             # called, while draining, when something has ended, or None
    cdef readonly bint draining            # no connection is kept for another request
    cdef bint stopping                     # what still runs is being killed
    cdef list deferred     # what `later` was given, while it waits for its turn
    cdef object check_watcher
    cdef object idle_watcher
    cdef int later(self, object callback) except -1
    cdef int closed_one(self) except -1


cdef class Transport(TurnSender):
    cdef IoContext context
    cdef Link link_all
    cdef TlsChannel tls    # what encrypts the connection, or None
    cdef greenlet worker   # the application runs in it for this connection, or None
    cdef int fd
    cdef bint reading      # the read watcher is started
    cdef bint gone         # the peer is unreachable: nothing more can be sent or received
    cdef bint torn         # a response was cut inside: the connection cannot carry another
    cdef bint late_in      # the deadline of the present wait for input has passed
    cdef bint late_out     # the same for the wait for room to send
    cdef object read_watcher
    cdef object write_watcher
    cdef greenlet reader   # waits for input
    cdef greenlet writer   # waits for room to send
    cdef char* buffer      # received and not yet used
    cdef size_t buffer_start
    cdef size_t buffer_end
    cdef size_t buffer_capacity
    cdef int unsent        # what the kernel had not delivered when the present wait for room began
    cdef list dismissed    # greenlets to be woken because their request is over
    cdef size_t moved      # body bytes moved since this connection last waited

    cdef int enter(self, IoContext context, int fd) except -1
    cdef int hand_over(self, Transport successor) except -1
    cdef int wind_down(self) except -1
    cdef int abort(self) except -1
    cdef int close(self) except -1
    cdef Py_ssize_t receive(self, char* into, size_t size) noexcept
    cdef Py_ssize_t receive_decrypted(self, char* into, size_t size) noexcept
    cdef int announce(self) except -1
    cdef void part(self) noexcept
    cdef int end_stream(self) except -1
    cdef size_t buffered(self) noexcept
    cdef int keep(self, const char* data, size_t size) except -1
    cdef size_t take(self, char* into, size_t size) noexcept
    cdef void use(self, size_t size) noexcept
    cdef int start_reading(self) except -1
    cdef int stop_reading(self) except -1
    cdef int watch_for_room(self) except -1
    cdef bint wait_readable(self, DeadlineQueue queue) except -1
    cdef int wait_writable(self) except -1
    cdef int send(self, const char* data, size_t size) except -1
    cdef int send_in_turn(self, const char* data, size_t size) except -1
    cdef int send_pieces(self, iovec* pieces, int count, size_t volatile_pieces, int flags) except -1
    cdef int send_file(self, int source, long long offset, long long count, long long* sent) except -1
    cdef int send_file_encrypted(self, int source, long long offset, long long count, long long* sent) except -1
    cdef int yield_if_due(self) except -1
    cdef void note_unsent(self) noexcept
    cdef bint has_progressed(self) noexcept
    cdef int wake_late(self, DeadlineQueue queue) except -1
    cdef int dismiss(self) except -1
    cdef int forget_dismissed(self, greenlet waiting) except -1
    cdef int leave(self) except -1
    cdef int release(self) except -1
