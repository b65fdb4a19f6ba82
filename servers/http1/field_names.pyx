"""Field names and their environ keys: the well-known ones in a table, so that no key has to be made for them."""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from sys import intern

from .chars cimport hublet_chars_init, hublet_key_char

hublet_chars_init()

cdef Known slots[KNOWN_SLOTS]

KNOWN_NAMES = (
    "accept accept-charset accept-encoding accept-language accept-datetime access-control-request-headers "
    "access-control-request-method alt-used authorization cache-control cdn-loop cf-connecting-ip cf-ipcountry cf-ray "
    "cf-visitor connection content-disposition content-encoding content-language content-length content-md5 "
    "content-type cookie correlation-id date dnt dpr early-data expect forwarded from host http2-settings "
    "idempotency-key if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive last-event-id "
    "max-forwards origin pragma prefer priority proxy-authorization proxy-connection purpose range referer "
    "save-data sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site "
    "sec-fetch-user sec-gpc sec-purpose sec-websocket-extensions sec-websocket-key sec-websocket-protocol "
    "sec-websocket-version te traceparent tracestate trailer transfer-encoding true-client-ip upgrade "
    "upgrade-insecure-requests user-agent via viewport-width warning width x-amzn-trace-id x-api-key x-b3-sampled "
    "x-b3-spanid x-b3-traceid x-client-ip x-correlation-id x-csrf-token x-csrftoken x-forwarded-for "
    "x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme x-forwarded-server "
    "x-forwarded-ssl x-http-method-override x-real-ip x-request-id x-requested-with x-request-start x-scheme "
    "x-xsrf-token"
).split()
SPECIAL_FIELDS = {
    "host": HOST, "content-length": CONTENT_LENGTH, "transfer-encoding": TRANSFER_ENCODING, "connection": CONNECTION,
    "expect": EXPECT, "cookie": COOKIE, "forwarded": FORWARDED,
}
SPECIAL_FIELDS.update((name, FORWARDED) for name in KNOWN_NAMES if name.startswith("x-forwarded-"))


cdef void fill_known_fields() except *:
    cdef Known* slot
    cdef unsigned int hashed
    cdef str key, bare
    cdef bytes raw
    memset(slots, 0, sizeof(slots))
    for name in KNOWN_NAMES:
        bare = name.upper().replace("-", "_")
        raw = bare.encode()
        key = bare if name in ("content-type", "content-length") else "HTTP_" + bare
        hashed = first_hash()
        for c in raw:
            hashed = next_hash(hashed, c)
        while slots[hashed % KNOWN_SLOTS].key != NULL:
            hashed += 1
        slot = &slots[hashed % KNOWN_SLOTS]
        key = intern(key)
        slot.key = <PyObject*>key
        slot.size = <unsigned int>len(raw)
        slot.name = PyBytes_AS_STRING(raw)
        slot.special = SPECIAL_FIELDS.get(name, PLAIN)
        known_keys.append((raw, key))  # keeps both alive, since the table only borrows them


known_keys = []
fill_known_fields()
known_fields = slots


cdef str environ_key(const char* name, size_t size):
    """The HTTP_* key of a field name that has been checked."""
    cdef char short_key[NAME_BUFFER + 5]
    cdef char* key = short_key
    cdef size_t i
    if size > NAME_BUFFER:
        key = <char*>malloc(size + 5)
        if key == NULL:
            raise MemoryError()
    memcpy(key, b"HTTP_", 5)
    for i in range(size):
        key[5 + i] = hublet_key_char[<unsigned char>name[i]]
    try:
        return PyUnicode_DecodeLatin1(key, size + 5, NULL)
    finally:
        if key != short_key:
            free(key)
