"""The byte buffer in which responses are put together. No I/O."""

cimport cython
from libc.stdlib cimport free, malloc, realloc


@cython.final
cdef class OutBuffer:
    """A growing byte buffer in which responses are put together."""

    def __cinit__(self):
        self.capacity = 16384
        self.data = <char*>malloc(self.capacity)
        if self.data == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.data)

    cdef int reserve(self, size_t more) except -1:
        """Make room for `more` bytes behind `size`."""
        cdef char* larger
        cdef size_t capacity = self.capacity
        if self.size + more > capacity:
            while capacity < self.size + more:
                capacity *= 2
            larger = <char*>realloc(self.data, capacity)
            if larger == NULL:
                raise MemoryError()
            self.data = larger
            self.capacity = capacity
        return 0
