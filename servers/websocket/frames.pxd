cimport cython


cdef enum Event:
    NEED_MORE     # all input is used; nothing is complete
    MESSAGE       # `message`: str for text, bytearray for binary
    PING          # `payload`
    PONG          # `payload`
    CLOSE         # `close_code`, 1005 if the frame has none, and `reason`
    FAILED        # `close_code` to fail the connection with (1002, 1007 or 1009), and `reason`, the rule that is broken


cdef enum:
    FIN = 0x80
    RSV1 = 0x40
    OP_CONTINUATION = 0
    OP_TEXT = 1
    OP_BINARY = 2
    OP_CLOSE = 8
    OP_PING = 9
    OP_PONG = 10
    MAX_HEADER = 10    # of a frame that is not masked
    MAX_MASKED = 14    # of one that is


@cython.final
cdef class MessageReader:
    cdef readonly object message
    cdef readonly bytes payload
    cdef readonly str reason
    cdef object inflater                 # None unless permessage-deflate was agreed upon
    cdef bytes control                   # the payload of a control frame, as far as it is here
    cdef bytearray collected             # the message so far, unmasked and inflated; longer than `size`, in advance
    cdef size_t size
    cdef size_t max_message              # 0: unlimited
    cdef unsigned long long wire_size    # the lengths of the message's frames so far
    cdef unsigned long long remaining    # payload of the frame that has not arrived
    cdef readonly int close_code
    cdef Event ending                    # CLOSE or FAILED once either has been; NEED_MORE before
    cdef unsigned char mask[4]           # turned so that the next byte of payload meets the first
    cdef unsigned char head[MAX_MASKED]  # the beginning of a header whose rest has not arrived
    cdef unsigned char head_size
    cdef unsigned char first_byte        # of the current frame
    cdef unsigned char opcode            # of the current message; 0 between messages
    cdef unsigned char utf8
    cdef bint in_frame                   # behind a frame's header and not at its end
    cdef bint compressed                 # the current message is
    cdef bint wide                       # its text is not all ASCII
    cdef bint from_client
    cdef Event read(self, const char* data, size_t size, size_t* used) except *
    cdef object take_message(self)
    cdef size_t take_header(self, const char* data, size_t size) except? 0
    cdef size_t parse_header(self, const unsigned char* head, size_t size) except? 0
    cdef str first_byte_problem(self, int first)
    cdef str length_problem(self, const unsigned char* head, size_t size)
    cdef void begin_frame(self, int first, unsigned long long length) noexcept
    cdef Event take_payload(self, const char* data, size_t size) except *
    cdef Event take_control(self, const char* data, size_t size) except *
    cdef Event end_close(self, bytes payload) except *
    cdef Event take_whole(self, const char* data, size_t size) except *
    cdef Event take_compressed(self, const char* data, size_t size) except *
    cdef Event inflate(self, bytes piece) except *
    cdef Event collect(self, const char* data, size_t size, const unsigned char* mask) except *
    cdef int reserve(self, size_t more) except -1
    cdef Event end_message(self) except *
    cdef Event deliver(self, object message) noexcept
    cdef Event fail(self, int code, str reason) noexcept


cdef size_t put_frame_header(char* into, int first_byte, size_t size) noexcept
cdef bint is_utf8(const char* data, size_t size) noexcept
cpdef bint is_valid_close_code(long long code) noexcept
