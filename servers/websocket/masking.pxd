"""Masking (RFC 6455 section 5.3), which is its own inverse."""

cdef extern from *:
    """
    #ifndef HUBLET_MASKING_H
    #define HUBLET_MASKING_H
    #include <stdint.h>
    #include <string.h>

    /* Copy n bytes, each combined with the mask's byte of its turn; the first one with mask[0]. Returns whether every
       byte that was written is ASCII, which costs nothing to find out on the way. Eight bytes at a time, which the
       compiler makes more; memcpy takes them from any address. The areas must not overlap. */
    static inline int hublet_mask_copy(
        char *restrict out, const char *restrict data, size_t n, const unsigned char *restrict mask
    ) {
        uint64_t wide, word, seen = 0;
        size_t i, words = n & ~(size_t)7;
        memcpy(&wide, mask, 4);
        memcpy((char *)&wide + 4, mask, 4);
        for (i = 0; i < words; i += 8) {
            memcpy(&word, data + i, 8);
            word ^= wide;
            memcpy(out + i, &word, 8);
            seen |= word;
        }
        for (; i < n; i++) {
            unsigned char c = (unsigned char)data[i] ^ mask[i & 3];
            out[i] = (char)c;
            seen |= c;
        }
        return (seen & 0x8080808080808080ULL) == 0;
    }

    /* Turn the mask, so that mask[0] is for the byte behind n more. */
    static inline void hublet_mask_turn(unsigned char *mask, size_t n) {
        unsigned char old[4];
        int i;
        memcpy(old, mask, 4);
        for (i = 0; i < 4; i++) mask[i] = old[(i + n) & 3];
    }
    #endif
    """
    bint hublet_mask_copy(char* out, const char* data, size_t n, const unsigned char* mask) noexcept
    void hublet_mask_turn(unsigned char* mask, size_t n) noexcept
