"""Reads WebSocket streams in every way they can be cut, and has an inflater for them. No I/O, no clock."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from hublet.servers.websocket.frames import MessageReader, encode_frame

Event = tuple[Any, ...]
NewReader = Callable[[], MessageReader]

MASK = b"\x37\xfa\x21\x3d"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# Behind the end of a stream: nothing of it may show.
GARBAGE = [b"\x89\x80\0\0\0\0", b"\x81\x85\0\0\0\0later", b"\xff" * 20]


class Inflater:
    """What the session gives to a reader when permessage-deflate was agreed upon, as plain as can be."""

    def __init__(self) -> None:
        self.decompressor = zlib.decompressobj(-15)
        self.pieces: list[int] = []

    def inflate(self, data: bytes, room: int) -> bytes:
        self.pieces.append(len(data))
        try:
            return self.decompressor.decompress(data, min(room + 1, 2**30))
        except zlib.error as error:
            raise ValueError(str(error)) from error

    def finish(self, room: int) -> bytes:
        return self.inflate(b"\0\0\xff\xff", room)


def deflate(data: bytes) -> bytes:
    """Compress one message, without its end that goes without saying (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame as a client sends it."""
    return encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask=MASK)


def reader(max_message: int = 0) -> MessageReader:
    return MessageReader(max_message)


def compressed_reader(max_message: int = 0) -> MessageReader:
    return MessageReader(max_message, Inflater())


def feed(pieces: list[bytes], new_reader: NewReader = reader) -> list[Event]:
    """Feed `pieces` to a new reader, and return all events."""
    each_reader = new_reader()
    return [event for piece in pieces for event in each_reader.feed(piece)]


def one_byte_at_a_time(data: bytes) -> list[bytes]:
    """Cut into single bytes; long data, which is long for a limit's sake, only near its ends."""
    first, last = (len(data), len(data)) if len(data) <= 1024 else (64, len(data) - 64)
    pieces = [data[place : place + 1] for place in range(first)]
    pieces += [data[place : min(place + 4099, last)] for place in range(first, last, 4099)]
    return pieces + [data[place : place + 1] for place in range(last, len(data))]


def events(data: bytes, new_reader: NewReader = reader, *, pong: bytes = frame(PONG, b"behind")) -> list[Event]:
    """Read `data`, which ends where a frame ends or fails, in every way; return the events, the same each time."""
    whole = feed([data], new_reader)
    assert feed(one_byte_at_a_time(data), new_reader) == whole
    if whole and whole[-1][0] in {"close", "failed"}:
        for garbage in GARBAGE:
            assert feed([data + garbage], new_reader) == whole
            assert feed([data, garbage], new_reader) == whole
    else:
        assert feed([data + pong], new_reader) == [*whole, ("pong", b"behind")]
    return whole


def failure(data: bytes, new_reader: NewReader = reader) -> int:
    """The code of the failure that is all that `data` leads to, however it is cut."""
    ((name, code, reason),) = events(data, new_reader)
    assert name == "failed", data
    assert reason, "a failure names the rule"
    assert reason.isascii()
    assert len(reason) <= 123, "it has to fit in a close frame"
    assert isinstance(code, int)
    return code


def is_failed_by(prefix: bytes, new_reader: NewReader = reader) -> bool:
    """Whether `prefix`, after which nothing more comes, is enough to fail."""
    found = feed([prefix], new_reader)
    assert feed(one_byte_at_a_time(prefix), new_reader) == found
    return bool(found) and found[-1][0] == "failed"
