"""WebSocket frames and the messages in them (RFC 6455 section 5). No I/O, no clock.

`MessageReader` takes bytes as they arrive and returns one event at a time. Payload is unmasked while it is copied to
where it stays: the str or bytearray itself when a message is whole in the input, a growing bytearray otherwise. Input
is never altered and never kept, so that one receive buffer can serve every connection; nothing switches greenlets while
it is read, for the only thing that is called is the inflater, and that is zlib, with a piece of its own.

The verdict on a stream never depends on how it was cut: each check looks only at bytes up to the one that decides it.
A header is judged byte by byte, the size of a message by the header of the frame that exceeds it, before any payload,
and text at the first byte after which it cannot be UTF-8 any more. What a peer announces is trusted up to 64 KiB;
beyond that, no more is allocated than twice what has arrived.
"""

cimport cython
from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_FromStringAndSize,
    PyByteArray_GET_SIZE,
    PyByteArray_Resize,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy

from .masking cimport hublet_mask_copy, hublet_mask_turn
from .utf8 cimport HUBLET_UTF8_BAD, HUBLET_UTF8_START, hublet_utf8_check

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 largest)
    void* PyUnicode_DATA(object text)
    size_t PY_SSIZE_T_MAX

cdef enum:
    RESERVED_BITS = 0x30     # RSV2 and RSV3: no extension that is served here uses them
    OPCODE_BITS = 0x0F
    CONTROL_BIT = 0x08
    MASK_BIT = 0x80
    LENGTH_BITS = 0x7F
    MAX_CONTROL = 125        # RFC 6455 section 5.5
    LENGTH_16 = 126          # the length is in the next two bytes
    LENGTH_64 = 127          # in the next eight
    AHEAD = 65536            # what is allocated at once on the strength of a declared length
    INFLATE_PIECE = 16384    # compressed bytes a call: they become 16 MiB at the most, if that is allowed at all

# Close codes of RFC 6455 section 7.4.
cdef enum:
    PROTOCOL_ERROR = 1002
    NO_CODE = 1005
    INVALID_DATA = 1007
    TOO_LARGE = 1009

cdef unsigned char[4] NO_MASK = [0, 0, 0, 0]
cdef str NOT_UTF8 = "a text message is not UTF-8"
cdef tuple NAMES = (None, "message", "ping", "pong", "close", "failed")


