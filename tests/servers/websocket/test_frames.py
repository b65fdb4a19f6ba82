"""WebSocket frames: every rule of RFC 6455 section 5 at its limits, and messages that survive every way of cutting."""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from random import Random
from typing import Any

import pytest
from hublet.servers.websocket.frames import MessageReader, encode_close, encode_frame, is_valid_close_code
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from tests.servers.websocket.streams import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    Event,
    Inflater,
    compressed_reader,
    deflate,
    events,
    failure,
    feed,
    frame,
    is_failed_by,
    reader,
)

# The sizes at which a length changes its form (RFC 6455 section 5.2).
BOUNDARIES = [0, 1, 2, 124, 125, 126, 127, 65534, 65535, 65536, 65537]


def server_reader() -> MessageReader:
    """A client's reader."""
    return MessageReader(0, from_client=False)


def header(first: int, length: int, form: int, *, masked: bool = True) -> bytes:
    """A header with any first byte, whose length is written in `form`: 7, 16 or 64 bits."""
    second = {7: length, 16: 126, 64: 127}[form] | (0x80 if masked else 0)
    return bytes([first, second]) + (length.to_bytes(form // 8, "big") if form > 7 else b"") + (MASK if masked else b"")


# RFC 6455 section 5.7: the examples.


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("81 05 48 65 6c 6c 6f", [("message", "Hello")]),
        ("01 03 48 65 6c 80 02 6c 6f", [("message", "Hello")]),
        ("89 05 48 65 6c 6c 6f", [("ping", b"Hello")]),
        ("82 7e 01 00" + "55" * 256, [("message", bytearray(b"U" * 256))]),
        ("82 7f 00 00 00 00 00 01 00 00" + "55" * 65536, [("message", bytearray(b"U" * 65536))]),
    ],
    ids=["text", "fragments", "ping", "256 bytes", "64 KiB"],
)
def test_examples_of_a_server(data: str, expected: list[Event]) -> None:
    assert events(bytes.fromhex(data), server_reader, pong=encode_frame(PONG, b"behind")) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("81 85 37 fa 21 3d 7f 9f 4d 51 58", [("message", "Hello")]),
        ("8a 85 37 fa 21 3d 7f 9f 4d 51 58", [("pong", b"Hello")]),
    ],
    ids=["text", "pong"],
)
def test_examples_of_a_client(data: str, expected: list[Event]) -> None:
    assert events(bytes.fromhex(data)) == expected


# Lengths and masks.


