"""Calls that compute for long and let other threads run meanwhile: hashes, compression, certificates.

Small ones are made where they are: handing a call over costs more than they do.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable
from typing import Any, Final

from ...runtime.limits import OFFLOAD_DEFLATE, OFFLOAD_HASH, OFFLOAD_ROUNDS
from ...runtime.offload import offload

#: Methods that gevent's SSLContext inherits from a class of C.
LOADING: Final = ("load_verify_locations", "set_default_verify_paths")


def large(data: Any, limit: int) -> bool:
    """Whether an object has so many bytes; not if it has none."""
    try:
        with memoryview(data) as view:
            return view.nbytes >= limit
    except TypeError:
        return False


def always(original: Callable[..., Any]) -> Callable[..., Any]:
    """A call that is never short."""

    def computed_elsewhere(*arguments: Any, **named: Any) -> Any:
        return offload(original, *arguments, **named)

    return computed_elsewhere


def derive_key(original: Callable[..., bytes]) -> Callable[..., bytes]:
    """What takes the place of hashlib.pbkdf2_hmac."""

    def pbkdf2_hmac(hash_name: str, password: Any, salt: Any, iterations: int, dklen: int | None = None) -> bytes:
        if iterations >= OFFLOAD_ROUNDS:
            return offload(original, hash_name, password, salt, iterations, dklen)
        return original(hash_name, password, salt, iterations, dklen)

    return pbkdf2_hmac


def of_large_data(limit: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A wrapper for functions whose first argument is what they work on."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def compute(data: Any = b"", /, *arguments: Any, **named: Any) -> Any:
            if large(data, limit):
                return offload(original, data, *arguments, **named)
            return original(data, *arguments, **named)

        return compute

    return wrap


deflate = of_large_data(OFFLOAD_DEFLATE)
digest = of_large_data(OFFLOAD_HASH)


def new_hash(original: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the place of hashlib.new."""

    def new(name: str, data: Any = b"", **named: Any) -> Any:
        return offload(original, name, data, **named) if large(data, OFFLOAD_HASH) else original(name, data, **named)

    return new


def digest_of_file(original: Callable[..., Any]) -> Callable[..., Any]:
    """What takes the place of hashlib.file_digest: real files by a hash's name; other objects may need the hub."""

    def file_digest(fileobj: Any, digest: Any, /, **named: Any) -> Any:
        if isinstance(digest, str) and type(getattr(fileobj, "raw", fileobj)) is io.FileIO:
            return offload(original, fileobj, digest, **named)
        return original(fileobj, digest, **named)

    return file_digest


class Argon2:
    """The C library of argon2, with its three long functions elsewhere."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.argon2_hash = always(library.argon2_hash)
        self.argon2_verify = always(library.argon2_verify)
        self.argon2_ctx = always(library.argon2_ctx)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


def argon2(library: Any) -> Argon2:
    """What takes the place of `argon2.low_level.lib`."""
    return Argon2(library)


def load_certificates_elsewhere() -> None:
    """Give gevent's SSLContext methods of its own, in front of those that it inherits."""
    for name in LOADING:
        setattr(ssl.SSLContext, name, loading(name))


def load_certificates_here() -> None:
    """Take them away, where no reload of the module has."""
    for name in vars(ssl.SSLContext).keys() & LOADING:
        delattr(ssl.SSLContext, name)


def loading(name: str) -> Callable[..., Any]:
    """A method that calls the inherited one elsewhere."""

    def load(self: ssl.SSLContext, *arguments: Any, **named: Any) -> Any:
        return offload(getattr(super(ssl.SSLContext, self), name), *arguments, **named)

    return load
