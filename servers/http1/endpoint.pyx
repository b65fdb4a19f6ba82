"""A listening address: accepts its connections, which are read as it says."""

cimport cython
from libc.errno cimport ECONNABORTED, EAGAIN, EINTR, errno

from .connection cimport Connection

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <arpa/inet.h>
    #include <fcntl.h>
    #include <netinet/in.h>
    #include <poll.h>
    #include <stdio.h>
    #include <sys/socket.h>
    #include <unistd.h>

    typedef struct { char host[INET6_ADDRSTRLEN]; char port[8]; } hublet_peer;

    /* Accept one connection, non-blocking and close-on-exec; its descriptor, or -1 with errno. */
    static int hublet_accept(int listener, hublet_peer *peer) {
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);
        int fd;
    #ifdef __linux__
        fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    #else
        fd = accept(listener, (struct sockaddr *)&address, &size);
        if (fd >= 0) {
            int on = 1;
            fcntl(fd, F_SETFL, O_NONBLOCK);
            fcntl(fd, F_SETFD, FD_CLOEXEC);
        #ifdef SO_NOSIGPIPE
            setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
        #endif
        }
    #endif
        peer->host[0] = peer->port[0] = 0;
        if (fd < 0) return fd;
        if (address.ss_family == AF_INET) {
            struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
            inet_ntop(AF_INET, &v4->sin_addr, peer->host, sizeof(peer->host));
            snprintf(peer->port, sizeof(peer->port), "%u", (unsigned)ntohs(v4->sin_port));
        } else if (address.ss_family == AF_INET6) {
            struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
            inet_ntop(AF_INET6, &v6->sin6_addr, peer->host, sizeof(peer->host));
            snprintf(peer->port, sizeof(peer->port), "%u", (unsigned)ntohs(v6->sin6_port));
        }
        return fd;
    }

    /* Whether a connection waits to be accepted. */
    static int hublet_is_pending(int listener) {
        struct pollfd look = {listener, POLLIN, 0};
        return poll(&look, 1, 0) > 0;
    }
    """
    ctypedef struct hublet_peer:
        char host[46]
        char port[8]
    int hublet_accept(int listener, hublet_peer* peer) noexcept
    bint hublet_is_pending(int listener) noexcept


@cython.final
cdef class Endpoint:
    """One listening address of an engine: the environ that its requests start from, and its TLS, if it has that."""

    def __init__(self, Engine engine not None, dict base_environ not None, settings, TlsContext tls=None):
        self.engine = engine
        self.tls = tls
        # Filled in for every request; there from the beginning so that the environ does not have to grow.
        base = dict(base_environ, REMOTE_ADDR="", REMOTE_PORT="")
        base["wsgi.input"] = None
        self.parser = HeadParser(
            base, settings.max_request_line, settings.max_header_size, settings.max_header_fields,
            settings.max_field_size,
        )

    def accept(self, int listener, int batch):
        """Accept what waits on `listener`, up to a batch.

        Returns 0, the errno that ended it early, or -1 when there is no room; the engine's `on_room` is called when there is again.
        """
        cdef hublet_peer peer
        cdef int fd, accepted = 0
        while accepted < batch:
            if self.engine.is_full():
                if not hublet_is_pending(listener):
                    return 0
                if not self.engine.make_room():
                    self.engine.pausing = True
                    return -1
            fd = hublet_accept(listener, &peer)
            if fd < 0:
                if errno == EAGAIN:
                    return 0
                if errno == EINTR or errno == ECONNABORTED:
                    continue
                return errno
            accepted += 1
            self.adopt(fd, peer.host.decode("ascii"), peer.port.decode("ascii"))
        return 0

    def adopt(self, int fd, str host, str port):
        """Serve a connection that somebody else has accepted, whose non-blocking descriptor becomes ours."""
        cdef Connection connection = Connection.__new__(Connection)
        connection.open(self.engine, self.parser, self.tls, fd, host, port)
