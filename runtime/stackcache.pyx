"""A cache of the interpreter's data-stack chunks, which makes a fresh greenlet several times cheaper.

Since CPython 3.11 Python frames live in "data-stack chunks" of 16 KiB that a thread state chains as it needs them. Every
greenlet has a chain of its own, so a greenlet that runs and ends costs an `mmap`, the page faults of touching it and a
`munmap`: nearly all of the price of a fresh greenlet. The interpreter takes these chunks from the arena allocator, which
`PyObject_SetArenaAllocator` lets us wrap: blocks of exactly that size are served from a bounded free list, everything
else (pymalloc's arenas, which are larger) passes through.

The chunks on the list came from the allocator underneath and may be handed back to it at any time, so installing and
uninstalling are safe while greenlets run. A try-lock guards the list, because interpreters with their own GIL share
the allocator; whoever does not get it takes the ordinary way.
"""

import sys
import sysconfig
from typing import NamedTuple

cdef extern from *:
    """
    #include <stdatomic.h>
    #include <stddef.h>

    #define HUBLET_CHUNK_SIZE (16 * 1024)  /* DATA_STACK_CHUNK_SIZE in CPython 3.11 to 3.14 */

    typedef struct hublet_free_chunk { struct hublet_free_chunk *next; } hublet_free_chunk;

    static PyObjectArenaAllocator hublet_beneath;
    static atomic_flag hublet_lock = ATOMIC_FLAG_INIT;
    static hublet_free_chunk *hublet_free_chunks = NULL;
    static size_t hublet_kept = 0, hublet_capacity = 0;
    static unsigned long long hublet_hits = 0, hublet_misses = 0;

    static void *hublet_arena_alloc(void *ctx, size_t size) {
        if (size == HUBLET_CHUNK_SIZE && !atomic_flag_test_and_set(&hublet_lock)) {
            hublet_free_chunk *chunk = hublet_free_chunks;
            if (chunk != NULL) {
                hublet_free_chunks = chunk->next;
                hublet_kept--;
                hublet_hits++;
            } else {
                hublet_misses++;
            }
            atomic_flag_clear(&hublet_lock);
            if (chunk != NULL) return chunk;
        }
        return hublet_beneath.alloc(hublet_beneath.ctx, size);
    }

    static void hublet_arena_free(void *ctx, void *block, size_t size) {
        if (size == HUBLET_CHUNK_SIZE && !atomic_flag_test_and_set(&hublet_lock)) {
            int keep = hublet_kept < hublet_capacity;
            if (keep) {
                hublet_free_chunk *chunk = (hublet_free_chunk *)block;
                chunk->next = hublet_free_chunks;
                hublet_free_chunks = chunk;
                hublet_kept++;
            }
            atomic_flag_clear(&hublet_lock);
            if (keep) return;
        }
        hublet_beneath.free(hublet_beneath.ctx, block, size);
    }

    /* 1 when our allocator is the one in force, 0 when it is somebody else's. */
    static int hublet_is_installed(void) {
        PyObjectArenaAllocator current;
        PyObject_GetArenaAllocator(&current);
        return current.alloc == hublet_arena_alloc;
    }

    static void hublet_install(void) {
        PyObjectArenaAllocator ours = {NULL, hublet_arena_alloc, hublet_arena_free};
        PyObject_GetArenaAllocator(&hublet_beneath);
        PyObject_SetArenaAllocator(&ours);
    }

    static void hublet_trim(size_t capacity) {
        while (atomic_flag_test_and_set(&hublet_lock)) {}
        hublet_capacity = capacity;
        while (hublet_kept > capacity) {
            hublet_free_chunk *chunk = hublet_free_chunks;
            hublet_free_chunks = chunk->next;
            hublet_kept--;
            hublet_beneath.free(hublet_beneath.ctx, chunk, HUBLET_CHUNK_SIZE);
        }
        atomic_flag_clear(&hublet_lock);
    }

    static void hublet_uninstall(void) { PyObject_SetArenaAllocator(&hublet_beneath); }
    """
    bint hublet_is_installed()
    void hublet_install()
    void hublet_trim(size_t capacity)
    void hublet_uninstall()
    size_t hublet_kept
    size_t hublet_capacity
    unsigned long long hublet_hits
    unsigned long long hublet_misses


class StackCacheStatistics(NamedTuple):
    """What the cache holds and how often it could serve."""

    installed: bool
    capacity: int
    kept: int
    hits: int
    misses: int


def is_supported() -> bool:
    """Tell whether this interpreter takes its data-stack chunks from the arena allocator, under a GIL."""
    return sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")


def install(capacity: int) -> bool:
    """Keep up to `capacity` chunks of 16 KiB for reuse; called again, change the capacity. 0 uninstalls.

    Returns whether the cache is in force: False on an interpreter for which `is_supported()` is false.
    Raises ValueError for a negative capacity, RuntimeError when another allocator was installed on top since.
    """
    if capacity < 0:
        raise ValueError(f"stack cache capacity = {capacity}: must not be negative")
    if capacity == 0 or not is_supported():
        uninstall()
        return False
    if not hublet_is_installed():
        if hublet_capacity:
            raise RuntimeError("another arena allocator was installed on top of the stack cache; uninstall that one first")
        hublet_install()
    hublet_trim(capacity)
    return True


def uninstall() -> None:
    """Give every kept chunk back and restore the allocator underneath.

    Raises RuntimeError when another allocator has been installed on top since: removing ours would cut it off.
    """
    if hublet_is_installed():
        hublet_trim(0)
        hublet_uninstall()
    elif hublet_capacity:
        raise RuntimeError("another arena allocator was installed on top of the stack cache; uninstall that one first")


def statistics() -> StackCacheStatistics:
    """Return the cache's present state and its counters since the process began."""
    return StackCacheStatistics(hublet_is_installed(), hublet_capacity, hublet_kept, hublet_hits, hublet_misses)
