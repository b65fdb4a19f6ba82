from cpython.object cimport PyObject
from libc.string cimport memcmp

# Longest field name that is looked up without allocating; a longer one is simply not a well-known one.
cdef enum:
    NAME_BUFFER = 128
    KNOWN_SLOTS = 512

# Fields that mean something to the server itself.
cdef enum:
    PLAIN = 0
    HOST
    CONTENT_LENGTH
    TRANSFER_ENCODING
    CONNECTION
    EXPECT
    COOKIE
    FORWARDED  # Forwarded and X-Forwarded-*: a proxy's word on the client, which anybody else could forge

cdef struct Known:
    PyObject* key     # the interned environ key, kept for the life of the process
    const char* name  # the key's bytes without "HTTP_"
    unsigned int size
    int special


# FNV-1a: the hash of nothing, and the one with another byte.
cdef inline unsigned int first_hash() noexcept:
    return 2166136261u


cdef inline unsigned int next_hash(unsigned int value, unsigned char c) noexcept:
    return (value ^ c) * 16777619u


# The well-known fields by their hashes: KNOWN_SLOTS of them, of which those without a key are free.
cdef Known* known_fields


# The well-known field of a name in upper case with "_", whose hash is given, or NULL.
cdef inline Known* find_known(const char* name, size_t size, unsigned int hashed) noexcept:
    cdef Known* slot = &known_fields[hashed % KNOWN_SLOTS]
    while slot.key != NULL:
        if slot.size == size and memcmp(slot.name, name, size) == 0:
            return slot
        hashed += 1
        slot = &known_fields[hashed % KNOWN_SLOTS]
    return NULL


cdef str environ_key(const char* name, size_t size)
