"""Cures the SSLContext that was there before the patching, of which some may be in use already.

The setters of its properties call `super(SSLContext, SSLContext)`, by the name in the module `ssl`, which is gevent's
subclass after the patching: the setter is found again, and calls itself, until RecursionError. Here the name is the
original's own while a setter of the original runs. None of them waits, so nobody else sees that.
"""

from __future__ import annotations

import sys
from typing import Any

from gevent import monkey


def cure_ssl_context() -> None:
    """Make contexts of the original class work, and their sockets yield. Nothing happens where it was done, or no ssl.

    There is no undo: contexts may be in use.
    """
    ssl: Any = sys.modules.get("ssl")
    if ssl is None or not monkey.is_object_patched("ssl", "SSLContext"):
        return
    patched, original = ssl.SSLContext, monkey.get_original("ssl", "SSLContext")
    if original.__dict__.get("wrap_socket") is patched.__dict__["wrap_socket"]:
        return
    for name, value in list(vars(original).items()):
        if isinstance(value, property) and value.fset is not None:
            setattr(original, name, value.setter(under_own_name(ssl, original, value.fset)))
    original.wrap_socket = patched.wrap_socket
    original.sslsocket_class = patched.sslsocket_class


def under_own_name(ssl: Any, original: Any, fset: Any) -> Any:
    """A setter that runs while the module's SSLContext is the class that it is written for."""

    def set_property(self: Any, value: Any) -> None:
        patched, ssl.SSLContext = ssl.SSLContext, original
        try:
            fset(self, value)
        finally:
            ssl.SSLContext = patched

    return set_property