@pytest.mark.parametrize("size", BOUNDARIES)
def test_content_at_each_boundary(size: int) -> None:
    content = Random(size).randbytes(size)
    text = "é".encode() * (size // 2) + b"a" * (size % 2)
    for payload in (b"a" * size, text):
        assert events(frame(TEXT, payload)) == [("message", payload.decode())]
    assert events(frame(BINARY, content)) == [("message", bytearray(content))]
    assert feed([encode_frame(BINARY, content)], server_reader) == [("message", bytearray(content))]


@pytest.mark.parametrize("size", BOUNDARIES)
def test_the_shortest_form_is_written(size: int) -> None:
    form = 7 if size < 126 else 16 if size < 65536 else 64
    assert encode_frame(BINARY, b"x" * size) == header(0x82, size, form, masked=False) + b"x" * size


@pytest.mark.parametrize(("form", "length", "good"), [(16, 125, False), (16, 126, True), (64, 65535, False)])
def test_only_the_shortest_form_is_read(form: int, length: int, good: bool) -> None:
    data = header(0x82, length, form) + bytes(length)
    if good:
        assert [each[0] for each in events(data)] == ["message"]
    else:
        assert failure(data) == 1002
        assert is_failed_by(data[: 2 + form // 8]), "the length alone decides"


def test_any_length_that_a_shorter_form_can_hold_is_refused() -> None:
    for length in (0, 1, 125):
        assert failure(header(0x82, length, 16)) == 1002
    for length in (0, 125, 126, 65535):
        assert failure(header(0x82, length, 64)) == 1002


def test_lengths_of_2_to_63_are_refused_at_their_first_byte() -> None:
    assert is_failed_by(b"\x82\xff\x80")
    assert failure(header(0x82, 2**63, 64)) == 1002
    assert failure(header(0x82, 2**64 - 1, 64)) == 1002
    assert feed([header(0x82, 2**63 - 1, 64) + b"begin"]) == []


def test_masks_at_every_offset_and_length() -> None:
    mask = bytes([1, 2, 4, 128])
    for size in range(71):
        content = Random(size).randbytes(size)
        masked = encode_frame(BINARY, content, mask=mask)
        assert masked[6:] == bytes(byte ^ mask[place % 4] for place, byte in enumerate(content))
        for cut in range(size + 1):
            assert feed([masked[: 6 + cut], masked[6 + cut :]]) == [("message", bytearray(content))]


def test_every_alignment_of_the_input() -> None:
    content = Random(0).randbytes(100)
    for before in range(16):
        data = frame(PING, b"x" * before) + frame(BINARY, content) + frame(TEXT, b"text" * 9)
        assert feed([data])[1:] == [("message", bytearray(content)), ("message", "text" * 9)]


def test_the_mask_is_the_peer_s_business() -> None:
    assert failure(encode_frame(TEXT, b"Hello")) == 1002
    assert is_failed_by(b"\x81\x05")
    masked = frame(TEXT, b"Hello")
    ((name, code, _),) = feed([masked], server_reader)
    assert (name, code) == ("failed", 1002)
    assert is_failed_by(masked[:2], server_reader)


# The first byte of a frame.


def first_bytes_taken(before: bytes, new_reader: Callable[[], MessageReader]) -> set[int]:
    """Which first bytes may come after `before`, which itself is good."""
    taken = set()
    for first in range(256):
        failed = is_failed_by(before + bytes([first]), new_reader)
        assert failed == is_failed_by(before + header(first, 0, 7), new_reader), "the first byte decides"
        if not failed:
            taken.add(first)
    return taken


CONTROL = {0x88, 0x89, 0x8A}


def test_every_first_byte_of_a_message() -> None:
    assert first_bytes_taken(b"", reader) == {0x01, 0x02, 0x81, 0x82} | CONTROL
    # RFC 7692 section 6: RSV1 says that a message is compressed, where that was agreed upon.
    compressed = {0x41, 0x42, 0xC1, 0xC2}
    assert first_bytes_taken(b"", compressed_reader) == {0x01, 0x02, 0x81, 0x82} | compressed | CONTROL


def test_every_first_byte_inside_a_message() -> None:
    for start in (TEXT, BINARY):
        assert first_bytes_taken(frame(start, b"a", fin=False), reader) == {0x00, 0x80} | CONTROL
    start_compressed = frame(TEXT, deflate(b"a"), fin=False, rsv1=True)
    assert first_bytes_taken(start_compressed, compressed_reader) == {0x00, 0x80} | CONTROL


def test_every_first_byte_behind_a_fragmented_message() -> None:
    before = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b")
    assert first_bytes_taken(before, reader) == {0x01, 0x02, 0x81, 0x82} | CONTROL


def test_broken_first_bytes_fail_the_connection_with_1002() -> None:
    for first in (0x00, 0x80, 0x83, 0x8B, 0x8F, 0x09, 0x91, 0xA1, 0xC1, 0xF1):
        assert failure(header(first, 0, 7)) == 1002


# Fragments.


@pytest.mark.parametrize(
    "parts", [[b"", b""], [b"a", b""], [b"", b"a"], [b"a", b"b", b"c"], [b"\xe2", b"\x82", b"\xac"]]
)
def test_fragments_are_joined(parts: list[bytes]) -> None:
    for opcode in (TEXT, BINARY):
        opcodes = [opcode] + [CONTINUATION] * (len(parts) - 1)
        data = b"".join(
            frame(each, part, fin=place == len(parts) - 1)
            for place, (each, part) in enumerate(zip(opcodes, parts, strict=True))
        )
        content = b"".join(parts)
        assert events(data) == [("message", content.decode() if opcode == TEXT else bytearray(content))]


def test_control_frames_come_between_fragments() -> None:
    data = (
        frame(TEXT, b"\xe2\x82", fin=False)
        + frame(PING, b"1")
        + frame(CONTINUATION, b"", fin=False)
        + frame(PONG, b"")
        + frame(PING, b"x" * 125)
        + frame(CONTINUATION, b"\xac")
    )
    assert events(data) == [("ping", b"1"), ("pong", b""), ("ping", b"x" * 125), ("message", "€")]
    assert events(frame(BINARY, b"a", fin=False) + frame(CLOSE)) == [("close", 1005, "")]


def test_many_small_fragments() -> None:
    data = frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"a", fin=False) * 5000 + frame(CONTINUATION)
    assert feed([data]) == [("message", bytearray(b"a" * 5000))]


def test_messages_do_not_leak_into_each_other() -> None:
    data = (
        frame(TEXT, "é".encode(), fin=False)
        + frame(CONTINUATION, b"a")
        + frame(TEXT, b"b", fin=False)
        + frame(CONTINUATION, b"c")
        + frame(BINARY, b"\xff", fin=False)
        + frame(CONTINUATION, b"d")
        + frame(TEXT, b"e")
    )
    expected = ["éa", "bc", bytearray(b"\xffd"), "e"]
    assert events(data) == [("message", each) for each in expected]


# Control frames.


@pytest.mark.parametrize("opcode", [PING, PONG])
@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_control_payload(opcode: int, size: int) -> None:
    content = Random(size).randbytes(size)
    assert events(frame(opcode, content)) == [("ping" if opcode == PING else "pong", content)]


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_hold_125_bytes(opcode: int) -> None:
    assert failure(frame(opcode, b"\x03\xe8" + b"x" * 124)) == 1002
    assert is_failed_by(bytes([0x80 | opcode, 0x80 | 126])), "the first length byte decides"
    assert is_failed_by(bytes([0x80 | opcode, 0x80 | 127]))
    assert not is_failed_by(bytes([0x80 | opcode, 0x80 | 125]))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", ("close", 1005, "")),
        (b"\x03\xe8", ("close", 1000, "")),
        (b"\x03\xe9bye", ("close", 1001, "bye")),
        (b"\x0f\xa0" + "é€".encode(), ("close", 4000, "é€")),
        (b"\x03\xe8" + b"x" * 123, ("close", 1000, "x" * 123)),
    ],
)
def test_close(payload: bytes, expected: Event) -> None:
    assert events(frame(CLOSE, payload)) == [expected]


