from ..runtime.deadlines cimport Timed
from .transport cimport Transport

cdef enum UpgradeState:
    OFFERED    # the application may still do either
    TAKEN      # the other protocol has the connection
    DECLINED   # the request is answered as HTTP


cdef class Upgrade(Timed):
    cdef Transport transport   # the request's connection while the offer stands
    cdef UpgradeState state
    cdef int take(self, Transport successor) except -1
    cdef int unanswered(self) except -1
    cdef int decline(self) except -1
    cdef int finished(self, BaseException error) except -1
