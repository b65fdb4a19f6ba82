"""The request head: from received bytes straight to the WSGI environ. No I/O, no clock, no state beyond the head.

Two steps. `scan` finds the end of the head, however the bytes were cut into segments: it looks at each byte once and
enforces what must hold before the whole head is there (line and section sizes, field count, CRLF line ends, the request
line), so nobody can make us buffer more than the limits. `parse_into` then reads the fields in one pass, into a copy of
the listener's base environ, with well-known names interned to their `HTTP_*` keys.

Grammar and rules are those of RFC 9112 (sections 2, 3, 5, 6) and RFC 9110 (sections 5, 7.2, 10.1.1); where they leave a
choice the strict one is taken. The verdict on a head never depends on how it was segmented: each check looks only at
bytes up to the one that decides it, and the checks of one line come in a fixed order, its length first.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy, PyDict_SetItem, PyDict_Size
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.string cimport memchr, memcmp, memset

from .chars cimport (
    HUBLET_DIGIT,
    HUBLET_TARGET,
    HUBLET_TOKEN,
    class_span,
    equals_lower,
    hublet_chars_init,
    hublet_has_control,
    hublet_key_char,
    is_class,
)
from .field_names cimport (
    CONNECTION,
    CONTENT_LENGTH,
    COOKIE,
    EXPECT,
    FORWARDED,
    HOST,
    NAME_BUFFER,
    PLAIN,
    TRANSFER_ENCODING,
    Known,
    environ_key,
    find_known,
    first_hash,
    next_hash,
)
from .uri cimport decode_path, is_authority

from ...runtime import limits
from ...runtime.errors import RequestRejected

cdef extern from "Python.h":
    PyObject* PyDict_SetDefault(object d, object key, object value) except NULL
    void* PyUnicode_DATA(object text)

hublet_chars_init()

cdef size_t MAX_LEADING_BLANK = limits.MAX_LEADING_BLANK

cdef str METHOD = "REQUEST_METHOD", PATH = "PATH_INFO", QUERY = "QUERY_STRING", RAW = "RAW_URI"
cdef str PROTOCOL = "SERVER_PROTOCOL", HTTP_HOST = "HTTP_HOST"
cdef str HTTP_10 = "HTTP/1.0", HTTP_11 = "HTTP/1.1", SLASH = "/", EMPTY = ""
cdef str GET = "GET", HEAD = "HEAD"
cdef tuple METHODS = (GET, "POST", HEAD, "PUT", "DELETE", "OPTIONS", "PATCH")


@cython.final
cdef class Head:
    """What one request head says: the environ built from it, its size in bytes, and the framing of the body.

    `forwarded` says that there is a Forwarded or X-Forwarded-* field, so that other requests need no look for one.
    """


@cython.final
cdef class HeadParser:
    """Parses request heads for one listener.

    `base_environ` holds what every request of the listener shares. After a rejection `status` and `reason` say why;
    `dropped_fields` counts field names with an underscore, which are left out because they would forge the key of
    another field.
    """

    def __init__(
        self,
        dict base_environ not None,
        size_t max_request_line=limits.MAX_REQUEST_LINE,
        size_t max_header_size=limits.MAX_HEADER_SIZE,
        int max_header_fields=limits.MAX_HEADER_FIELDS,
        size_t max_field_size=limits.MAX_FIELD_SIZE,
    ):
        self.max_request_line = max_request_line
        self.max_header_size = max_header_size
        self.max_header_fields = max_header_fields
        self.max_field_size = max_field_size
        # The keys that every head sets are there from the beginning: a copy of the dictionary keeps its capacity, so
        # that filling it in does not make it grow. What most requests say does not even have to be set.
        self.template = dict(base_environ)
        for key in (PATH, QUERY, RAW, HTTP_HOST):
            self.template[key] = EMPTY
        self.template[METHOD] = GET
        self.template[PROTOCOL] = HTTP_11

    def parse(self, bytes data not None):
        """Parse one head from the beginning of `data`; return a Head, or None when it is not complete.

        Raises RequestRejected with the status and the rule that is broken.
        """
        cdef ScanState state
        cdef Head head = Head.__new__(Head)
        cdef ScanResult result
        memset(&state, 0, sizeof(state))
        result = self.scan(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &state, head)
        if result == SCAN_INCOMPLETE:
            return None
        if result == SCAN_REJECTED or not self.parse_into(PyBytes_AS_STRING(data), &state, head):
            raise RequestRejected(self.status, self.reason)
        return head

    cdef bint reject(self, int status, str reason) noexcept:
        self.status = status
        self.reason = reason
        return False

    cdef ScanResult scan(self, const char* data, size_t size, ScanState* state, Head head) except *:
        """Look for the end of the head in `data`, from where the last call with this state left off.

        `data` holds everything since the beginning of the head. When the answer is SCAN_COMPLETE, `state.position` is
        the head's size. The request line is parsed into `head` as soon as it is complete, so that nobody whose first
        line is wrong has to wait for an answer.
        """
        cdef const char* newline
        cdef size_t end, content
        state.line_parsed = False
        while True:
            newline = <const char*>memchr(data + state.position, c"\n", size - state.position)
            end = size if newline == NULL else newline - data
            content = end - state.line_start
            if state.fields_start == 0:
                if content and data[state.line_start] != c"\r" and not is_class(data[state.line_start], HUBLET_TOKEN):
                    self.reject(400, "the request line does not begin with a method")
                    return SCAN_REJECTED
                if content > self.max_request_line and (
                    content > self.max_request_line + 1 or data[end - 1] != c"\r"
                ):
                    self.reject(414, f"the request line is longer than {self.max_request_line} bytes")
                    return SCAN_REJECTED
            elif content and not (content == 1 and data[state.line_start] == c"\r"):
                if end + (newline != NULL) - state.fields_start > self.max_header_size:
                    self.reject(431, f"the header section is larger than {self.max_header_size} bytes")
                    return SCAN_REJECTED
                if 0 < self.max_field_size < content and (
                    content > self.max_field_size + 1 or data[end - 1] != c"\r"
                ):
                    self.reject(431, f"a header field is longer than {self.max_field_size} bytes")
                    return SCAN_REJECTED
            if newline == NULL:
                state.position = size
                return SCAN_INCOMPLETE
            if content == 0 or data[end - 1] != c"\r":
                self.reject(400, "a line ends in LF without CR")
                return SCAN_REJECTED
            state.position = end + 1
            if content == 1:
                if state.fields_start:
                    return SCAN_COMPLETE
                state.head_start = state.line_start = state.position
                if state.position > MAX_LEADING_BLANK:
                    self.reject(400, "too many empty lines before the request line")
                    return SCAN_REJECTED
            elif state.fields_start == 0:
                if not self.begin_head(data + state.head_start, content - 1, head):
                    return SCAN_REJECTED
                state.line_parsed = True
                state.fields_start = state.line_start = state.position
            else:
                state.fields += 1
                state.line_start = state.position
                if state.fields > self.max_header_fields:
                    self.reject(431, f"more than {self.max_header_fields} header fields")
                    return SCAN_REJECTED

    cdef bint parse_into(self, const char* data, ScanState* state, Head head) except *:
        """Parse the head that `scan` found complete into `head`; False with status and reason when it is refused."""
        cdef const char* line = data + state.fields_start
        cdef const char* end = data + state.position - 2  # the empty line
        cdef const char* eol
        if not state.line_parsed:  # an earlier call did, into a head that has served others since
            self.begin_head(data + state.head_start, line - 2 - data - state.head_start, head)
        head.size = state.position
        while line < end:
            # `scan` has seen a CRLF at the end of every line up to `end`, so there is one to be found.
            eol = <const char*>memchr(line, c"\n", end - line) - 1
            if not self.parse_field(line, eol - line, head):
                return False
            line = eol + 2
        return self.settle_framing(head)

    cdef bint begin_head(self, const char* line, size_t size, Head head) except *:
        """Make `head` a new one and parse its request line."""
        head.environ = <dict>PyDict_Copy(self.template)
        head.content_length = -1
        head.chunked = head.expect_continue = head.upgrade = head.is_head = head.forwarded = False
        self.te_count = self.length_count = self.host_count = 0
        self.said_close = self.said_keep_alive = self.absolute = False
        return self.parse_request_line(line, size, head)

    cdef bint parse_request_line(self, const char* line, size_t size, Head head) except *:
        """method SP request-target SP HTTP-version (RFC 9112 section 3)."""
        cdef size_t method_size = class_span(line, size, HUBLET_TOKEN)
        cdef const char* target = line + method_size + 1
        cdef const char* version
        cdef size_t target_size
        cdef str method = None
        if method_size == size or line[method_size] != c" ":
            return self.reject(400, "the request line does not begin with a method and one space")
        target_size = class_span(target, size - method_size - 1, HUBLET_TARGET)
        version = target + target_size + 1
        if target_size == 0 or version > line + size or version[-1] != c" ":
            return self.reject(400, "the request target is missing, holds a forbidden byte or is not followed by one space")
        if line + size - version != 8 or memcmp(version, b"HTTP/", 5) or version[6] != c"." or not (
            is_class(version[5], HUBLET_DIGIT) and is_class(version[7], HUBLET_DIGIT)
        ):
            return self.reject(400, "the request line does not end with the protocol version, as in HTTP/1.1")
        if version[5] != c"1":
            return self.reject(505, "only HTTP/1.0 and HTTP/1.1 are served here")
        head.minor = version[7] != c"0"  # a higher minor version is answered as the highest known (RFC 9110 2.5)
        for known in METHODS:
            if <size_t>len(<str>known) == method_size and memcmp(<const char*>PyUnicode_DATA(known), line, method_size) == 0:
                method = <str>known
                break
        if method is None:
            method = PyUnicode_DecodeLatin1(line, method_size, NULL)
        head.is_head = method is HEAD
        if not head.minor:
            PyDict_SetItem(head.environ, PROTOCOL, HTTP_10)
        if method is not GET:
            PyDict_SetItem(head.environ, METHOD, method)
        if method == "CONNECT":
            return self.reject(501, "this server is not a proxy: CONNECT is not implemented")
        return self.parse_target(target, target_size, method, head)

    cdef bint parse_target(self, const char* target, size_t size, str method, Head head) except *:
        """The four forms of RFC 9112 section 3.2 less CONNECT's."""
        cdef str raw = PyUnicode_DecodeLatin1(target, size, NULL)
        cdef size_t path = 0, path_size
        cdef const char* query
        PyDict_SetItem(head.environ, RAW, raw)
        if target[0] != c"/":
            if size == 1 and target[0] == c"*":
                if method != "OPTIONS":
                    return self.reject(400, "the request target * goes with OPTIONS only")
                return True  # PATH_INFO and QUERY_STRING stay empty: the request is about the server as a whole
            if not self.parse_absolute(target, size, &path, head):
                return False
        query = <const char*>memchr(target + path, c"?", size - path)
        path_size = (size if query == NULL else query - target) - path
        if query != NULL:
            PyDict_SetItem(head.environ, QUERY, PyUnicode_DecodeLatin1(query + 1, target + size - query - 1, NULL))
        if path_size == 0:
            PyDict_SetItem(head.environ, PATH, SLASH)
        elif memchr(target + path, c"%", path_size) != NULL:
            decoded = decode_path(target + path, path_size)
            if decoded is None:
                return self.reject(400, "the path holds a malformed percent-encoding or an encoded NUL")
            PyDict_SetItem(head.environ, PATH, decoded)
        elif path_size == size:
            PyDict_SetItem(head.environ, PATH, raw)
        else:
            PyDict_SetItem(head.environ, PATH, PyUnicode_DecodeLatin1(target + path, path_size, NULL))
        return True

    cdef bint parse_absolute(self, const char* target, size_t size, size_t* path, Head head) except *:
        """absolute-form: its authority replaces Host (RFC 9112 section 3.2.2). `path` becomes the path's offset."""
        cdef size_t start, end
        if size > 7 and equals_lower(target, 7, b"http://", 7):
            start = 7
        elif size > 8 and equals_lower(target, 8, b"https://", 8):
            start = 8
        else:
            return self.reject(400, "the request target is neither a path nor an http or https URI")
        end = start
        while end < size and target[end] != c"/" and target[end] != c"?":
            end += 1
        if not is_authority(target + start, end - start):
            return self.reject(400, "the request target has an invalid authority")
        self.absolute = True
        PyDict_SetItem(head.environ, HTTP_HOST, PyUnicode_DecodeLatin1(target + start, end - start, NULL))
        path[0] = end
        return True

    cdef bint parse_field(self, const char* line, size_t size, Head head) except *:
        """field-name ":" OWS field-value OWS (RFC 9112 section 5)."""
        cdef char name[NAME_BUFFER]
        cdef unsigned int hashed = first_hash()
        cdef size_t i = 0, name_size
        cdef unsigned char c
        cdef bint underscore = False
        cdef Known* known = NULL
        cdef const char* value
        cdef const char* end = line + size
        while i < size:
            c = hublet_key_char[<unsigned char>line[i]]
            if c == 0:
                break
            if line[i] == c"_":
                underscore = True
            if i < NAME_BUFFER:
                name[i] = c
                hashed = next_hash(hashed, c)
            i += 1
        if i == size or line[i] != c":" or i == 0:
            if line[0] == c" " or line[0] == c"\t":
                return self.reject(400, "a field line begins with white space (obsolete line folding)")
            return self.reject(400, "a field name is empty, holds a forbidden byte or is not followed by a colon")
        name_size = i
        value = line + name_size + 1
        while value < end and (value[0] == c" " or value[0] == c"\t"):
            value += 1
        while end > value and (end[-1] == c" " or end[-1] == c"\t"):
            end -= 1
        if hublet_has_control(value, end - value):
            return self.reject(400, "a field value holds a control character")
        if underscore:
            self.dropped_fields += 1
            return True
        if name_size <= NAME_BUFFER:
            known = find_known(name, name_size, hashed)
        if known == NULL:
            if name_size > 12 and memcmp(name, b"X_FORWARDED_", 12) == 0:
                head.forwarded = True
            add_field(head.environ, environ_key(line, name_size), value, end - value, ",")
            return True
        if known.special == PLAIN:
            add_field(head.environ, <object>known.key, value, end - value, ",")
            return True
        if known.special == COOKIE:
            add_field(head.environ, <object>known.key, value, end - value, "; ")
            return True
        if known.special == FORWARDED:
            head.forwarded = True
            add_field(head.environ, <object>known.key, value, end - value, ",")
            return True
        if not self.parse_special(known.special, value, end - value, head):
            return False
        if known.special != HOST:
            add_field(head.environ, <object>known.key, value, end - value, ",")
        return True

    cdef bint parse_special(self, int special, const char* value, size_t size, Head head) except *:
        """The fields that decide about framing, the connection and the host."""
        if special == HOST:
            self.host_count += 1
            if self.host_count > 1:
                return self.reject(400, "more than one Host field")
            if not is_authority(value, size):
                return self.reject(400, "the Host field is not a host with an optional port")
            if not self.absolute:
                PyDict_SetItem(head.environ, HTTP_HOST, PyUnicode_DecodeLatin1(value, size, NULL))
        elif special == CONTENT_LENGTH:
            return self.parse_content_length(value, size, head)
        elif special == TRANSFER_ENCODING:
            self.te_count += 1
            self.te_value = value
            self.te_size = size
        elif special == CONNECTION:
            return self.parse_connection(value, size, head)
        elif special == EXPECT and head.minor:  # RFC 9110 section 10.1.1: ignored in HTTP/1.0
            return self.parse_expect(value, size, head)
        return True

    cdef bint parse_expect(self, const char* value, size_t size, Head head) except *:
        """A list of expectations, of which one is known."""
        if not equals_lower(value, size, b"100-continue", 12):
            if any(each.strip(b" \t").lower() != b"100-continue" for each in value[:size].split(b",")):
                return self.reject(417, "the only expectation served is 100-continue")
        head.expect_continue = True
        return True

    cdef bint parse_content_length(self, const char* value, size_t size, Head head) noexcept:
        """1*DIGIT, once (RFC 9112 section 6.3); 18 digits stay below 2**63."""
        cdef size_t i
        cdef long long length = 0
        self.length_count += 1
        if self.length_count > 1:
            return self.reject(400, "more than one Content-Length field")
        if size == 0 or size > 18 or class_span(value, size, HUBLET_DIGIT) != size:
            return self.reject(400, "the Content-Length field is not a decimal number of at most 18 digits")
        for i in range(size):
            length = length * 10 + (value[i] - c"0")
        head.content_length = length
        return True

    cdef bint parse_connection(self, const char* value, size_t size, Head head) noexcept:
        """A list of connection options (RFC 9110 section 7.6.1), without regard to case."""
        cdef size_t start = 0, end, token_end
        while start < size:
            while start < size and (value[start] == c" " or value[start] == c"\t" or value[start] == c","):
                start += 1
            end = start
            while end < size and value[end] != c",":
                end += 1
            token_end = end
            while token_end > start and (value[token_end - 1] == c" " or value[token_end - 1] == c"\t"):
                token_end -= 1
            if equals_lower(value + start, token_end - start, b"close", 5):
                self.said_close = True
            elif equals_lower(value + start, token_end - start, b"keep-alive", 10):
                self.said_keep_alive = True
            elif equals_lower(value + start, token_end - start, b"upgrade", 7):
                head.upgrade = head.minor == 1  # RFC 9110 section 7.8: ignored in HTTP/1.0
            start = end
        return True

    cdef bint settle_framing(self, Head head) except *:
        """What can be judged only when all fields are known (RFC 9112 sections 3.2, 6 and 9.3)."""
        if self.host_count == 0:
            if head.minor:
                return self.reject(400, "the Host field is missing")
            if not self.absolute:
                del head.environ[HTTP_HOST]
        if self.te_count:
            if self.length_count:
                return self.reject(400, "both Transfer-Encoding and Content-Length")
            if head.minor == 0:
                return self.reject(400, "Transfer-Encoding in an HTTP/1.0 request")
            if self.te_count > 1:
                return self.reject(400, "more than one Transfer-Encoding field")
            if not equals_lower(self.te_value, self.te_size, b"chunked", 7):
                return self.refuse_coding()
            head.chunked = True
        head.keep_alive = not self.said_close and (head.minor == 1 or self.said_keep_alive)
        return True

    cdef bint refuse_coding(self) except *:
        """Tell an unknown transfer coding (501) from a malformed or repeated one (400)."""
        codings = [each.strip(b" \t").lower() for each in self.te_value[:self.te_size].split(b",")]
        if not all(codings):
            return self.reject(400, "the Transfer-Encoding field has an empty element")
        if b"chunked" in codings[:-1] and codings[-1] != b"chunked":
            return self.reject(400, "the transfer coding chunked is not the last one")
        if any(each != b"chunked" for each in codings):
            return self.reject(501, "the only transfer coding served is chunked")
        return self.reject(400, "the transfer coding chunked is repeated")


cdef int add_field(dict environ, object key, const char* value, size_t size, str separator) except -1:
    """Set a field, or join it to an earlier one of the same name (RFC 9110 section 5.3)."""
    cdef Py_ssize_t count = PyDict_Size(environ)
    text = PyUnicode_DecodeLatin1(value, size, NULL)
    earlier = <object>PyDict_SetDefault(environ, key, text)
    if PyDict_Size(environ) == count:
        # Joining many fields one by one is bounded by the section's size and count.
        PyDict_SetItem(environ, key, f"{earlier}{separator}{text}")
    return 0