def test_broken_close_payload() -> None:
    for byte in range(256):
        assert failure(frame(CLOSE, bytes([byte]))) == 1002
    assert failure(frame(CLOSE, b"\x03\xe8\xff")) == 1007
    assert failure(frame(CLOSE, b"\x03\xe8\xe2\x82")) == 1007
    assert failure(frame(CLOSE, b"\x03\xee\xff")) == 1002


def test_every_close_code() -> None:
    # https://www.iana.org/assignments/websocket: 1004 to 1006 and 1015 are reserved, 1016 to 2999 not assigned.
    good = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(-1, 65537) if is_valid_close_code(code)} == good
    for code in (0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535):
        ((name, number, _),) = events(frame(CLOSE, code.to_bytes(2, "big")))
        assert (name, number) == (("close", code) if code in good else ("failed", 1002))


# Text (RFC 3629). The oracle is Python's own decoder.


def bits_in_utf8(number: int, size: int) -> bytes:
    """Write `number` by the pattern for `size` bytes, 1 to 6, whether UTF-8 allows that or not."""
    if size == 1:
        return bytes([number])
    tail = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(size - 1))]
    return bytes([(0xFF00 >> size & 0xFF) | number >> 6 * (size - 1), *tail])


def stress_sequences() -> Iterator[bytes]:
    """What UTF-8 decoders get wrong, by the kinds of Markus Kuhn's stress test."""
    most_bits = {1: 7, 2: 11, 3: 16, 4: 21, 5: 26, 6: 31}
    for size, bits in most_bits.items():
        first = 0 if size == 1 else 1 << most_bits[size - 1]
        yield bits_in_utf8(first, size)
        yield bits_in_utf8((1 << bits) - 1, size)
        # Longer than need be, among them the line ends and slashes that hide from filters.
        for number in (0, 0x0A, 0x2F, first - 1):
            if 0 <= number < first:
                yield bits_in_utf8(number, size)
    for number in (0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10FFFF, 0x110000, 0x13FFFF, 0x140000):
        yield bits_in_utf8(number, 3 if number < 0x10000 else 4)
    for plane in range(17):
        yield bits_in_utf8(plane << 16 | 0xFFFE, 3 if plane == 0 else 4)
    for surrogates in ([0xD800], [0xDB7F], [0xDB80], [0xDBFF], [0xDC00], [0xDF80], [0xDFFF]):
        yield b"".join(bits_in_utf8(each, 3) for each in surrogates)
    for high, low in product((0xD800, 0xDB7F, 0xDB80, 0xDBFF), (0xDC00, 0xDFFF)):
        yield bits_in_utf8(high, 3) + bits_in_utf8(low, 3)
    for count in range(1, 8):
        yield bytes([0x80, 0xBF] * 4)[:count]
    yield bytes(range(0x80, 0xC0))
    for first in range(0xC0, 0x100):
        yield bytes([first])
        yield bytes([first, 0x20])
        for tail in (0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0):
            yield bytes([first, tail, 0x80, 0x80])
    missing = [bits_in_utf8(number, size)[:-1] for size in range(2, 7) for number in (1 << most_bits[size - 1],)]
    yield from missing
    yield b"".join(missing)
    yield "κόσμε 日本語 🦀".encode()


