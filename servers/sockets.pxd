"""The kernel's calls on a connected socket, and what is returned for those that cannot be done (now)."""

cdef extern from *:
    """
    #include <sys/types.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0  /* macOS: SO_NOSIGPIPE is set on the socket instead */
    #endif
    #ifndef MSG_MORE
    #define MSG_MORE 0
    #endif
    """
    enum:
        MSG_NOSIGNAL
        MSG_MORE
        SHUT_RD
        SHUT_WR
        SHUT_RDWR

cdef extern from "<sys/uio.h>":
    cdef struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>":
    cdef struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    Py_ssize_t c_recv "recv"(int fd, void* into, size_t size, int flags) noexcept
    Py_ssize_t c_send "send"(int fd, const void* data, size_t size, int flags) noexcept
    Py_ssize_t c_sendmsg "sendmsg"(int fd, const msghdr* message, int flags) noexcept
    int c_shutdown "shutdown"(int fd, int how) noexcept

cdef enum:
    WOULD_BLOCK = -1
    GONE = -2
