"""What `open` returns: large reads and writes of regular files run on native threads, each method's call as a whole.

The methods of C's own types are replaced (`builtin_types`), so that every file has them, whoever opened it and when:
types, their layout and their small calls stay as they are, and a small call costs some 20 nanoseconds more.

Rules:
- A call is made elsewhere from the outermost buffered method on. That takes the object's own lock, which belongs to a
  native thread: were only the system call made elsewhere, a second greenlet would be told "reentrant call". So another
  greenlet's large call on the same file waits on its own thread, and a small one waits as a second thread's would.
  What an object with such a lock asks of the one beneath it, to fill or empty a large buffer say, is done here: it is
  told by its memoryview of memory that belongs to no object.
- Only where a `FileIO` itself is beneath: a socket's `makefile`, or anybody's own class, belongs to its greenlet.
- Not for the standard streams, which the interpreter flushes at its end, nor where an import reads a module's file.
- With too many calls waiting for a thread, the call is made here: a file knows no OffloadQueueFull.
"""

import functools
from io import FileIO

from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongAndOverflow, PyLong_CheckExact
from cpython.memoryview cimport PyMemoryView_Check
from cpython.ref cimport PyObject
from posix.stat cimport S_ISREG, fstat, struct_stat
from posix.unistd cimport SEEK_CUR, lseek

from ...runtime.errors import OffloadQueueFull
from ...runtime.limits import OFFLOAD_FILE_PIECE
from ...runtime.offload import has_hub_to_yield_to, offload

cdef extern from "Python.h":
    PyObject *PyEval_GetGlobals()
    PyObject *PyMemoryView_GET_BASE(object view)

cdef long PIECE = OFFLOAD_FILE_PIECE
# A module is read in the midst of the interpreter's import, with locks held.
cdef object IMPORTERS = frozenset({"importlib._bootstrap_external", "_frozen_importlib_external", "zipimport"})


cdef int open_file(file, struct_stat *status) except -2:
    """The descriptor of a regular file, and what the kernel says of it; -1 if it may not be used elsewhere."""
    cdef int descriptor
    try:
        raw = file if isinstance(file, FileIO) else getattr(file, "raw", None)
        if type(raw) is not FileIO:
            return -1
        descriptor = raw.fileno()
    except ValueError:  # closed or detached: the call itself says so
        return -1
    return descriptor if descriptor > 2 and fstat(descriptor, status) == 0 and S_ISREG(status.st_mode) else -1


cdef bint can_wait() except -1:
    """Whether the caller may wait for another thread."""
    cdef PyObject *names = PyEval_GetGlobals()  # of the Python function that called; a greenlet's first may be in C
    return has_hub_to_yield_to() and (names is NULL or (<dict>names).get("__name__") not in IMPORTERS)


cdef bint reads_much(file, long size) except -1:
    """Whether a read of `size` bytes, or of all with -1, is to be made elsewhere."""
    cdef struct_stat status
    cdef int descriptor = open_file(file, &status)
    if descriptor < 0:
        return False
    cdef long left = status.st_size - lseek(descriptor, 0, SEEK_CUR)
    return (left if size < 0 or size > left else size) >= PIECE and can_wait()


cdef bint writes_elsewhere(file) except -1:
    """Whether a large write is to be made elsewhere."""
    cdef struct_stat status
    return open_file(file, &status) >= 0 and can_wait()


cdef long number(value):
    """A number of bytes as it was given: -1 for None and negative ones, 0 for what the call itself has to judge."""
    cdef int overflow = 0
    cdef long result
    if value is None:
        return -1
    if not PyLong_CheckExact(value):
        return 0
    result = PyLong_AsLongAndOverflow(value, &overflow)
    return 0 if overflow else max(result, -1)


cdef long size_of(data):
    """Bytes in an object; 0 for one without the buffer protocol, of which the call complains, and for a buffer's own."""
    cdef Py_buffer view
    if PyBytes_CheckExact(data):
        return PyBytes_GET_SIZE(data)
    if not PyObject_CheckBuffer(data) or (PyMemoryView_Check(data) and PyMemoryView_GET_BASE(data) is NULL):
        return 0
    try:
        PyObject_GetBuffer(data, &view, PyBUF_FULL_RO)
    except Exception:
        return 0
    size = view.len
    PyBuffer_Release(&view)
    return size


cdef elsewhere(call, tuple arguments):
    """Make a call on a native thread, or here if too many wait for one."""
    try:
        return offload(call, *arguments)
    except OffloadQueueFull:
        return call(*arguments)


def in_place_of(original):
    """As `functools.wraps`; and it is found where the original is, by `pickle` for one."""

    def named(method):
        functools.update_wrapper(method, original)
        method.__module__ = original.__objclass__.__module__
        return method

    return named


def reading(original):
    """What takes the place of `read`, which reads all unless told otherwise."""

    @in_place_of(original)
    def read(self, size=-1, /):
        cdef long wanted = number(size)
        if (wanted >= PIECE or wanted < 0) and reads_much(self, wanted):
            return elsewhere(original, (self, size))
        return original(self, size)

    return read


def reading_all(original):
    """What takes the place of `FileIO.readall`."""

    @in_place_of(original)
    def readall(self, /):
        return elsewhere(original, (self,)) if reads_much(self, -1) else original(self)

    return readall


def reading_once(original):
    """What takes the place of `read1`, which reads a buffer's worth unless told otherwise."""

    @in_place_of(original)
    def read1(self, size=-1, /):
        cdef long wanted = number(size)
        if wanted >= PIECE and reads_much(self, wanted):
            return elsewhere(original, (self, size))
        return original(self, size)

    return read1


def reading_into(original):
    """What takes the place of `readinto` and `readinto1`."""

    @in_place_of(original)
    def readinto(self, buffer, /):
        cdef long wanted = size_of(buffer)
        if wanted >= PIECE and reads_much(self, wanted):
            return elsewhere(original, (self, buffer))
        return original(self, buffer)

    return readinto


def writing(original):
    """What takes the place of `write`."""

    @in_place_of(original)
    def write(self, buffer, /):
        if size_of(buffer) >= PIECE and writes_elsewhere(self):
            return elsewhere(original, (self, buffer))
        return original(self, buffer)

    return write