STRESS = sorted(set(stress_sequences()))


def first_bad_end(content: bytes) -> int | None:
    """The size of the shortest prefix of `content` that no text begins with; None if there is none.

    A prefix is good if one of these makes it text: every range of a tail begins at 80 or ends at BF.
    """
    tails = [b"", *(first + b"\x80" * more for first in (b"\x80", b"\xbf") for more in range(3))]
    for place in range(len(content) + 1):
        if not any(is_text(content[:place] + tail) for tail in tails):
            return place
    return None


def is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("around", [b"", b"eight bytes and more; ", "é".encode()], ids=["alone", "in ASCII", "in more"])
def test_stress_sequences(around: bytes) -> None:
    for sequence in STRESS:
        content = around + sequence + around
        if is_text(content):
            assert events(frame(TEXT, content)) == [("message", content.decode())]
        else:
            assert failure(frame(TEXT, content)) == 1007, content
        closing = events(frame(CLOSE, b"\x03\xe8" + content))[0]
        assert closing[:2] == (("close", 1000) if is_text(content) else ("failed", 1007))


def test_text_fails_at_the_first_byte_that_makes_it_bad() -> None:
    for sequence in STRESS:
        content = b"some ASCII " + sequence
        end = first_bad_end(content)
        # The frame is longer than what has come of it, or there are more frames to come.
        promised = frame(TEXT, content + b"...")
        fragment = frame(TEXT, content, fin=False)
        for place in range(len(content) + 1):
            failed = end is not None and place >= end
            assert is_failed_by(promised[: 6 + place]) == failed, (content, place)
            assert is_failed_by(fragment[: 6 + place]) == failed, (content, place)


def test_text_is_checked_across_frames() -> None:
    for sequence in STRESS:
        for cut in range(1, len(sequence)):
            data = frame(TEXT, sequence[:cut], fin=False) + frame(PING) + frame(CONTINUATION, sequence[cut:])
            found = [each for each in events(data) if each[0] != "ping"]
            if is_text(sequence):
                assert found == [("message", sequence.decode())]
            else:
                assert [each[:2] for each in found] == [("failed", 1007)]


