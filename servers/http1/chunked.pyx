"""The chunked transfer coding (RFC 9112 section 7.1), decoded as it arrives. No I/O, no clock, no buffer of its own.

A state machine over bytes; chunk data, which is nearly everything, is copied in runs. Extensions and trailers are checked
against their grammar, bounded and thrown away. Every line ends in CRLF, nothing else.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from .chars cimport HUBLET_HEX, HUBLET_TOKEN, hublet_chars_init, hublet_hex_value, is_class

from ...runtime import limits
from ...runtime.errors import RequestBodyError

hublet_chars_init()

cdef unsigned long long MAX_EXTENSION = limits.MAX_CHUNK_EXTENSION
cdef unsigned long long MAX_EXTENSIONS = limits.MAX_CHUNK_EXTENSIONS
cdef unsigned long long MAX_TRAILER = limits.MAX_TRAILER_SIZE

# Sixteen digits hold any size; the value is bounded besides, so that sums of sizes stay inside 64 bits.
cdef enum:
    MAX_DIGITS = 16
cdef unsigned long long MAX_CHUNK = 1ULL << 62

cdef enum State:
    SIZE          # chunk-size digits
    EXT_NAME      # after ";"
    EXT_VALUE     # after "="
    EXT_QUOTED    # inside a quoted-string
    EXT_ESCAPED   # after a backslash in it
    EXT_NAMED     # after white space behind a name
    EXT_AFTER     # after a value that has ended, or white space behind the size
    SIZE_LF       # the LF of the size line
    DATA
    DATA_CR       # the CRLF after chunk data
    DATA_LF
    TRAILER_START # the first byte of a trailer line, or the CR of the end
    TRAILER_NAME
    TRAILER_VALUE
    TRAILER_LF
    END_LF
    BROKEN


@cython.final
cdef class ChunkedDecoder:
    """Decodes one body. `finished` becomes true after the last chunk and its trailer section.

    Payload in front of an error is delivered before the error is, wherever the bytes were cut into segments.
    """

    def feed(self, bytes data not None, unsigned long long room=MAX_CHUNK):
        """Decode from `data`; return at most `room` bytes of payload, and how many bytes of `data` were consumed.

        What was not consumed comes first in the next call. Raises RequestBodyError when the coding is broken.
        """
        cdef size_t consumed = 0
        cdef size_t size = PyBytes_GET_SIZE(data)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, min(size, room))
        cdef Py_ssize_t got = self.decode(
            PyBytes_AS_STRING(data), size, PyBytes_AS_STRING(out), PyBytes_GET_SIZE(out), &consumed
        )
        if got < 0:
            raise RequestBodyError(400, self.reason)
        return out[:got], consumed

    cdef bint fail(self, str reason) noexcept:
        self.state = BROKEN
        self.reason = reason
        return False

    cdef Py_ssize_t decode(self, const char* data, size_t size, char* out, size_t room, size_t* consumed) noexcept:
        """Copy up to `room` payload bytes to `out`; returns how many, or -1 when there is only an error, `reason`."""
        cdef size_t i = 0, produced = 0, run
        cdef unsigned char c
        cdef bint good = True
        if self.state == BROKEN:
            return -1
        while good and i < size and not self.finished:
            if self.state == DATA:
                run = min(size - i, room - produced)
                if run > self.remaining:
                    run = <size_t>self.remaining
                if run == 0:
                    break  # no room left
                memcpy(out + produced, data + i, run)
                produced += run
                i += run
                self.remaining -= run
                if self.remaining == 0:
                    self.state = DATA_CR
                continue
            c = <unsigned char>data[i]
            i += 1
            if self.state == SIZE:
                good = self.size_line(c)
            elif self.state == SIZE_LF:
                good = c == c"\n" or self.fail("a chunk size line ends in CR without LF")
                if good:
                    self.state = DATA if self.remaining else TRAILER_START
                    self.digits = 0
                    self.extension_size = 0
            elif self.state == DATA_CR:
                good = c == c"\r" or self.fail("chunk data is not followed by CRLF")
                if good:
                    self.state = DATA_LF
            elif self.state == DATA_LF:
                good = c == c"\n" or self.fail("chunk data is not followed by CRLF")
                if good:
                    self.state = SIZE
            elif self.state < SIZE_LF:
                good = self.extension(c)
            else:
                good = self.trailer(c)
        consumed[0] = i if good else i - 1
        return <Py_ssize_t>produced if good or produced else -1

    cdef bint size_line(self, unsigned char c) noexcept:
        if is_class(c, HUBLET_HEX):
            self.digits += 1
            if self.digits > MAX_DIGITS:
                return self.fail(f"a chunk size has more than {MAX_DIGITS} digits")
            self.remaining = self.remaining * 16 + hublet_hex_value[c]
            return True
        if self.digits == 0:
            return self.fail("a chunk does not begin with its size in hexadecimal digits")
        if self.remaining >= MAX_CHUNK:
            return self.fail("a chunk size is 2**62 or more")
        if c == c"\r":
            self.state = SIZE_LF
        elif c == c";" or c == c" " or c == c"\t":
            return self.extension(c)
        else:
            return self.fail("a chunk size is followed by something other than CRLF or an extension")
        return True

    cdef bint extension(self, unsigned char c) noexcept:
        """chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112 section 7.1.1).

        BWS is white space that must be taken although nobody may send it; there is none before the CRLF.
        """
        cdef bint quoted = self.state == EXT_QUOTED or self.state == EXT_ESCAPED
        if c == c"\r" and not quoted:
            if not self.has_name or self.padded:
                return self.fail("a chunk extension has an empty name or value, or white space behind it")
            self.has_name = False
            self.state = SIZE_LF
            return True
        self.extension_size += 1
        self.extensions_size += 1
        if self.extension_size > MAX_EXTENSION:
            return self.fail(f"chunk extensions longer than {MAX_EXTENSION} bytes in one chunk")
        if self.extensions_size > MAX_EXTENSIONS:
            return self.fail(f"chunk extensions longer than {MAX_EXTENSIONS} bytes in one body")
        if quoted:
            return self.quoted(c)
        if c == c" " or c == c"\t":
            self.padded = True
            if self.state == SIZE or (self.state == EXT_VALUE and self.has_name):
                self.has_name = True
                self.state = EXT_AFTER
            elif self.state == EXT_NAME and self.has_name:
                self.state = EXT_NAMED
            return True
        self.padded = False
        if c == c";":
            if self.state != SIZE and not self.has_name:
                return self.fail("a chunk extension has an empty name or value")
            self.has_name = False
            self.state = EXT_NAME
        elif c == c"=" and (self.state == EXT_NAME or self.state == EXT_NAMED) and self.has_name:
            self.has_name = False
            self.state = EXT_VALUE
        elif c == c'"' and self.state == EXT_VALUE and not self.has_name:
            self.has_name = True
            self.state = EXT_QUOTED
        elif is_class(c, HUBLET_TOKEN) and (self.state == EXT_NAME or self.state == EXT_VALUE):
            self.has_name = True
        else:
            return self.fail("a chunk extension holds a forbidden byte")
        return True

    cdef bint quoted(self, unsigned char c) noexcept:
        """quoted-string (RFC 9110 section 5.6.4)."""
        if (c < 0x20 and c != c"\t") or c == 0x7F:
            return self.fail("a control character in a chunk extension")
        if self.state == EXT_ESCAPED:
            self.state = EXT_QUOTED
        elif c == c'"':
            self.state = EXT_AFTER
        elif c == c"\\":
            self.state = EXT_ESCAPED
        return True

    cdef bint trailer(self, unsigned char c) noexcept:
        """trailer-section = *( field-line CRLF ), then the final CRLF."""
        if self.state == TRAILER_START and c == c"\r":
            self.state = END_LF
            return True
        if self.state == END_LF:
            if c != c"\n":
                return self.fail("the chunked body does not end in CRLF")
            self.finished = True
            return True
        self.trailer_size += 1
        if self.trailer_size > MAX_TRAILER:
            return self.fail(f"trailer section larger than {MAX_TRAILER} bytes")
        if self.state == TRAILER_LF:
            if c != c"\n":
                return self.fail("a trailer line ends in CR without LF")
            self.state = TRAILER_START
        elif self.state == TRAILER_VALUE:
            if c == c"\r":
                self.state = TRAILER_LF
            elif (c < 0x20 and c != c"\t") or c == 0x7F:
                return self.fail("a control character in a trailer field")
        elif is_class(c, HUBLET_TOKEN):
            self.state = TRAILER_NAME
        elif c == c":" and self.state == TRAILER_NAME:
            self.state = TRAILER_VALUE
        else:
            return self.fail("a trailer field has an invalid name")
        return True
