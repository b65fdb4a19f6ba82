"""The response head: what an application passes to `start_response`, checked and put into bytes. No I/O.

Rules of RFC 9110 sections 5.5, 5.6.2 and 6.4.1, RFC 9112 section 4 and PEP 3333 ("The start_response() Callable"): a
status of three digits, a space and a reason; field names that are tokens; values without control characters, which
would let one response become two; no hop-by-hop fields, which belong to the server.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject

from .chars cimport HUBLET_DIGIT, HUBLET_TOKEN, class_span, equals_lower, hublet_chars_init, hublet_has_control
from ..out_buffer cimport OutBuffer

cdef extern from *:
    """
    #include <stdio.h>
    #include <time.h>
    /* "Date: Sun, 06 Nov 1994 08:49:37 GMT\\r\\n" (RFC 9110 section 5.6.7), made once a second. */
    static char hublet_date_line[64];
    static size_t hublet_date_size = 0;
    static time_t hublet_date_second = 0;
    static void hublet_update_date(void) {
        static const char *days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char *months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        time_t now = time(NULL);
        struct tm utc;
        if (now == hublet_date_second && hublet_date_size) return;
        gmtime_r(&now, &utc);
        hublet_date_size = (size_t)snprintf(
            hublet_date_line, sizeof(hublet_date_line), "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\\r\\n",
            days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
            utc.tm_sec);
        hublet_date_second = now;
    }
    """
    const char* hublet_date_line
    size_t hublet_date_size
    void hublet_update_date() noexcept

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    PyObject* PyDict_GetItem(dict mapping, object key)

hublet_chars_init()

# wsgiref.util.is_hop_by_hop's list, and the names that are met in the wild besides.
cdef tuple HOP_BY_HOP = (
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"trailers", b"transfer-encoding", b"upgrade",
)
# Bit n is set when one of them has n bytes: most field names need no further look.
cdef unsigned long long HOP_BY_HOP_SIZES = sum({1 << len(name) for name in HOP_BY_HOP})


# What a field means to the server.
cdef object PLAIN = "plain", LENGTH = "length", DATE = "date", SERVER = "server"
# Names as applications usually spell them, which need not be checked each time.
cdef dict USUAL_NAMES = dict.fromkeys(
    "Accept-Ranges Access-Control-Allow-Origin Allow Cache-Control Content-Disposition Content-Encoding Content-Language "
    "Content-Security-Policy Content-Type Cross-Origin-Opener-Policy ETag Expires Last-Modified Link Location Pragma "
    "Referrer-Policy Retry-After Set-Cookie Strict-Transport-Security Vary WWW-Authenticate X-Content-Type-Options "
    "X-Frame-Options X-Request-ID".split(),
    PLAIN,
)
USUAL_NAMES["Content-Length"] = LENGTH


cdef bint is_bodiless(int status) noexcept:
    """Whether a response of this status never has content (RFC 9110 sections 6.4.1 and 15.3.6)."""
    return status < 200 or status == 204 or status == 205 or status == 304


cdef int append_date(OutBuffer out) except -1:
    """Append the Date field line."""
    hublet_update_date()
    return out.append(hublet_date_line, hublet_date_size)


cdef int append_number(OutBuffer out, unsigned long long number, int base) except -1:
    """Append `number` in base 10 or 16."""
    cdef char digits[24]
    cdef int start = 24
    while True:
        start -= 1
        digits[start] = b"0123456789abcdef"[number % base]
        number //= base
        if number == 0:
            break
    return out.append(digits + start, 24 - start)


cdef ResponseHead make_response_head(OutBuffer out, object status, object headers):
    """Check and serialise the arguments of `start_response`, using `out` as scratch space.

    Raises TypeError for an argument of the wrong type and ValueError for one with forbidden content.
    """
    cdef ResponseHead head = ResponseHead.__new__(ResponseHead)
    cdef const char* text
    cdef Py_ssize_t size
    cdef object item
    if not isinstance(status, str):
        raise TypeError(f"the status must be a str such as '200 OK', not {status!r}")
    size = PyUnicode_GET_LENGTH(status)
    text = <const char*>PyUnicode_DATA(status)
    if (
        PyUnicode_KIND(status) != 1
        or size < 4
        or class_span(text, 3, HUBLET_DIGIT) != 3
        or text[0] == c"0"
        or text[3] != c" "
        or hublet_has_control(text, size)
    ):
        raise ValueError(f"the status must be three digits, a space and a reason in latin-1, as in '200 OK', not {status!r}")
    head.status = (text[0] - c"0") * 100 + (text[1] - c"0") * 10 + (text[2] - c"0")
    head.status_text = str.__str__(status)
    head.content_length = -1
    out.size = 0
    out.append(b"HTTP/1.1 ", 9)
    out.append(text, size)
    out.append(b"\r\n", 2)
    if not isinstance(headers, list):
        raise TypeError(f"the response headers must be a list of (name, value) tuples, not {type(headers).__name__}")
    for item in <list>headers:
        if type(item) is not tuple or len(<tuple>item) != 2:
            raise TypeError(f"a response header must be a tuple of name and value, not {item!r}")
        name, value = <tuple>item
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"name and value of a response header must be str, not {name!r}: {value!r}")
        head.add_field(
            out, name if type(name) is str else str.__str__(name), value if type(value) is str else str.__str__(value)
        )
    head.lines = PyBytes_FromStringAndSize(out.data, out.size)
    return head


cdef bint is_hop_by_hop(const char* name, Py_ssize_t size) except *:
    if size > 20 or not (HOP_BY_HOP_SIZES >> size) & 1:
        return False
    for hop in HOP_BY_HOP:
        if equals_lower(name, size, <const char*>(<bytes>hop), len(<bytes>hop)):
            return True
    return False


@cython.final
@cython.freelist(64)
cdef class ResponseHead:
    """A response head that has been checked, ready to be sent."""

    cdef bint add_field(self, OutBuffer out, str name, str value) except *:
        cdef Py_ssize_t name_size = PyUnicode_GET_LENGTH(name), value_size = PyUnicode_GET_LENGTH(value)
        cdef const char* name_text = <const char*>PyUnicode_DATA(name)
        cdef const char* value_text = <const char*>PyUnicode_DATA(value)
        cdef PyObject* known = PyDict_GetItem(USUAL_NAMES, name)
        cdef object meaning = <object>known if known != NULL else self.name_meaning(name, name_text, name_size)
        if PyUnicode_KIND(value) != 1:
            raise ValueError(f"response header {name}: {value!r}: must be latin-1 text; encode other characters")
        if hublet_has_control(value_text, value_size):
            raise ValueError(
                f"response header {name}: {value!r}: must not contain CR, LF, NUL or other control characters"
            )
        if meaning is LENGTH:
            self.declare_length(value, value_text, value_size)
            if is_bodiless(self.status) and self.status != 304:
                return True  # forbidden there (RFC 9110 section 8.6), and to 205 we add our own
        elif meaning is DATE:
            self.has_date = True
        elif meaning is SERVER:
            self.has_server = True
        out.append(name_text, name_size)
        out.append(b": ", 2)
        out.append(value_text, value_size)
        out.append(b"\r\n", 2)
        return True

    cdef object name_meaning(self, str name, const char* text, Py_ssize_t size):
        """Check a field name that is not a usual one, and tell what it means to the server."""
        if PyUnicode_KIND(name) != 1 or size == 0 or <Py_ssize_t>class_span(text, size, HUBLET_TOKEN) != size:
            raise ValueError(f"response header name {name!r}: must be a token (RFC 9110 section 5.6.2)")
        if is_hop_by_hop(text, size):
            raise ValueError(
                f"response header {name}: hop-by-hop fields belong to the server (PEP 3333); remove it from the application"
            )
        if equals_lower(text, size, b"content-length", 14):
            return LENGTH
        if equals_lower(text, size, b"date", 4):
            return DATE
        return SERVER if equals_lower(text, size, b"server", 6) else PLAIN

    cdef int declare_length(self, str value, const char* text, Py_ssize_t size) except -1:
        cdef Py_ssize_t i
        if self.content_length >= 0:
            raise ValueError("response header Content-Length is there twice")
        if size == 0 or size > 18 or <Py_ssize_t>class_span(text, size, HUBLET_DIGIT) != size:
            raise ValueError(f"response header Content-Length: {value!r}: must be a decimal number of at most 18 digits")
        self.content_length = 0
        for i in range(size):
            self.content_length = self.content_length * 10 + (text[i] - c"0")
        return 0
