"""The greenlet in which an application handles one request, and the switches that start and resume it.

It is a bare greenlet, made fresh for every request. That is what isolates requests from each other: `gevent.local`,
`threading.local`, context variables, a forgotten `gevent.Timeout` and a late `kill()` all belong to a greenlet object, and
this one dies with its request. On top of the bare greenlet stand the few methods of `gevent.Greenlet` that code
running in a request calls on `gevent.getcurrent()`.

A request greenlet is started by a direct switch from a hub callback, so its parent is the hub, and control comes back
to that callback when the application waits or ends, whichever comes first.
"""

from cpython.object cimport PyObject

import signal

from gevent import GreenletExit, get_hub, joinall, spawn

cdef extern from "greenlet.h":
    void PyGreenlet_Import()
    greenlet PyGreenlet_GetCurrent()
    object PyGreenlet_Switch(greenlet g, PyObject* args, PyObject* kwargs)

PyGreenlet_Import()


cdef greenlet current():
    """The running greenlet."""
    return PyGreenlet_GetCurrent()


cdef int start(RequestGreenlet fresh) except -1:
    """From a hub callback: run `fresh`, which has not run yet, until it waits or ends."""
    PyGreenlet_Switch(fresh, NULL, NULL)
    return 0


cdef int resume(greenlet waiting) except -1:
    """From the hub: continue a greenlet that switched to the hub, until it waits again or ends."""
    PyGreenlet_Switch(waiting, NULL, NULL)
    return 0


cdef class RequestGreenlet(greenlet):
    """A greenlet for one request, with what applications expect of `gevent.getcurrent()`."""

    cdef int serve(self) except -1:
        """The request itself; a subclass says what that is. It must not raise: nobody is there to catch it."""
        return 0

    def run(self):
        """What the greenlet runs when it is started; not for callers."""
        try:
            self.serve()
        finally:
            self.finished = True
            if self.links is not None:
                # In the hub, as with gevent: a link may be a Waiter's switch. The loop holds us until then, so that
                # no new greenlet can take our address while gevent.local still has our entry.
                get_hub().loop.run_callback(self._notify_links)

    def _notify_links(self):
        links, self.links = self.links, None
        for callback in links:
            try:
                callback(self)
            except BaseException as error:
                get_hub().handle_error((self, callback), type(error), error, error.__traceback__)

    def rawlink(self, callback):
        """Call `callback(self)` in the hub when the request has ended. It must not block."""
        if not callable(callback):
            raise TypeError(f"expected a callable, not {callback!r}")
        if self.finished:
            get_hub().loop.run_callback(callback, self)
        elif self.links is None:
            self.links = [callback]
        else:
            self.links.append(callback)

    def link(self, callback):
        """Call `callback(self)` in a greenlet of its own when the request has ended."""
        self.rawlink(_SpawnedLink(callback))

    def unlink(self, callback):
        """Take back what `link` or `rawlink` was given; nothing happens if that was never given."""
        if self.links is not None:
            self.links = [each for each in self.links if each != callback and _callback_of(each) != callback]

    def ready(self):
        """Tell whether the request has ended."""
        return self.finished or self.dead

    def kill(self, exception=GreenletExit, block=True, timeout=None):
        """Raise `exception` in the request, if it is still running; wait for its end if `block`."""
        if not self.ready():
            self.loop.run_callback(self.throw, exception)
            if block:
                joinall([self], timeout)

    def throw(self, *exception):
        """Raise `exception` in the request now, by a switch; nothing happens after its end."""
        if not self.dead:
            return greenlet.throw(self, *exception)

    def join(self, timeout=None):
        """Wait for the request's end, at most `timeout` seconds."""
        if not self.ready():
            joinall([self], timeout)

    # Its outcome is the response: for whoever looks at it as at a gevent.Greenlet, it returns None and never fails.
    value = None
    exception = None

    def successful(self):
        """Tell whether the request has ended."""
        return self.ready()

    @property
    def loop(self):
        """The hub's loop, as `gevent.Greenlet` has."""
        return get_hub().loop

    @property
    def minimal_ident(self):
        """A small integer that is unique among the greenlets of this hub, as `gevent.Greenlet` has."""
        if self._minimal_ident is None:
            self._minimal_ident = get_hub().ident_registry.get_ident(self)
        return self._minimal_ident

    @property
    def name(self):
        """A name for people, as `gevent.Greenlet` has."""
        return f"RequestGreenlet-{self.minimal_ident}"


def pass_interrupt(error):
    """Pass an error that surfaced in a request on to the program if it is Ctrl-C, which is not meant for one request.

    Only Python's own handler is looked for: an application's has its own reasons to raise KeyboardInterrupt.
    """
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        get_hub().handle_system_error(type(error), error)


class _SpawnedLink:
    """A link whose callback runs in a greenlet of its own."""

    def __init__(self, callback):
        if not callable(callback):
            raise TypeError(f"expected a callable, not {callback!r}")
        self.callback = callback

    def __call__(self, source):
        spawn(self.callback, source)


cdef object _callback_of(object link):
    return link.callback if isinstance(link, _SpawnedLink) else None
