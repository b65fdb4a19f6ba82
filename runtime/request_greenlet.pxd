cdef extern from "greenlet.h":
    ctypedef class greenlet.greenlet [object PyGreenlet]:
        pass


cdef class RequestGreenlet(greenlet):
    cdef list links
    cdef bint finished
    cdef object _minimal_ident
    cdef int serve(self) except -1


cdef int start(RequestGreenlet fresh) except -1
cdef int resume(greenlet waiting) except -1
cdef greenlet current()
