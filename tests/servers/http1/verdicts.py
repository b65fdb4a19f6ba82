"""What the head parser and the chunked decoder say of some bytes, as values that compare. No I/O, no clock.

`read_head` and `read_chunked` never raise for bad input: a refusal is a verdict like another. Whatever else they raise
is a bug in the parser.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hublet.runtime.errors import RequestBodyError, RequestRejected
from hublet.servers.http1.chunked import ChunkedDecoder
from hublet.servers.http1.head import HeadParser

# What a listener gives to every request; the parser copies it.
BASE_ENVIRON = {"SCRIPT_NAME": "", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "wsgi.version": (1, 0)}

UNBOUNDED = 2**62


@dataclass(frozen=True)
class Refused:
    """The message is not served. `status` is the answer's, `reason` the rule it breaks.

    `payload` is the part of a chunked body that was delivered before the error was found.
    """

    status: int
    reason: str
    payload: bytes = b""


@dataclass(frozen=True)
class Accepted:
    """A complete head, with every field of `Head` that the server acts upon."""

    environ: dict[str, Any]
    size: int
    minor: int
    content_length: int
    chunked: bool
    keep_alive: bool
    expect_continue: bool
    upgrade: bool


@dataclass(frozen=True)
class Body:
    """What came out of a chunked body. `consumed` counts the bytes up to its end, if it is `finished`."""

    payload: bytes
    consumed: int
    finished: bool


def new_parser(**limits: int) -> HeadParser:
    """Return a head parser as a listener has it; `limits` are those of its constructor."""
    return HeadParser(dict(BASE_ENVIRON), **limits)


def read_head(data: bytes, parser: HeadParser | None = None) -> Accepted | Refused | None:
    """Return the verdict on the head at the start of `data`; None while it is incomplete."""
    try:
        head = (parser or new_parser()).parse(data)
    except RequestRejected as refusal:
        return Refused(refusal.status, refusal.reason)
    if head is None:
        return None
    return Accepted(
        head.environ,
        head.size,
        head.minor,
        head.content_length,
        head.chunked,
        head.keep_alive,
        head.expect_continue,
        head.upgrade,
    )


def read_chunked(segments: Iterable[bytes], room: int = UNBOUNDED) -> Body | Refused:
    """Feed a new decoder with `segments`, taking at most `room` bytes of payload at a time."""
    decoder = ChunkedDecoder()
    payload = bytearray()
    consumed = 0
    rest = b""
    for segment in segments:
        rest += segment
        used = 1
        while used:  # the call that consumes nothing raises the error that payload has come before
            try:
                piece, used = decoder.feed(rest, room)
            except RequestBodyError as refusal:
                return Refused(refusal.status, refusal.reason, bytes(payload))
            assert len(piece) <= room, f"{len(piece)} bytes of payload where there was room for {room}"
            assert 0 <= used <= len(rest), f"{used} bytes consumed of {len(rest)}"
            payload += piece
            consumed += used
            rest = rest[used:]
    return Body(bytes(payload), consumed, decoder.finished)


def split(data: bytes, size: int) -> list[bytes]:
    """Cut `data` into segments of `size` bytes; the last one may be shorter."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def prefix_lengths(size: int) -> list[int]:
    """The lengths of the prefixes worth trying: all of them, or, of long data, those near its ends and some between."""
    if size <= 2048:
        return list(range(size))
    return sorted({*range(64), *range(64, size, 251), *range(8100, min(size, 8300)), *range(size - 128, size)})
