cimport cython
from ..out_buffer cimport OutBuffer


@cython.final
cdef class ResponseHead:
    cdef bytes lines              # the status line and the application's fields, each with its CRLF
    cdef int status
    cdef str status_text
    cdef long long content_length # -1: not declared
    cdef bint has_date
    cdef bint has_server
    cdef bint add_field(self, OutBuffer out, str name, str value) except *
    cdef object name_meaning(self, str name, const char* text, Py_ssize_t size)
    cdef int declare_length(self, str value, const char* text, Py_ssize_t size) except -1


cdef ResponseHead make_response_head(OutBuffer out, object status, object headers)
cdef bint is_bodiless(int status) noexcept
cdef int append_date(OutBuffer out) except -1
cdef int append_number(OutBuffer out, unsigned long long number, int base) except -1