@cython.final
cdef class MessageReader:
    """Reads the messages of one peer. `from_client` says which side that is: clients mask, servers do not.

    A message over `max_message` bytes (0: no limit) fails the connection; of a compressed one both sizes count.
    `inflater`, if permessage-deflate was agreed upon, has two methods: `inflate(data, room)` for a piece of a message
    and `finish(room)` for its end. Both return at most `room` + 1 bytes, where the one more says that there are too
    many, and raise ValueError for broken data.
    """

    def __init__(self, size_t max_message, inflater=None, bint from_client=True):
        self.max_message = max_message
        self.inflater = inflater
        self.from_client = from_client
        self.reason = ""

    def feed(self, bytes data not None):
        """Read all of `data`; return the events as tuples, the last being ("close" or "failed", code, reason).

        Nothing comes after that one. The others are ("message", str or bytearray), ("ping", bytes) and ("pong", bytes).
        """
        cdef const char* start = PyBytes_AS_STRING(data)
        cdef size_t size = PyBytes_GET_SIZE(data), position = 0, used
        cdef list events = []
        cdef Event event
        while self.ending == NEED_MORE:
            event = self.read(start + position, size - position, &used)
            position += used
            if event == NEED_MORE:
                break
            if event == MESSAGE:
                events.append((NAMES[event], self.take_message()))
            elif event == PING or event == PONG:
                events.append((NAMES[event], self.payload))
            else:
                events.append((NAMES[event], self.close_code, self.reason))
        return events

    cdef Event read(self, const char* data, size_t size, size_t* used) except *:
        """Read up to the end of `data` or the first event; `used` says how far. Call again with the rest.

        After CLOSE or FAILED the same event is returned for ever, and all input with it is used and ignored. After an
        exception (out of memory, or something unexpected from the inflater) the reader is of no more use.
        """
        cdef size_t position = 0, part
        cdef Event event = self.ending
        while event == NEED_MORE and (position < size or self.in_frame):
            if not self.in_frame:
                position += self.take_header(data + position, size - position)
                if not self.in_frame:
                    event = self.ending
                    break
            part = size - position
            if part > self.remaining:
                part = <size_t>self.remaining
            event = self.take_payload(data + position, part)
            position += part
            if self.in_frame:
                break  # the rest of the frame has not arrived
        used[0] = position if self.ending == NEED_MORE else size
        return event

    cdef object take_message(self):
        """Return `message` and forget it, so that a reader that waits for the next one holds no memory."""
        cdef object message = self.message
        self.message = None
        return message

    # Headers.

    cdef size_t take_header(self, const char* data, size_t size) except? 0:
        """Take a header, or keep a part of it; returns the bytes used. `in_frame` says whether it is complete."""
        cdef size_t held = self.head_size
        cdef size_t part = min(size, MAX_MASKED - held)
        cdef size_t header
        if held == 0:
            header = self.parse_header(<const unsigned char*>data, size)
        else:
            memcpy(self.head + held, data, part)
            header = self.parse_header(self.head, held + part)
        if header:
            self.head_size = 0
            return header - held
        if held == 0:
            memcpy(self.head, data, part)
        self.head_size = held + part
        return part

    cdef size_t parse_header(self, const unsigned char* head, size_t size) except? 0:
        """Parse the header at `head`; returns its size, or 0 when it is wrong or not complete in `size` bytes.

        With MAX_MASKED bytes it is never incomplete.
        """
        cdef str problem = self.first_byte_problem(head[0])
        cdef unsigned long long length
        cdef size_t end = 2, i
        if problem is None and size > 1:
            problem = self.length_problem(head, size)
        if problem is not None:
            self.fail(PROTOCOL_ERROR, problem)
            return 0
        if size < 2:
            return 0
        length = head[1] & LENGTH_BITS
        if length >= LENGTH_16:
            end = 4 if length == LENGTH_16 else 10
            if size < end:
                return 0
            length = 0
            for i in range(2, end):
                length = length << 8 | head[i]
        # Sizes are counted only up to `max_message`, so the difference cannot be negative; control frames are smaller.
        if self.max_message and length > self.max_message - self.wire_size and not head[0] & CONTROL_BIT:
            self.fail(TOO_LARGE, f"a message is larger than {self.max_message} bytes")
            return 0
        if self.from_client:
            if size < end + 4:
                return 0
            memcpy(self.mask, head + end, 4)
            end += 4
        self.begin_frame(head[0], length)
        return end

    cdef str first_byte_problem(self, int first):
        """Which rule the first byte of a header breaks (RFC 6455 sections 5.2, 5.4 and 5.5, RFC 7692 section 6)."""
        cdef int opcode = first & OPCODE_BITS
        if first & RESERVED_BITS:
            return "a reserved bit is set"
        if first & RSV1 and (self.inflater is None or (opcode != OP_TEXT and opcode != OP_BINARY)):
            return "RSV1 is set where no compressed message begins"
        if opcode & CONTROL_BIT:
            if opcode > OP_PONG:
                return "a reserved opcode"
            if not first & FIN:
                return "a control frame is fragmented"
        elif opcode > OP_BINARY:
            return "a reserved opcode"
        elif opcode == OP_CONTINUATION:
            if not self.opcode:
                return "a continuation frame without a message to continue"
        elif self.opcode:
            return "a message begins inside another"
        return None

    cdef str length_problem(self, const unsigned char* head, size_t size):
        """Which rule the mask bit or the length breaks, as far as the `size` bytes of the header show it."""
        cdef int length = head[1] & LENGTH_BITS
        if ((head[1] & MASK_BIT) != 0) != self.from_client:
            return "a frame of a client is not masked" if self.from_client else "a frame of a server is masked"
        if length > MAX_CONTROL and head[0] & CONTROL_BIT:
            return f"a control frame has more than {MAX_CONTROL} bytes of payload"
        if length == LENGTH_64 and size > 2 and head[2] & 0x80:
            return "a payload length is 2**63 or more"
        if (length == LENGTH_16 and size >= 4 and head[2] == 0 and head[3] < LENGTH_16) or (
            length == LENGTH_64 and size >= 10 and not (head[2] | head[3] | head[4] | head[5] | head[6] | head[7])
        ):
            return "a payload length is not in its shortest form"
        return None

    cdef void begin_frame(self, int first, unsigned long long length) noexcept:
        self.in_frame = True
        self.first_byte = first
        self.remaining = length
        if not first & CONTROL_BIT:
            self.wire_size += length
            if first & OPCODE_BITS:
                self.opcode = first & OPCODE_BITS
                self.compressed = (first & RSV1) != 0

    # Payload. Each of these gets the part of the current frame's payload that has arrived, and all of it if it can.

    cdef Event take_payload(self, const char* data, size_t size) except *:
        cdef bint ends = size == self.remaining
        cdef Event event
        if self.first_byte & CONTROL_BIT:
            event = self.take_control(data, size)
        elif self.compressed:
            event = self.take_compressed(data, size)
        elif ends and self.first_byte & FIN and self.collected is None:
            self.in_frame = False
            return self.take_whole(data, size)
        else:
            event = self.collect(data, size, self.mask)
        if ends:
            self.in_frame = False
            if event == NEED_MORE and self.first_byte & (FIN | CONTROL_BIT) == FIN:
                return self.end_message()
        else:
            self.remaining -= size
            hublet_mask_turn(self.mask, size)
        return event

    cdef Event take_control(self, const char* data, size_t size) except *:
        cdef bytes payload = self.control
        if payload is None:
            payload = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>self.remaining)
        # Nobody else has the object yet, so it may still be filled in. An empty one is not written to.
        hublet_mask_copy(
            PyBytes_AS_STRING(payload) + (PyBytes_GET_SIZE(payload) - <Py_ssize_t>self.remaining), data, size, self.mask
        )
        if size < self.remaining:
            self.control = payload
            return NEED_MORE
        self.control = None
        if self.first_byte & OPCODE_BITS == OP_CLOSE:
            return self.end_close(payload)
        self.payload = payload
        return PING if self.first_byte & OPCODE_BITS == OP_PING else PONG

    cdef Event end_close(self, bytes payload) except *:
        """Read the payload of a close frame: nothing, or a code and a reason (RFC 6455 section 5.5.1)."""
        cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(payload)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        cdef int code = NO_CODE
        cdef str reason = ""
        if size == 1:
            return self.fail(PROTOCOL_ERROR, "a close frame has one byte of payload")
        if size:
            code = start[0] << 8 | start[1]
            if not is_valid_close_code(code):
                return self.fail(PROTOCOL_ERROR, f"a close frame has the code {code}")
            if not is_utf8(<const char*>start + 2, size - 2):
                return self.fail(INVALID_DATA, "the reason in a close frame is not UTF-8")
            reason = PyUnicode_DecodeUTF8(<const char*>start + 2, size - 2, NULL)
        self.fail(code, reason)
        self.ending = CLOSE
        return CLOSE

    cdef Event take_whole(self, const char* data, size_t size) except *:
        """Take a message that is all in `data`: it is unmasked straight into the object that is delivered."""
        cdef object message
        if self.opcode == OP_BINARY:
            message = PyByteArray_FromStringAndSize(NULL, size)
            hublet_mask_copy(PyByteArray_AS_STRING(message), data, size, self.mask)
            return self.deliver(message)
        # Most text is ASCII, and then this object is the message. If not, it was just a place to unmask to.
        message = PyUnicode_New(size, 0x7F)
        if not hublet_mask_copy(<char*>PyUnicode_DATA(message), data, size, self.mask):
            try:
                message = PyUnicode_DecodeUTF8(<const char*>PyUnicode_DATA(message), size, NULL)
            except UnicodeDecodeError:
                return self.fail(INVALID_DATA, NOT_UTF8)
        return self.deliver(message)

    cdef Event take_compressed(self, const char* data, size_t size) except *:
        cdef size_t position = 0, part
        cdef bytes piece
        cdef Event event = NEED_MORE
        while position < size and event == NEED_MORE:
            part = min(size - position, <size_t>INFLATE_PIECE)
            piece = PyBytes_FromStringAndSize(NULL, part)
            # Every piece but the last has a multiple of four bytes, so that the mask is right for each.
            hublet_mask_copy(PyBytes_AS_STRING(piece), data + position, part, self.mask)
            position += part
            event = self.inflate(piece)
        return event

    cdef Event inflate(self, bytes piece) except *:
        """Inflate `piece`, or the end of the message if it is None, and collect what comes out."""
        cdef size_t room = self.max_message - self.size if self.max_message else PY_SSIZE_T_MAX - 1
        cdef bytes inflated
        cdef size_t size
        try:
            inflated = self.inflater.finish(room) if piece is None else self.inflater.inflate(piece, room)
        except ValueError:
            return self.fail(INVALID_DATA, "a compressed message is not valid deflate data")
        size = len(inflated)
        # What there is room for is judged first, as it would be if the rest had come later.
        if self.collect(PyBytes_AS_STRING(inflated), min(size, room), NO_MASK) != NEED_MORE:
            return FAILED
        if size > room:
            return self.fail(TOO_LARGE, f"a message is larger than {self.max_message} bytes")
        return NEED_MORE

    cdef Event collect(self, const char* data, size_t size, const unsigned char* mask) except *:
        """Append to the message what becomes of `data` with `mask`; FAILED if it is text and no longer UTF-8."""
        cdef char* end
        cdef bint ascii
        if size == 0:
            return NEED_MORE
        self.reserve(size)
        end = PyByteArray_AS_STRING(self.collected) + self.size
        ascii = hublet_mask_copy(end, data, size, mask)
        self.size += size
        if self.opcode == OP_TEXT and not (ascii and self.utf8 == HUBLET_UTF8_START):
            self.wide = True
            self.utf8 = hublet_utf8_check(end, size, self.utf8)
            if self.utf8 == HUBLET_UTF8_BAD:
                return self.fail(INVALID_DATA, NOT_UTF8)
        return NEED_MORE

    cdef int reserve(self, size_t more) except -1:
        """Make room for `more` bytes behind `size`, and for what is announced as far as that is trusted."""
        cdef size_t needed = self.size + more
        cdef size_t capacity = max(needed * 2, <size_t>AHEAD)
        if self.collected is not None and <size_t>PyByteArray_GET_SIZE(self.collected) >= needed:
            return 0
        # A bytearray grows by an eighth more than asked for, so that small steps do not make it copy every time.
        if self.compressed:
            capacity = needed
        elif self.remaining < capacity - self.size:
            capacity = self.size + <size_t>self.remaining
        if self.collected is None:
            self.collected = PyByteArray_FromStringAndSize(NULL, capacity)
        else:
            PyByteArray_Resize(self.collected, capacity)
        return 0

    # Events.

    cdef Event end_message(self) except *:
        """Make the message out of what was collected."""
        cdef bytearray collected
        cdef object message
        if self.compressed and self.inflate(None) != NEED_MORE:
            return FAILED
        if self.utf8 != HUBLET_UTF8_START:
            return self.fail(INVALID_DATA, NOT_UTF8)
        collected = self.collected
        if collected is None:
            message = "" if self.opcode == OP_TEXT else bytearray()
        elif self.opcode == OP_BINARY:
            message = collected  # exactly long enough: never more is reserved than the frame brings, and it has ended
        elif self.wide:
            message = PyUnicode_DecodeUTF8(PyByteArray_AS_STRING(collected), self.size, NULL)
        else:
            message = PyUnicode_New(self.size, 0x7F)
            memcpy(PyUnicode_DATA(message), PyByteArray_AS_STRING(collected), self.size)
        return self.deliver(message)

    cdef Event deliver(self, object message) noexcept:
        """Make `message` the event, and the reader ready for the next one."""
        self.message = message
        self.collected = None
        self.size = 0
        self.wire_size = 0
        self.opcode = 0
        self.wide = False
        return MESSAGE

    cdef Event fail(self, int code, str reason) noexcept:
        """End with FAILED, and let go of what was being collected."""
        self.ending = FAILED
        self.close_code = code
        self.reason = reason
        self.in_frame = False
        self.control = None
        self.collected = None
        return FAILED