def test_a_message_may_not_end_inside_a_character() -> None:
    for part in (b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0\x9f\xa6"):
        assert failure(frame(TEXT, b"a" + part)) == 1007
        assert failure(frame(TEXT, b"a" + part, fin=False) + frame(CONTINUATION)) == 1007


def test_every_pair_of_bytes_is_judged_as_python_does() -> None:
    for first in range(0x7F, 0x100):
        for second in range(0x100):
            content = bytes([first, second])
            expected = [("message", content.decode())] if is_text(content) else [("failed", 1007)]
            for pieces in ([frame(TEXT, content)], [frame(TEXT, content)[:7], frame(TEXT, content)[7:]]):
                assert [each[:2] for each in feed(pieces)] == expected


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 30))
@settings(deadline=None, derandomize=True)
def test_any_text_survives(text: str, size: int) -> None:
    data = frame(TEXT, text.encode())
    assert feed([data[place : place + size] for place in range(0, len(data), size)]) == [("message", text)]


@given(st.lists(st.sampled_from([*STRESS, b"a", b"eight byte"]), max_size=6).map(b"".join), st.integers(1, 12))
@settings(deadline=None, derandomize=True)
def test_any_bytes_are_judged_as_python_does(content: bytes, size: int) -> None:
    data = frame(TEXT, content)
    expected = [("message", content.decode())] if is_text(content) else [("failed", 1007)]
    for pieces in ([data], [data[place : place + size] for place in range(0, len(data), size)]):
        assert [each[:2] for each in feed(pieces)] == expected


# Sizes.


@pytest.mark.parametrize("limit", [1, 100, 125, 126, 65535, 65536])
def test_message_limit(limit: int) -> None:
    def limited() -> MessageReader:
        return reader(limit)

    for size in (limit - 1, limit):
        assert events(frame(BINARY, b"x" * size), limited) == [("message", bytearray(b"x" * size))]
        fragments = frame(TEXT, b"x", fin=False) + frame(PING, b"y" * 125) + frame(CONTINUATION, b"x" * (size - 1))
        if size:
            assert events(fragments, limited) == [("ping", b"y" * 125), ("message", "x" * size)]
    too_large = frame(BINARY, b"x" * (limit + 1))
    assert failure(too_large, limited) == 1009
    size_of_header = len(too_large) - (limit + 1)
    assert is_failed_by(too_large[: size_of_header - 4], limited), "the length alone decides"
    fragments = frame(TEXT, b"x" * limit, fin=False) + frame(CONTINUATION, b"x")
    assert failure(fragments, limited) == 1009
    assert is_failed_by(fragments[:-5], limited)


def test_the_limit_is_for_each_message() -> None:
    data = (frame(TEXT, b"abc", fin=False) + frame(CONTINUATION, b"de") + frame(BINARY, b"fghij")) * 3
    assert len(events(data, lambda: reader(5))) == 6


def test_without_a_limit() -> None:
    assert feed([frame(BINARY, bytes(3_000_000))]) == [("message", bytearray(3_000_000))]


def test_an_announced_length_is_not_believed() -> None:
    tracemalloc.start()
    try:
        for payload, most in ((b"x", 70_000), (b"x" * 30_000, 70_000), (b"x" * 100_000, 210_000)):
            data = header(0x82, 2**40, 64) + payload
            each_reader = reader()
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            assert each_reader.feed(data) == []
            assert tracemalloc.get_traced_memory()[1] - before < most
        assert reader().feed(header(0x82, 2**62, 64)) == []
    finally:
        tracemalloc.stop()


