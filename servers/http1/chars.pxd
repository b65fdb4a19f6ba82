cdef extern from *:
    """
    #ifndef HUBLET_CHARS_H
    #define HUBLET_CHARS_H
    #include <stdint.h>
    #include <string.h>

    /* For a byte of a field name: the byte of its environ key (upper case, "-" as "_"), or 0 where RFC 9110 section
       5.6.2 allows none. "_" itself maps to itself: the caller must refuse it, since "-" maps to it too. */
    static unsigned char hublet_key_char[256];
    /* Bits of a byte's classes. */
    enum { HUBLET_TOKEN = 1, HUBLET_TARGET = 2, HUBLET_HOST = 4, HUBLET_DIGIT = 8, HUBLET_HEX = 16 };
    static unsigned char hublet_class[256];
    static unsigned char hublet_hex_value[256];

    static inline void hublet_chars_init(void) {
        int c;
        for (c = 0; c < 256; c++) {
            int alpha = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
            int digit = c >= '0' && c <= '9';
            int hex = digit || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
            int token = alpha || digit || (c && strchr("!#$%&'*+-.^_`|~", c) != NULL);
            unsigned char bits = 0;
            if (token) bits |= HUBLET_TOKEN;
            if (c > 0x20 && c < 0x7F && c != '#') bits |= HUBLET_TARGET;
            if (alpha || digit || (c && strchr("-._~!$&'()*+,;=%", c) != NULL)) bits |= HUBLET_HOST;
            if (digit) bits |= HUBLET_DIGIT;
            if (hex) bits |= HUBLET_HEX;
            hublet_class[c] = bits;
            hublet_key_char[c] = !token ? 0 : c == '-' ? '_' : (c >= 'a' && c <= 'z') ? c - 32 : c;
            hublet_hex_value[c] = digit ? c - '0' : hex ? (c | 32) - 'a' + 10 : 0;
        }
    }

    /* Whether any of n bytes is a control character other than HTAB, and whether any is above 0x7F. Eight bytes at a
       time: a byte is below 0x20 or equal to 0x7F exactly when its high bit survives the subtraction; HTAB sends the
       word to the exact loop. */
    static inline int hublet_has_control(const char *p, size_t n) {
        const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL;
        while (n >= 8) {
            uint64_t word, del;
            memcpy(&word, p, 8);
            del = word ^ (ones * 0x7F);
            if ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & highs) {
                int i;
                for (i = 0; i < 8; i++) {
                    unsigned char c = (unsigned char)p[i];
                    if ((c < 0x20 && c != '\\t') || c == 0x7F) return 1;
                }
            }
            p += 8, n -= 8;
        }
        for (; n; p++, n--) {
            unsigned char c = (unsigned char)*p;
            if ((c < 0x20 && c != '\\t') || c == 0x7F) return 1;
        }
        return 0;
    }
    #endif
    """
    enum:
        HUBLET_TOKEN
        HUBLET_TARGET
        HUBLET_HOST
        HUBLET_DIGIT
        HUBLET_HEX
    const unsigned char hublet_key_char[256]
    const unsigned char hublet_class[256]
    const unsigned char hublet_hex_value[256]
    void hublet_chars_init() noexcept
    bint hublet_has_control(const char* p, size_t n) noexcept


cdef inline bint is_class(char byte, int bits) noexcept:
    return (hublet_class[<unsigned char>byte] & bits) != 0


cdef inline size_t class_span(const char* p, size_t n, int bits) noexcept:
    """How many of the first `n` bytes belong to the classes `bits` without a gap."""
    cdef size_t i = 0
    while i < n and hublet_class[<unsigned char>p[i]] & bits:
        i += 1
    return i


cdef inline bint equals_lower(const char* p, size_t n, const char* lower, size_t size) noexcept:
    """Compare ASCII without regard to case; `lower` is in lower case and has `size` bytes."""
    cdef size_t i
    cdef unsigned char c
    if n != size:
        return False
    for i in range(n):
        c = <unsigned char>p[i]
        if c >= c"A" and c <= c"Z":
            c += 32
        if c != <unsigned char>lower[i]:
            return False
    return True
