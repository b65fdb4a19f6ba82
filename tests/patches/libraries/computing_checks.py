"""Checks of calls that compute; `run_checks` runs them in a patched process."""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import os
import ssl
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPSConnection

import argon2
import argon2.low_level
import bcrypt
import gevent
import hublet
from hublet.runtime.limits import OFFLOAD_DEFLATE, OFFLOAD_HASH, OFFLOAD_ROUNDS
from hublet.runtime.offload import POOL

from loadtests.bench.libraries.ticker import measured

from .probe import assert_raises, assert_undone, killed_inside

DATA = os.urandom(1 << 20)
# A thread that computes may keep the interpreter's lock for its switch interval, and the processor for longer.
STALL = 0.05
ATTEMPTS = 4


def assert_elsewhere(operation: Callable[[], object], calls: int = 1) -> None:
    """Assert how many calls elsewhere an operation makes."""
    gevent.get_hub()  # without one every call is plain
    before = POOL.statistics().finished
    operation()
    assert POOL.statistics().finished - before == calls


def assert_turns(operation: Callable[[], object]) -> None:
    """Assert that the hub turns during an operation that takes longer than it may stand."""
    for _ in range(ATTEMPTS):
        with measured() as turned:
            operation()
        if turned.elapsed > STALL and turned.stall < max(STALL / 2, turned.elapsed / 4):
            return
    raise AssertionError(turned)


