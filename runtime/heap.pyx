"""Keeps the C heap from shrinking and growing again with every message.

When the topmost block of its heap becomes free, glibc gives the memory back to the kernel from 128 KiB on, and blocks
of that size it takes straight from the kernel. A server that allocates and frees a message of 64 KiB for every event
then spends a third of its time in page faults. Kept are at the most the bytes of HEAP_SLACK.
"""

from . import limits

cdef extern from *:
    """
    #if defined(__GLIBC__)
    #include <malloc.h>
    static void hublet_keep_heap(int slack, int largest) {
        mallopt(M_TRIM_THRESHOLD, slack);
        mallopt(M_MMAP_THRESHOLD, largest);
    }
    #else
    static void hublet_keep_heap(int slack, int largest) {}
    #endif
    """
    void hublet_keep_heap(int slack, int largest) noexcept


def keep_heap():
    """Set the thresholds, for this process. Nothing happens with another C library than glibc."""
    hublet_keep_heap(limits.HEAP_SLACK, limits.HEAP_BLOCK)
