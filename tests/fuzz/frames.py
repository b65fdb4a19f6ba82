"""Fuzz the WebSocket reader: `python -m tests.fuzz.frames --seconds 60 --seed 7`.

Makes up conversations, breaks some of them, and checks what must hold of any bytes whatever. What it finds is written
to tests/corpus/found/frames/ (see search.py).
"""

from __future__ import annotations

import sys
import tracemalloc
import zlib
from collections.abc import Callable
from random import Random

from hublet.servers.websocket.frames import MessageReader, encode_close, encode_frame, is_valid_close_code

from tests.corpus import FOUND
from tests.fuzz.invariants import cut
from tests.fuzz.mutation import delete_range, flip_bit, repeat_range, replace_byte
from tests.fuzz.search import Check, Report, command, explore
from tests.servers.websocket.streams import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Event,
    Inflater,
    NewReader,
    feed,
)

FOUND_FRAMES = FOUND / "frames"
CHANGES: list[Callable[[bytearray, Random], None]] = [replace_byte, flip_bit, delete_range, repeat_range]
# Text is put together from these; the last ones are not UTF-8, or only halves of it.
TEXTS = [b"", b"a", b"0123456789", b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\xa6\x80"] * 5
TEXTS += [b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90", b"\x80"]
FIRST_BYTES = [0x00, 0x80, 0x01, 0x81, 0x02, 0x82, 0x88, 0x89, 0x8A, 0xC1, 0x41, 0xC0, 0x09, 0x83, 0x8B, 0x91, 0xA1]
LENGTHS = [0, 1, 125, 126, 127, 65535, 65536, 2**31, 2**62, 2**63, 2**64 - 1]
CODES = [0, 999, 1000, 1001, 1004, 1005, 1006, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535]
SIZES = [0, 1, 2, 5, 40, 125, 126, 127, 200, 700]
# What a reader may hold beyond twice its input: the 64 KiB that it trusts, an eighth more, zlib's window and state.
AHEAD = 130_000


class Speaker:
    """Writes what one side of a conversation might say. `compresses`: permessage-deflate was agreed upon."""

    def __init__(self, random: Random, *, masks: bool, compresses: bool) -> None:
        self.random = random
        self.masks = masks
        self.compressor = zlib.compressobj(random.choice([0, 1, 6]), wbits=-15) if compresses else None

    def say(self) -> bytes:
        """Write one to six messages, control frames and oddities, and perhaps an end."""
        kinds = [self.message, self.message, self.message, self.control, self.control, self.oddity]
        last: list[Callable[[], bytes]] = [bytes, self.close]
        parts = [self.random.choice(kinds)() for _ in range(self.random.randrange(1, 7))]
        return b"".join(parts) + self.random.choice(last)()

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
        mask = self.random.choice([bytes(4), self.random.randbytes(4)]) if self.masks else None
        return encode_frame(opcode, payload, fin=fin, rsv1=rsv1, mask=mask)

    def message(self) -> bytes:
        opcode = self.random.choice([TEXT, BINARY])
        if opcode == TEXT:
            payload = b"".join(self.random.choices(TEXTS, k=self.random.randrange(12))) * self.random.choice([1, 1, 9])
        else:
            payload = self.random.randbytes(self.random.choice(SIZES))
        compressed = self.compressor is not None and self.random.randrange(4) > 0
        if compressed and self.compressor is not None:
            payload = (self.compressor.compress(payload) + self.compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        parts = cut(payload, self.random) or [b""] if self.random.randrange(2) else [payload]
        data = b""
        for place, part in enumerate(parts):
            fin = place == len(parts) - 1
            data += self.frame(CONTINUATION if place else opcode, part, fin=fin, rsv1=compressed and not place)
            data += self.control() if not fin and self.random.randrange(3) == 0 else b""
        return data

    def control(self) -> bytes:
        size = self.random.choice([0, 1, 5, 124, 125])
        return self.frame(self.random.choice([PING, PONG]), self.random.randbytes(size))

    def close(self) -> bytes:
        code = self.random.choice(CODES).to_bytes(2, "big")
        reason = b"".join(self.random.choices(TEXTS, k=3))
        return self.frame(CLOSE, self.random.choice([b"", b"\x03", code, code + reason]))

    def oddity(self) -> bytes:
        """Write a header with any first byte and any form of any length, and some payload."""
        size, bits = self.random.choice([(0, 0), (1, 0), (125, 0), (126, 16), (127, 64)])
        length = self.random.choice(LENGTHS) % (1 << bits)
        masked = self.random.randrange(8) > 0 if self.masks else self.random.randrange(8) == 0
        head = bytes([self.random.choice(FIRST_BYTES), size | (0x80 if masked else 0)])
        mask = bytes(4) if masked else b""
        return head + length.to_bytes(bits // 8, "big") + mask + b"x" * min(length or size, 200)


def check_stream(data: bytes, random: Random, new_reader: Callable[[int], MessageReader]) -> list[Event]:
    """Check what a reader makes of `data`, and return it. Its limit is 0 or one that the streams run into."""
    limit = random.choice([0, random.randrange(1, 400)])
    found = feed([data], lambda: new_reader(limit))
    check_events(found, len(data), limit)
    ways = [cut(data, random), [data[place : place + 1] for place in range(len(data))], [data, b"\x81\x80\0\0\0\0"]]
    for pieces in ways[: 3 if found and found[-1][0] in {"close", "failed"} else 2]:
        in_pieces = feed(pieces, lambda: new_reader(limit))
        assert verdict(in_pieces) == verdict(found), (
            f"the events depend on the cut: {in_pieces} in pieces, {found} whole"
        )
    if random.randrange(8) == 0:
        check_memory(cut(data, random), lambda: new_reader(limit))
    again = b"".join(write(event) for event in found if event[0] != "failed")
    read_again = feed([again], lambda: MessageReader(limit, from_client=False))
    assert read_again == [event for event in found if event[0] != "failed"], (
        f"written again, it is another: {read_again}"
    )
    return found


def verdict(found: list[Event]) -> list[Event]:
    """Leave out the text of a failure: where deflate data is broken and the text in it as well, either may be named."""
    return [event[:2] if event[0] == "failed" else event for event in found]


def check_events(found: list[Event], size: int, limit: int) -> None:
    """Check what is known of all events that `size` bytes lead to."""
    for place, (name, *values) in enumerate(found):
        if name == "message":
            (message,) = values
            assert type(message) in {str, bytearray}, f"a message of an odd type: {message!r}"
            message_size = len(message.encode() if isinstance(message, str) else message)
            assert not limit or message_size <= limit, f"a message over the limit: {message_size}"
        elif name in {"ping", "pong"}:
            assert type(values[0]) is bytes, f"a control payload of an odd type: {values[0]!r}"
            assert len(values[0]) <= min(size, 125), f"a control payload of an odd size: {len(values[0])}"
        else:
            code, reason = values
            assert place == len(found) - 1, f"an event behind the end: {found[place + 1]}"
            if name == "close":
                assert code == 1005 or is_valid_close_code(code), f"an odd code: {code}"
                assert len(reason.encode()) <= 123, f"an odd reason: {reason!r}"
            else:
                assert name == "failed", f"an odd event: {name}"
                assert code in {1002, 1007, 1009}, f"an odd code: {code}"
                assert code != 1009 or limit, "a limit where there is none"
                assert reason.isascii(), f"an odd reason: {reason!r}"


def check_memory(pieces: list[bytes], new_reader: NewReader) -> None:
    """Check that reading takes no more memory than input and messages account for."""
    tracemalloc.start()
    try:
        found = feed(pieces, new_reader)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    content = sum(len(value) * 4 for _, *values in found for value in values if isinstance(value, str | bytearray))
    most = 2 * sum(map(len, pieces)) + 2 * content + 1000 * len(found) + AHEAD
    assert peak <= most, f"more memory than input accounts for: {peak} > {most}"


def write(event: Event) -> bytes:
    """Write an event as a server does."""
    name, content = event[:2]
    if name == "close":
        return encode_frame(CLOSE, encode_close(*event[1:]))
    if name == "message":
        return (
            encode_frame(TEXT, content.encode()) if isinstance(content, str) else encode_frame(BINARY, bytes(content))
        )
    return encode_frame(PING if name == "ping" else PONG, content)


def check_client(data: bytes, random: Random) -> None:
    """Check what a server makes of `data`."""
    check_stream(data, random, MessageReader)


def check_server(data: bytes, random: Random) -> None:
    """Check what a client makes of `data`."""
    check_stream(data, random, lambda limit: MessageReader(limit, from_client=False))


def check_compressed(data: bytes, random: Random) -> None:
    """Check what a server that has agreed upon permessage-deflate makes of `data`."""
    check_stream(data, random, lambda limit: MessageReader(limit, Inflater()))


CHECKS: dict[str, Check] = {"client": check_client, "server": check_server, "compressed": check_compressed}


def propose(random: Random) -> tuple[str, bytes]:
    """Make up a conversation, and change a few bytes of every second one."""
    name = random.choice(list(CHECKS))
    data = bytearray(Speaker(random, masks=name != "server", compresses=name == "compressed").say())
    for _ in range(random.choice([0, 0, 1, 3])):
        if data:
            random.choice(CHANGES)(data, random)
    return name, bytes(data)


def run(seconds: float, seed: int) -> Report:
    """Try inputs for `seconds`; report the first that breaks each invariant."""
    return explore(seconds, Random(seed), propose, CHECKS)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    return command("tests.fuzz.frames", __doc__.partition("\n")[0], run, FOUND_FRAMES, arguments)


if __name__ == "__main__":
    sys.exit(main())
