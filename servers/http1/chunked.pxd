cimport cython


@cython.final
cdef class ChunkedDecoder:
    cdef int state
    cdef int digits
    cdef bint has_name               # the extension name or value that was begun is not empty
    cdef bint padded                 # the last byte was white space between the parts of an extension
    cdef unsigned long long remaining
    cdef unsigned long long extension_size
    cdef unsigned long long extensions_size
    cdef unsigned long long trailer_size
    cdef readonly bint finished
    cdef readonly str reason         # what is wrong with the coding; None while nothing is
    cdef Py_ssize_t decode(self, const char* data, size_t size, char* out, size_t room, size_t* consumed) noexcept
    cdef bint size_line(self, unsigned char c) noexcept
    cdef bint extension(self, unsigned char c) noexcept
    cdef bint quoted(self, unsigned char c) noexcept
    cdef bint trailer(self, unsigned char c) noexcept
    cdef bint fail(self, str reason) noexcept
