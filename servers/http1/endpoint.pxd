cimport cython
from ..tls.channel cimport TlsContext
from .engine cimport Engine
from .head cimport HeadParser


@cython.final
cdef class Endpoint:
    cdef readonly Engine engine
    cdef TlsContext tls            # of every connection, or None
    cdef readonly HeadParser parser
