cdef bint is_authority(const char* p, size_t n) noexcept
cdef str decode_path(const char* path, size_t size)