def test_an_idle_reader_is_small_and_lets_go_of_messages() -> None:
    each_reader = reader()
    assert sys.getsizeof(each_reader) <= 200
    for data in (frame(BINARY, bytes(70_000)), frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b" * 70_000)):
        assert len(each_reader.feed(data[:-1]) + each_reader.feed(data[-1:])) == 1
        assert sum(sys.getsizeof(each) for each in gc.get_referents(each_reader) if each is not None) < 200 + 1000
    assert each_reader.feed(frame(BINARY, bytes(70_000), fin=False)) == []
    assert each_reader.feed(b"\xff")[0][0] == "failed"
    assert each_reader.message is None


def test_a_message_has_no_memory_to_spare() -> None:
    data = frame(BINARY, b"x" * 200_000)
    ((_, message),) = feed([data[place : place + 65536] for place in range(0, len(data), 65536)])
    assert sys.getsizeof(message) < 200_100


# After the end.


@pytest.mark.parametrize("data", [frame(CLOSE, b"\x03\xe8bye"), b"\xff", frame(TEXT, b"\xff")])
def test_nothing_comes_behind_the_end(data: bytes) -> None:
    each_reader = reader()
    first = each_reader.feed(data)
    assert len(first) == 1
    assert (each_reader.close_code, each_reader.reason) == first[0][1:]
    assert each_reader.feed(frame(TEXT, b"more")) == []
    assert (each_reader.close_code, each_reader.reason) == first[0][1:]


def test_what_comes_before_a_fault_is_delivered() -> None:
    data = frame(TEXT, b"one") + frame(PING, b"two") + frame(TEXT, b"three \xff")
    assert [each[:2] for each in events(data)] == [("message", "one"), ("ping", b"two"), ("failed", 1007)]


def test_nothing_is_known_of_no_bytes() -> None:
    each_reader = reader()
    assert each_reader.feed(b"") == []
    assert each_reader.feed(frame(TEXT, b"abc")[:8]) == []
    assert each_reader.feed(b"") == []
    assert each_reader.feed(frame(TEXT, b"abc")[8:]) == [("message", "abc")]


# Compressed messages. What is compressed how is the session's business (RFC 7692); the reader bounds and checks it.


def test_compressed_messages() -> None:
    content = "Hello, é! ".encode() * 10
    data = frame(TEXT, deflate(content), rsv1=True) + frame(BINARY, deflate(content), rsv1=True) + frame(TEXT, content)
    text = content.decode()
    assert events(data, compressed_reader) == [("message", text), ("message", bytearray(content)), ("message", text)]


def test_compressed_fragments() -> None:
    content = "日本語".encode() * 50
    packed = deflate(content)
    for cut in range(0, len(packed) + 1, 3):
        data = frame(TEXT, packed[:cut], fin=False, rsv1=True) + frame(PING, b"x") + frame(CONTINUATION, packed[cut:])
        assert events(data, compressed_reader) == [("ping", b"x"), ("message", content.decode())]


def test_an_empty_compressed_message() -> None:
    for payload in (deflate(b""), b""):
        assert events(frame(TEXT, payload, rsv1=True), compressed_reader) == [("message", "")]
        assert events(frame(BINARY, payload, rsv1=True), compressed_reader) == [("message", bytearray())]


def test_broken_deflate_data() -> None:
    ((name, code, _),) = feed([frame(TEXT, b"\xff" * 10, rsv1=True)], compressed_reader)
    assert (name, code) == ("failed", 1007)


@pytest.mark.parametrize("limit", [100, 5000, 70_000])
def test_inflated_limit(limit: int) -> None:
    def limited() -> MessageReader:
        return compressed_reader(limit)

    for size, good in ((limit - 1, True), (limit, True), (limit + 1, False), (limit * 1000, False)):
        packed = deflate(b"x" * size)
        if len(packed) > limit:
            continue
        data = frame(BINARY, packed, rsv1=True)
        fragments = frame(BINARY, packed[:5], fin=False, rsv1=True) + frame(CONTINUATION, packed[5:])
        for each in (data, fragments):
            if good:
                assert events(each, limited) == [("message", bytearray(b"x" * size))]
            else:
                assert failure(each, limited) == 1009


def test_the_compressed_size_is_limited_too() -> None:
    empty = b"\0\0\0\xff\xff"  # a block of deflate data that inflates to nothing, however many of them there are
    assert feed([frame(BINARY, empty * 20, fin=False, rsv1=True)], lambda: compressed_reader(100)) == []
    assert failure(frame(BINARY, empty * 20 + b"\0", rsv1=True), lambda: compressed_reader(100)) == 1009
    data = frame(BINARY, b"", fin=False, rsv1=True) + frame(CONTINUATION, empty, fin=False) * 20
    assert failure(data + frame(CONTINUATION, b"\0"), lambda: compressed_reader(100)) == 1009


def test_a_compressed_bomb_is_not_inflated() -> None:
    data = frame(BINARY, deflate(bytes(30_000_000)), rsv1=True)
    tracemalloc.start()
    try:
        assert feed([data], lambda: compressed_reader(100_000))[0][:2] == ("failed", 1009)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_inflated_text_is_checked_as_it_comes() -> None:
    packed = deflate(b"good \xff" + Random(0).randbytes(5000))
    start = frame(TEXT, packed, fin=False, rsv1=True)
    assert failure(start, compressed_reader) == 1007
    assert is_failed_by(start[:2000], compressed_reader)
    assert failure(frame(TEXT, deflate(b"half \xe2\x82"), rsv1=True), compressed_reader) == 1007
    # What there is room for comes first, whether the rest comes at once or later.
    assert failure(frame(TEXT, deflate(b"\xff" + b"a" * 100), rsv1=True), lambda: compressed_reader(100)) == 1007
    assert failure(frame(TEXT, deflate(b"a" * 100 + b"\xff"), rsv1=True), lambda: compressed_reader(100)) == 1009


def test_the_inflater_gets_bounded_pieces() -> None:
    inflater = Inflater()
    content = Random(0).randbytes(100_000)
    found = MessageReader(0, inflater).feed(frame(BINARY, deflate(content), rsv1=True))
    assert found == [("message", bytearray(content))]
    assert max(inflater.pieces) == 16384


def test_a_reader_does_not_hide_what_is_wrong_with_its_inflater() -> None:
    class Broken(Inflater):
        def inflate(self, data: bytes, room: int) -> bytes:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        MessageReader(0, Broken()).feed(frame(TEXT, b"a", rsv1=True))


# Writing.


def test_encode_close() -> None:
    assert encode_close(None) == encode_close(None, "lost") == encode_close(1005, "lost") == b""
    assert encode_close(1000) == b"\x03\xe8"
    assert encode_close(4999, "é") == b"\x13\x87\xc3\xa9"
    assert encode_close(1000, "\ud800!") == b"\x03\xe8?!"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("x" * 123, 123), ("x" * 124, 123), ("é" * 61, 122), ("é" * 62, 122), ("x" + "é" * 62, 123), ("🦀" * 31, 120)],
)
def test_a_long_reason_is_cut_behind_a_character(reason: str, kept: int) -> None:
    payload = encode_close(1000, reason)
    assert len(payload) == 2 + kept
    assert reason.startswith(payload[2:].decode())


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 70_000])
def test_a_code_that_no_frame_may_carry_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"close code {code}:")):
        encode_close(code)


