cimport cython
from libc.string cimport memcpy


@cython.final
cdef class OutBuffer:
    cdef char* data
    cdef size_t size
    cdef size_t capacity
    cdef int reserve(self, size_t more) except -1

    cdef inline int append(self, const char* piece, size_t size) except -1:
        if self.size + size > self.capacity:
            self.reserve(size)
        memcpy(self.data + self.size, piece, size)
        self.size += size
        return 0