# Writing.


cdef size_t put_frame_header(char* into, int first_byte, size_t size) noexcept:
    """Write the header of a frame that is not masked, at most MAX_HEADER bytes; returns its size."""
    cdef int i
    into[0] = <char>first_byte
    if size <= MAX_CONTROL:
        into[1] = <char>size
        return 2
    if size <= 0xFFFF:
        into[1] = LENGTH_16
        into[2] = <char>(size >> 8)
        into[3] = <char>size
        return 4
    into[1] = LENGTH_64
    for i in range(8):
        into[2 + i] = <char>(<unsigned long long>size >> (56 - 8 * i))
    return 10


cdef bint is_utf8(const char* data, size_t size) noexcept:
    """Whether `data` is UTF-8 from its beginning to its end."""
    return hublet_utf8_check(data, size, HUBLET_UTF8_START) == HUBLET_UTF8_START


cpdef bint is_valid_close_code(long long code) noexcept:
    """Whether `code` may stand in a close frame (RFC 6455 section 7.4 and the registry that it made with IANA).

    1004, 1005, 1006 and 1015 are reserved: some report what did not come in a frame.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def encode_frame(int opcode, bytes payload not None, *, bint fin=True, bint rsv1=False, bytes mask=None):
    """Return a frame with any opcode, good or not. A client has to give a `mask` of 4 bytes; `payload` is in the clear.

    Raises ValueError for an opcode of more than 4 bits and a mask of another size.
    """
    cdef size_t size = PyBytes_GET_SIZE(payload)
    cdef size_t header
    cdef char[MAX_MASKED] head
    cdef const unsigned char* key = NO_MASK
    cdef bytes frame
    if not 0 <= opcode <= OPCODE_BITS:
        raise ValueError(f"opcode {opcode}: it has 4 bits, so it is 0 to 15")
    if mask is not None and len(mask) != 4:
        raise ValueError(f"a mask of {len(mask)} bytes: it has 4")
    header = put_frame_header(head, (FIN if fin else 0) | (RSV1 if rsv1 else 0) | opcode, size)
    if mask is not None:
        key = <const unsigned char*>PyBytes_AS_STRING(mask)
        head[1] |= MASK_BIT
        memcpy(head + header, key, 4)
        header += 4
    frame = PyBytes_FromStringAndSize(NULL, header + size)
    memcpy(PyBytes_AS_STRING(frame), head, header)
    hublet_mask_copy(PyBytes_AS_STRING(frame) + header, PyBytes_AS_STRING(payload), size, key)
    return frame


def encode_close(code, str reason not None=""):
    """Return the payload of a close frame: empty for the code None or 1005, which say that there is none.

    A reason over 123 bytes of UTF-8 is cut behind a character, since a control frame holds 125; what UTF-8 cannot say
    becomes "?". Raises ValueError for a code that may not stand in a frame.
    """
    if code is None or code == NO_CODE:
        return b""
    if not is_valid_close_code(code):
        raise ValueError(f"close code {code}: a frame may carry 1000 to 1003, 1007 to 1014 and 3000 to 4999")
    text = reason.encode("utf-8", "replace")
    if len(text) > MAX_CONTROL - 2:
        text = text[: MAX_CONTROL - 2].decode("utf-8", "ignore").encode("utf-8")
    return code.to_bytes(2, "big") + text