def test_encode_frame() -> None:
    assert encode_frame(TEXT, b"Hello").hex(" ") == "81 05 48 65 6c 6c 6f"
    assert encode_frame(TEXT, b"Hello", mask=MASK).hex(" ") == "81 85 37 fa 21 3d 7f 9f 4d 51 58"
    assert encode_frame(CONTINUATION, b"", fin=False, rsv1=True) == b"\x40\x00"
    with pytest.raises(ValueError, match="opcode 16"):
        encode_frame(16, b"")
    with pytest.raises(ValueError, match="mask of 3 bytes"):
        encode_frame(TEXT, b"", mask=b"abc")


# wsproto, which others wrote, as the peer.

texts = st.text(st.characters(codec="utf-8"), max_size=200)
messages = st.one_of(texts, st.binary(max_size=200).map(bytearray))
controls = st.tuples(st.sampled_from(["ping", "pong"]), st.binary(max_size=125))
conversations = st.lists(st.one_of(st.tuples(st.just("message"), messages), controls), max_size=6)
closings = st.one_of(
    st.none(), st.tuples(st.sampled_from([1000, 1001, 1007, 1013, 3000, 4999]), st.text("aé€🦀", max_size=30))
)


def cut(data: bytes, random: Random) -> list[bytes]:
    """Cut `data` at random places."""
    places = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(8)))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)])]


