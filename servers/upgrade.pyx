"""An upgrade: another protocol may take over the connection of a request that asks for it (RFC 9110 section 7.8).

The two sides of it meet here, so that neither knows the other. The HTTP side carries the offer along with the request,
declines it when it begins to answer, and says when the application has finished. The other side takes the connection
while the offer stands, at any time in the request's life; from then on the HTTP side sends nothing.
"""

from ..runtime.deadlines cimport Timed, unlink


cdef class Upgrade(Timed):
    """The offer of one request. A subclass is a protocol's."""

    cdef int take(self, Transport successor) except -1:
        """Move the connection to `successor`, which is new. The offer must stand."""
        cdef Transport transport = self.transport
        unlink(&self.link_in)
        self.state = TAKEN
        self.transport = None
        return transport.hand_over(successor)

    cdef int unanswered(self) except -1:
        """The application has returned without an answer; whoever takes the connection may still do so."""
        return 0

    cdef int decline(self) except -1:
        """The request is answered as HTTP; nothing happens when the connection has been taken."""
        if self.state == OFFERED:
            unlink(&self.link_in)
            self.state = DECLINED
            self.transport = None
        return 0

    cdef int finished(self, BaseException error) except -1:
        """After `take`: the application has returned, or raised `error`. Called in the request's greenlet."""
        return 0
