cimport cython
from ..sockets cimport iovec

cdef enum Shake:
    SHAKE_WAITS    # for the peer, or for room to send
    SHAKE_DONE
    SHAKE_FAILED   # the reason is in `failure`
    SHAKE_PLAIN    # the peer does not speak TLS but HTTP


@cython.final
cdef class TlsContext:
    cdef public object ssl_context   # of new connections
    cdef object describe             # called as describe(ssl_object) after a handshake: what it adds to the environ
    cdef object incoming             # to OpenSSL, from the peer
    cdef object outgoing             # from OpenSSL, to the peer
    cdef char* raw                   # received, still encrypted
    cdef char* plain                 # gathered, to be encrypted

    cdef int clear(self) noexcept


@cython.final
cdef class TlsChannel:
    cdef TlsContext context
    cdef object ssl_object
    cdef readonly dict environ       # what requests find in their environ, once the handshake is done
    cdef readonly str failure        # why the handshake, or the connection, cannot go on
    cdef bytes unread                # received and not yet decrypted, or None
    cdef bytes unsent                # encrypted and not yet taken by the kernel, or None
    cdef size_t unsent_start
    cdef size_t owed                 # how much of what is sent next has been encrypted into `unsent` already
    cdef bint begun                  # something has been received
    cdef bint filled                 # the last read was as large as it could be: there may be more behind it
    cdef bint ended                  # the peer sends no more
    cdef bint parting                # what is encrypted next is the last; the close_notify goes with it
    cdef bint silent                 # we send no more, but for what is owed
    cdef bint announced              # the transport has its reader called although the kernel has nothing

    cdef Shake shake(self, int fd) except *
    cdef Py_ssize_t receive(self, int fd, char* into, size_t size) noexcept
    cdef Py_ssize_t transmit(self, int fd, iovec* pieces, int count, int flags) noexcept
    cdef int end(self, int fd) noexcept
    cdef bint has_input(self) noexcept
    cdef bint has_output(self) noexcept
    cdef Py_ssize_t decrypt(self, int fd, char* into, size_t size) except? -2
    cdef Py_ssize_t read_records(self, int fd, char* into, size_t size) except? -2
    cdef Py_ssize_t encrypt(self, int fd, iovec* pieces, int count, int flags) except? -2
    cdef int collect(self) except -1
    cdef Py_ssize_t push(self, int fd, int flags) noexcept
    cdef int flush(self, int fd) noexcept
    cdef int say_goodbye(self) except -1
    cdef int fall_silent(self) noexcept
    cdef int fail(self, int fd, object error) except -1


cdef TlsChannel make_channel(TlsContext context)
