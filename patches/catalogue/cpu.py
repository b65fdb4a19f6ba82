"""Libraries that compute for long: those that let other threads run meanwhile are called in one, from a size on."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch, Replacement, Step

COMPUTING: Final = "hublet.patches.libraries.computing:"
CONSTRUCTORS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")


def wrapped(target: str, by: str) -> Replacement:
    """A replacement that calls the original."""
    return Replacement(target, COMPUTING + by, wraps=True)


PATCHES: Final = (
    Patch(
        name="hashlib",
        why="deriving a key from a password stops every request for 0.1 s and more, and so do hashes of large data",
        replacements=(
            wrapped("hashlib:pbkdf2_hmac", "derive_key"),
            wrapped("hashlib:scrypt", "always"),
            wrapped("hashlib:new", "new_hash"),
            wrapped("hashlib:file_digest", "digest_of_file"),
        ),
        module="hashlib",
        effect="off-loaded",
        cost="30 us a call, from 100 rounds or 64 KiB on",
        remedy="of much data with hashlib.sha256(data) or update: hublet.offload(hashlib.sha256, data)",
    ),
    Patch(
        name="hashlib-constructors",
        why="hashlib.sha256(data) of large data stops every request",
        replacements=tuple(wrapped(f"hashlib:{name}", "digest") for name in CONSTRUCTORS),
        module="hashlib",
        effect="off-loaded",
        cost="0.5 us a call; hmac.new(key, text, hashlib.sha256) goes from 4 to 10, since it knows only the original",
        optional=True,
    ),
    Patch(
        name="zlib",
        why="compressing 1 MB stops every request for 30 ms",
        replacements=(wrapped("zlib:compress", "deflate"), wrapped("zlib:decompress", "deflate")),
        module="zlib",
        effect="off-loaded",
        cost="30 us a call, from 4 KiB on",
        remedy="objects of zlib.compressobj, gzip and zipfile compute where they are: hublet.offload",
    ),
    Patch(
        name="bz2",
        why="compressing stops every request: 4 KB take 1 ms",
        replacements=(wrapped("bz2:compress", "always"), wrapped("bz2:decompress", "always")),
        module="bz2",
        effect="off-loaded",
        cost="30 us a call",
    ),
    Patch(
        name="lzma",
        why="compressing stops every request: 1 KB takes 3 ms",
        replacements=(wrapped("lzma:compress", "always"), wrapped("lzma:decompress", "always")),
        module="lzma",
        effect="off-loaded",
        cost="30 us a call",
    ),
    Patch(
        name="bcrypt",
        why="hashing and checking a password stops every request for 0.2 s",
        replacements=tuple(wrapped(f"bcrypt:{name}", "always") for name in ("hashpw", "checkpw", "kdf")),
        module="bcrypt",
        distribution="bcrypt",
        versions=">=5.0,<6",
        effect="off-loaded",
        cost="30 us a call",
    ),
    Patch(
        name="argon2-cffi",
        why="hashing and checking a password stops every request for 50 ms",
        replacements=(wrapped("argon2.low_level:lib", "argon2"),),
        module="argon2.low_level",
        distribution="argon2-cffi",
        versions=">=25.1,<26",
        effect="off-loaded",
        cost="30 us a call",
    ),
    Patch(
        name="ssl-certificates",
        why="each new TLS context reads all the authorities that it trusts: 50 to 100 ms with OpenSSL 3.0",
        steps=(Step(COMPUTING + "load_certificates_elsewhere", COMPUTING + "load_certificates_here"),),
        module="ssl",
        effect="off-loaded",
        cost="30 us a context",
        remedy="make one context, or one session of requests, client of httpx or pool of urllib3, and keep it",
    ),
    Patch(
        name="https-contexts",
        why="each connection of http.client and urllib.request reads all the authorities: 30 ms, with 3.0 up to 100",
        replacements=(
            Replacement(
                "http.client:HTTPSConnection.__init__", "hublet.patches.libraries.https_contexts:connecting", wraps=True
            ),
        ),
        module="http.client",
        cost="a connection: 22 ms -> 16 us",
    ),
    Patch(
        name="Pillow",
        why="decoding, resizing and encoding images compute, though they let other threads run",
        module="PIL",
        distribution="Pillow",
        effect="blocks",
        remedy="hublet.offload(image.resize, size), and so on",
    ),
    Patch(
        name="numpy",
        why="operations on large arrays compute, though most let other threads run",
        module="numpy",
        distribution="numpy",
        effect="blocks",
        remedy="hublet.offload(numpy.linalg.solve, a, b), and so on",
    ),
)