def say(peer: FrameProtocol, event: Event, random: Random) -> bytes:
    """Have `peer` write one event; a message in up to four fragments."""
    name, content = event
    if name != "message":
        return bytes(peer.ping(content) if name == "ping" else peer.pong(content))
    places = sorted(random.randrange(len(content) + 1) for _ in range(random.randrange(4)))
    parts = [content[start:end] for start, end in pairwise([0, *places, len(content)])]
    return b"".join(bytes(peer.send_data(part, fin=place == len(places))) for place, part in enumerate(parts))


@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("compresses", [True, False], ids=["compressed", "plain"])
@given(conversations, closings, st.randoms(use_true_random=False))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_what_wsproto_writes_is_read(
    client: bool, compresses: bool, conversation: list[Event], closing: tuple[int, str] | None, random: Random
) -> None:
    extension = PerMessageDeflate()
    if compresses:
        extension.finalize("permessage-deflate")
    peer = FrameProtocol(client=client, extensions=[extension] if compresses else [])
    data = b"".join(say(peer, event, random) for event in conversation)
    data += bytes(peer.close(*closing) if closing else peer.close())
    expected = [*conversation, ("close", *closing) if closing else ("close", 1005, "")]
    for pieces in ([data], cut(data, random)):
        reads = MessageReader(0, Inflater() if compresses else None, from_client=client)
        assert [event for piece in pieces for event in reads.feed(piece)] == expected


@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
@given(conversations, closings, st.binary(min_size=4, max_size=4), st.randoms(use_true_random=False))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_wsproto_reads_what_is_written(
    client: bool, conversation: list[Event], closing: tuple[int, str] | None, mask: bytes, random: Random
) -> None:
    peer = FrameProtocol(client=not client, extensions=[])
    key = mask if client else None
    data = b""
    for name, content in conversation:
        opcode = {"ping": PING, "pong": PONG, "message": TEXT if isinstance(content, str) else BINARY}[name]
        payload = content.encode() if isinstance(content, str) else bytes(content)
        parts = cut(payload, random) if name == "message" else [payload]
        for place, part in enumerate(parts):
            data += encode_frame(CONTINUATION if place else opcode, part, fin=place == len(parts) - 1, mask=key)
    data += encode_frame(CLOSE, encode_close(*closing) if closing else b"", mask=key)
    assert read_by_wsproto(peer, data) == [*conversation, ("close", *closing) if closing else ("close", 1005, "")]


def read_by_wsproto(peer: FrameProtocol, data: bytes) -> list[Event]:
    """Have `peer` read `data`; return the events as MessageReader does."""
    found: list[Event] = []
    parts: list[Any] = []
    peer.receive_bytes(data)
    try:
        for each in peer.received_frames():
            content: Any = each.payload
            if each.opcode is Opcode.CLOSE:
                return [*found, ("close", int(content[0]), content[1] or "")]
            if each.opcode in {Opcode.PING, Opcode.PONG}:
                found.append((each.opcode.name.lower(), bytes(content)))
                continue
            parts.append(content)
            if each.message_finished:
                found.append(("message", "".join(parts) if each.opcode is Opcode.TEXT else bytearray(b"".join(parts))))
                parts = []
    except ParseFailed as refusal:
        found.append(("failed", int(refusal.code), str(refusal)))
    return found


frames = st.builds(
    header,
    st.one_of(st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A]), st.integers(0, 255)),
    st.integers(0, 125),
    st.just(7),
    masked=st.sampled_from([True] * 9 + [False]),
)


@given(st.lists(st.tuples(frames, st.sampled_from([b"", b"a" * 5, b"\x34\x12bye", b"\x34\x11", b"\xff"])), max_size=5))
@settings(deadline=None, derandomize=True, max_examples=500)
def test_the_verdict_is_that_of_wsproto(parts: list[tuple[bytes, bytes]]) -> None:
    data = b""
    for start, payload in parts:
        data += start[:1] + bytes([start[1] & 0x80 | len(payload)]) + start[2:] + payload
    here = [each[:2] for each in feed([data])]
    there = [each[:2] for each in read_by_wsproto(FrameProtocol(client=False, extensions=[]), data)]
    assert here == there
