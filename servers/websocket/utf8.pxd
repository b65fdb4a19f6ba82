"""The UTF-8 check, which can stop after any byte and go on later (RFC 3629 section 4)."""

cdef extern from *:
    """
    #ifndef HUBLET_UTF8_H
    #define HUBLET_UTF8_H
    #include <stdint.h>
    #include <string.h>

    /* A state says which bytes may come next: the start of a character, or one to three bytes of its tail. The first
       byte of the tail has a range of its own after E0 and F0 (shorter forms exist), ED (surrogates) and F4 (beyond
       U+10FFFF). */
    enum {
        HUBLET_UTF8_START, HUBLET_UTF8_TAIL1, HUBLET_UTF8_TAIL2, HUBLET_UTF8_TAIL3,
        HUBLET_UTF8_E0, HUBLET_UTF8_ED, HUBLET_UTF8_F0, HUBLET_UTF8_F4, HUBLET_UTF8_BAD
    };

    static const struct { unsigned char low, high, next; } hublet_utf8_tails[] = {
        {0x00, 0x00, HUBLET_UTF8_BAD},   /* a start is looked up by its byte */
        {0x80, 0xBF, HUBLET_UTF8_START},
        {0x80, 0xBF, HUBLET_UTF8_TAIL1},
        {0x80, 0xBF, HUBLET_UTF8_TAIL2},
        {0xA0, 0xBF, HUBLET_UTF8_TAIL1},
        {0x80, 0x9F, HUBLET_UTF8_TAIL1},
        {0x90, 0xBF, HUBLET_UTF8_TAIL2},
        {0x80, 0x8F, HUBLET_UTF8_TAIL2},
    };

    static inline int hublet_utf8_lead(unsigned char c) {
        if (c < 0x80) return HUBLET_UTF8_START;
        if (c < 0xC2) return HUBLET_UTF8_BAD;
        if (c < 0xE0) return HUBLET_UTF8_TAIL1;
        if (c == 0xE0) return HUBLET_UTF8_E0;
        if (c == 0xED) return HUBLET_UTF8_ED;
        if (c < 0xF0) return HUBLET_UTF8_TAIL2;
        if (c == 0xF0) return HUBLET_UTF8_F0;
        if (c < 0xF4) return HUBLET_UTF8_TAIL3;
        if (c == 0xF4) return HUBLET_UTF8_F4;
        return HUBLET_UTF8_BAD;
    }

    /* The state after n more bytes. HUBLET_UTF8_BAD at the first byte after which nothing makes the text good. */
    static inline int hublet_utf8_check(const char *text, size_t n, int state) {
        const unsigned char *p = (const unsigned char *)text, *end = p + n;
        while (p < end) {
            if (state == HUBLET_UTF8_START) {
                uint64_t word;
                while (end - p >= 8) {
                    memcpy(&word, p, 8);
                    if (word & 0x8080808080808080ULL) break;
                    p += 8;
                }
                while (p < end && *p < 0x80) p++;
                if (p == end) break;
                state = hublet_utf8_lead(*p);
            } else if (*p < hublet_utf8_tails[state].low || *p > hublet_utf8_tails[state].high) {
                state = HUBLET_UTF8_BAD;
            } else {
                state = hublet_utf8_tails[state].next;
            }
            if (state == HUBLET_UTF8_BAD) break;
            p++;
        }
        return state;
    }
    #endif
    """
    enum:
        HUBLET_UTF8_START
        HUBLET_UTF8_BAD
    int hublet_utf8_check(const char* text, size_t n, int state) noexcept
