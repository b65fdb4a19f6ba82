"""Parts of a request target, and of the Host field (RFC 3986)."""

from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdlib cimport free, malloc
from libc.string cimport memchr

from .chars cimport HUBLET_DIGIT, HUBLET_HEX, HUBLET_HOST, class_span, hublet_chars_init, hublet_hex_value, is_class

hublet_chars_init()


cdef bint is_authority(const char* p, size_t n) noexcept:
    """Whether `p` is host [":" port] as RFC 3986 section 3.2 has it, with a host and without user information."""
    cdef size_t end, i
    cdef int port = 0
    if n and p[0] == c"[":
        end = 1
        while end < n and (is_class(p[end], HUBLET_HEX) or p[end] == c":" or p[end] == c"."):
            end += 1
        if end < 3 or end >= n or p[end] != c"]":
            return False
        end += 1
    else:
        end = class_span(p, n, HUBLET_HOST)
        if end == 0:
            return False
        if memchr(p, c"%", end) != NULL:
            for i in range(end):
                if p[i] == c"%" and not (
                    i + 2 < end and is_class(p[i + 1], HUBLET_HEX) and is_class(p[i + 2], HUBLET_HEX)
                ):
                    return False
    if end == n:
        return True
    if p[end] != c":":
        return False
    for i in range(end + 1, n):
        if not is_class(p[i], HUBLET_DIGIT):
            return False
        port = port * 10 + (p[i] - c"0")
        if port > 65535:
            return False
    return True


cdef str decode_path(const char* path, size_t size):
    """Percent-decode to latin-1 text, as PEP 3333 wants PATH_INFO; None when malformed."""
    cdef char* buffer = <char*>malloc(size)
    cdef size_t i = 0, used = 0
    if buffer == NULL:
        raise MemoryError()
    try:
        while i < size:
            if path[i] != c"%":
                buffer[used] = path[i]
                i += 1
            else:
                if i + 2 >= size or not (is_class(path[i + 1], HUBLET_HEX) and is_class(path[i + 2], HUBLET_HEX)):
                    return None
                buffer[used] = <char>(
                    hublet_hex_value[<unsigned char>path[i + 1]] * 16 + hublet_hex_value[<unsigned char>path[i + 2]]
                )
                if buffer[used] == 0:
                    return None
                i += 3
            used += 1
        return PyUnicode_DecodeLatin1(buffer, used, NULL)
    finally:
        free(buffer)