@contextmanager
def patched_environ(**variables: str) -> Iterator[None]:
    """Set variables for a while."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_keys() -> None:
    assert_turns(lambda: hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 500_000))
    assert_turns(lambda: hashlib.scrypt(b"secret", salt=b"salt", n=1 << 16, r=8, p=1, maxmem=1 << 28))
    assert hashlib.pbkdf2_hmac("sha256", b"password", salt=b"salt", iterations=4096, dklen=4).hex() == "c5e478d5"
    for rounds in (OFFLOAD_ROUNDS - 1, OFFLOAD_ROUNDS, OFFLOAD_ROUNDS + 1):
        assert_elsewhere(partial(hashlib.pbkdf2_hmac, "sha1", b"a", b"b", rounds), rounds >= OFFLOAD_ROUNDS)
    assert_raises(ValueError, partial(hashlib.pbkdf2_hmac, "no such", b"a", b"b", 1000))
    assert killed_inside(lambda: hashlib.pbkdf2_hmac("sha256", b"a", b"b", 500_000), 0.01) < 10


def check_passwords() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
    assert bcrypt.checkpw(b"secret", hashed)
    assert not bcrypt.checkpw(b"other", hashed)
    assert_raises(ValueError, lambda: bcrypt.hashpw(b"secret", b"no salt"))
    assert_turns(lambda: bcrypt.hashpw(b"secret", bcrypt.gensalt(11)))
    assert len(bcrypt.kdf(b"secret", b"salt", 16, 50)) == 16
    hasher = argon2.PasswordHasher()
    text = hasher.hash("secret")
    assert hasher.verify(text, "secret")
    assert_raises(argon2.exceptions.VerifyMismatchError, lambda: hasher.verify(text, "other"))
    assert_turns(lambda: argon2.PasswordHasher(time_cost=4).hash("secret"))


def check_hashes_of_large_data() -> None:
    for size in (OFFLOAD_HASH - 1, OFFLOAD_HASH, OFFLOAD_HASH + 1):
        data = DATA[:size]
        assert_elsewhere(partial(hashlib.new, "sha256", data), size >= OFFLOAD_HASH)
        assert hashlib.new("sha256", data).digest() == hashlib.sha256(data).digest()
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.seek(0)
        assert_elsewhere(lambda: hashlib.file_digest(file, "sha1"))
        file.seek(0)
        assert hashlib.file_digest(file, "sha1").digest() == hashlib.sha1(DATA).digest()
    assert hashlib.file_digest(io.BytesIO(DATA), "sha256").digest() == hashlib.sha256(DATA).digest()
    assert hashlib.new("sha256").digest() == hashlib.sha256().digest()
    assert_raises(ValueError, lambda: hashlib.new("no such", DATA))
    plain = hashlib.sha256
    hublet.patch_all(patch=["hashlib-constructors"])
    assert_elsewhere(lambda: hashlib.sha256(DATA))
    assert hashlib.sha256(DATA, usedforsecurity=False).digest() == plain(DATA).digest()
    assert hashlib.sha256().name == "sha256"
    assert_undone("hashlib-constructors", hashlib)


def check_compression() -> None:
    for size in (OFFLOAD_DEFLATE - 1, OFFLOAD_DEFLATE, OFFLOAD_DEFLATE + 1):
        assert_elsewhere(partial(zlib.compress, DATA[:size]), size >= OFFLOAD_DEFLATE)
    for compress, expand, error, times in (
        (zlib.compress, zlib.decompress, zlib.error, 8),
        (bz2.compress, bz2.decompress, OSError, 2),
        (lzma.compress, lzma.decompress, lzma.LZMAError, 1),
    ):
        assert expand(compress(DATA)) == DATA
        assert expand(compress(b"")) == b""
        assert_raises(error, partial(expand, b"x" * OFFLOAD_DEFLATE))
        assert_raises(TypeError, partial(compress, "text"))  # type: ignore[arg-type]
        assert_turns(partial(compress, DATA * times))
    assert zlib.decompress(zlib.compress(DATA, 9, wbits=-15), -15, bufsize=100) == DATA


def check_certificates() -> None:
    """The size of a real bundle of authorities, some 140 of them."""
    paths = ssl.get_default_verify_paths()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert_elsewhere(context.set_default_verify_paths)
    assert_elsewhere(ssl.create_default_context)
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED
    assert_raises(FileNotFoundError, lambda: context.load_verify_locations("/no/such/file"))
    assert_raises(TypeError, context.load_verify_locations)
    with tempfile.NamedTemporaryFile() as file:
        assert_raises(ssl.SSLError, lambda: context.load_verify_locations(cafile=file.name))
    with measured() as turned:
        tasks = [gevent.spawn(ssl.create_default_context) for _ in range(20)]
        gevent.joinall(tasks, raise_error=True, timeout=20)
    assert turned.stall < max(STALL, turned.elapsed / 3), turned
    assert paths == ssl.get_default_verify_paths()


def check_contexts_of_https_connections_are_shared() -> None:
    first, second = HTTPSConnection("a.example"), HTTPSConnection("b.example", 444, timeout=3, context=None)
    shared = vars(first)["_context"]
    assert vars(second)["_context"] is shared
    assert shared.check_hostname
    assert shared.verify_mode == ssl.CERT_REQUIRED
    mine = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert vars(HTTPSConnection("a.example", context=mine))["_context"] is mine
    with tempfile.TemporaryDirectory() as place, patched_environ(SSL_CERT_DIR=place):
        other = vars(HTTPSConnection("a.example"))["_context"]
        assert other is not shared
        os.utime(place, (1, 1))
        assert vars(HTTPSConnection("a.example"))["_context"] is not other
    vars(ssl)["_create_default_https_context"], before = lambda: mine, vars(ssl)["_create_default_https_context"]
    try:
        assert vars(HTTPSConnection("a.example"))["_context"] is mine
    finally:
        vars(ssl)["_create_default_https_context"] = before
    assert vars(HTTPSConnection("a.example"))["_context"] is vars(HTTPSConnection("b.example"))["_context"]


def check_offload_by_hand() -> None:
    assert_elsewhere(lambda: hublet.offload(abs, -1))


def check_undo() -> None:
    assert_undone("hashlib", hashlib)
    assert_undone("zlib", zlib)
    assert_undone("bz2", bz2)
    assert_undone("lzma", lzma)
    assert_undone("bcrypt", bcrypt)
    assert_undone("argon2-cffi", argon2.low_level)
    assert_undone("https-contexts", HTTPSConnection)
    assert_undone("ssl-certificates", ssl.SSLContext)
