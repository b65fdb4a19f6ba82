cimport cython


cdef enum ScanResult:
    SCAN_REJECTED = -1
    SCAN_INCOMPLETE = 0
    SCAN_COMPLETE = 1


cdef struct ScanState:
    size_t position      # bytes already looked at
    size_t line_start    # where the line being looked at begins
    size_t head_start    # where the request line begins, after leading empty lines
    size_t fields_start  # where the first field line begins; 0 while in the request line
    int fields           # field lines seen
    bint line_parsed     # the last call of scan has parsed the request line


@cython.final
cdef class Head:
    cdef public dict environ
    cdef readonly size_t size
    cdef readonly int minor
    cdef readonly long long content_length
    cdef readonly bint chunked
    cdef readonly bint keep_alive
    cdef readonly bint expect_continue
    cdef readonly bint upgrade
    cdef readonly bint is_head
    cdef readonly bint forwarded


@cython.final
cdef class HeadParser:
    cdef dict template
    cdef size_t max_request_line
    cdef size_t max_header_size
    cdef int max_header_fields
    cdef size_t max_field_size     # 0: as long as the section may be
    cdef readonly unsigned long long dropped_fields
    cdef readonly int status
    cdef readonly str reason
    # What the fields of the head being parsed have said so far.
    cdef const char* te_value
    cdef size_t te_size
    cdef int te_count
    cdef int length_count
    cdef int host_count
    cdef bint said_close
    cdef bint said_keep_alive
    cdef bint absolute
    cdef ScanResult scan(self, const char* data, size_t size, ScanState* state, Head head) except *
    cdef bint parse_into(self, const char* data, ScanState* state, Head head) except *
    cdef bint reject(self, int status, str reason) noexcept
    cdef bint begin_head(self, const char* line, size_t size, Head head) except *
    cdef bint parse_request_line(self, const char* line, size_t size, Head head) except *
    cdef bint parse_target(self, const char* target, size_t size, str method, Head head) except *
    cdef bint parse_absolute(self, const char* target, size_t size, size_t* path, Head head) except *
    cdef bint parse_field(self, const char* line, size_t size, Head head) except *
    cdef bint parse_special(self, int special, const char* value, size_t size, Head head) except *
    cdef bint parse_expect(self, const char* value, size_t size, Head head) except *
    cdef bint parse_connection(self, const char* value, size_t size, Head head) noexcept
    cdef bint parse_content_length(self, const char* value, size_t size, Head head) noexcept
    cdef bint settle_framing(self, Head head) except *
    cdef bint refuse_coding(self) except *
