cdef extern from "greenlet.h":
    ctypedef class greenlet.greenlet [object PyGreenlet]:
        pass


cdef class RequestGreenlet(greenlet):
    cdef object target
    cdef list links
    cdef bint finished
    cdef object _minimal_ident


cdef object start(object target)
cdef object resume(greenlet waiting)
cdef greenlet current()
