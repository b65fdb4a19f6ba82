"""The chunked decoder: its grammar byte by byte, its limits, and payload that survives every way of cutting it."""

from __future__ import annotations

import pytest
from hublet.runtime import limits
from hublet.runtime.errors import RequestBodyError
from hublet.servers.http1.chunked import ChunkedDecoder
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import Case, load
from tests.servers.http1.verdicts import Accepted, Body, Refused, read_chunked, read_head, split

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~09azAZ"


def bodies_of_the_corpus() -> list[tuple[Case, bytes]]:
    """Every case whose first message is chunked, with the bytes behind its head."""
    found = []
    for case in load():
        head = read_head(case.request)
        if isinstance(head, Accepted) and head.chunked:
            found.append((case, case.request[head.size :]))
    return found


CORPUS = bodies_of_the_corpus()


def encode(chunks: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """Write `chunks` in the chunked coding."""
    lines = [b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk]
    return b"".join(lines) + b"0" + extension + b"\r\n" + trailers + b"\r\n"


def is_accepted(data: bytes) -> bool:
    """Whether `data` is one whole and well-formed body."""
    verdict = read_chunked([data])
    return isinstance(verdict, Body) and verdict.finished and verdict.consumed == len(data)


def with_extension(extension: bytes) -> bytes:
    return b"2" + extension + b"\r\nok\r\n0\r\n\r\n"


def with_trailers(trailers: bytes) -> bytes:
    return b"2\r\nok\r\n0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize(("case", "data"), CORPUS, ids=[case.id for case, _ in CORPUS])
@pytest.mark.parametrize("size", [2**30, 1, 2, 3, 7])
def test_case(case: Case, data: bytes, size: int) -> None:
    message = case.messages[0]
    verdict = read_chunked(split(data, size))
    if message.refused:
        assert isinstance(verdict, Refused), verdict
        assert verdict.status == message.status
    else:
        assert isinstance(verdict, Body), verdict
        assert (verdict.payload, verdict.finished) == (message.body, True)


@pytest.mark.parametrize(("case", "data"), CORPUS, ids=[case.id for case, _ in CORPUS])
def test_case_as_every_prefix(case: Case, data: bytes) -> None:
    whole = read_chunked([data])
    end = whole.consumed if isinstance(whole, Body) else len(data)
    for length in range(0, end, 1 if end < 2000 else 97):
        verdict = read_chunked([data[:length]])
        if isinstance(verdict, Refused):
            assert verdict == whole, length
        else:
            assert not verdict.finished, length


@pytest.mark.parametrize(("case", "data"), CORPUS, ids=[case.id for case, _ in CORPUS])
@pytest.mark.parametrize("trailing", [b"\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100])
def test_case_with_trailing_bytes(case: Case, data: bytes, trailing: bytes) -> None:
    whole = read_chunked([data])
    if isinstance(whole, Body):
        end = data[: whole.consumed]
        assert read_chunked([end + trailing]) == read_chunked([end])
    else:
        assert read_chunked([data + trailing]) == whole


def test_feed_returns_payload_and_bytes_consumed() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"5\r\nhello\r\n0\r\n\r\nGET") == (b"hello", 15)
    assert decoder.finished


def test_nothing_is_consumed_after_the_end() -> None:
    decoder = ChunkedDecoder()
    decoder.feed(b"0\r\n\r\n")
    assert decoder.feed(b"5\r\nhello\r\n") == (b"", 0)
    assert decoder.finished


def test_nothing_is_known_of_no_bytes() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"") == (b"", 0)
    assert not decoder.finished


def test_payload_is_delivered_before_its_chunk_is_complete() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"ff\r\nhel")[0] == b"hel"
    assert decoder.feed(b"lo")[0] == b"lo"


def test_no_more_payload_than_there_is_room_for() -> None:
    decoder = ChunkedDecoder()
    payload, used = decoder.feed(b"5\r\nhello\r\n0\r\n\r\n", 2)
    assert payload == b"he"
    assert not decoder.finished
    rest = b"5\r\nhello\r\n0\r\n\r\n"[used:]
    assert decoder.feed(rest)[0] == b"llo"
    assert decoder.finished


def test_no_payload_without_room() -> None:
    decoder = ChunkedDecoder()
    payload, used = decoder.feed(b"5\r\nhello\r\n", 0)
    assert payload == b""
    assert decoder.feed(b"5\r\nhello\r\n"[used:])[0] == b"hello"


def test_an_error_is_final() -> None:
    decoder = ChunkedDecoder()
    for data in (b"x\r\n", b"0\r\n\r\n", b""):
        with pytest.raises(RequestBodyError) as caught:
            decoder.feed(data)
        assert caught.value.status == 400
        assert caught.value.reason
    assert not decoder.finished


@pytest.mark.parametrize("size", [1, 4, 100])
def test_payload_in_front_of_an_error_is_delivered(size: int) -> None:
    verdict = read_chunked(split(b"5\r\nhello\r\n7\r\n, world!\r\n", size))
    assert isinstance(verdict, Refused), verdict
    assert verdict.payload == b"hello, world"


def test_an_error_is_found_at_the_byte_that_makes_it() -> None:
    # A peer that sends no more must not keep the connection waiting for a body that cannot become good.
    for broken in (b"g", b" ", b"\r", b"\n", b";", b"5 \r", b"5\n", b"5\rX", b"5;;", b"5;a\n", b"5;\x00"):
        assert isinstance(read_chunked([broken]), Refused), broken
    for broken in (b"1\r\naX", b"1\r\na\rX"):
        assert isinstance(read_chunked([broken]), Refused), broken
    for broken in (b"0\r\n ", b"0\r\n:", b"0\r\nX ", b"0\r\nX\r", b"0\r\nX: \x00", b"0\r\nX: a\rb", b"0\r\n\rX"):
        assert isinstance(read_chunked([broken]), Refused), broken


# Grammar, byte by byte (RFC 9112 section 7.1, RFC 9110 section 5.6.4).


def test_every_byte_in_the_size() -> None:
    served = {byte for byte in range(256) if is_accepted(b"0%c\r\n%s\r\n0\r\n\r\n" % (byte, b"x" * hex_value(byte)))}
    assert served == set(b"123456789abcdefABCDEF")
    # A second zero is the last chunk: what follows it is a trailer section, and `0` no field.
    assert is_accepted(b"00\r\n\r\n")


def hex_value(byte: int) -> int:
    return int(chr(byte), 16) if byte in b"0123456789abcdefABCDEF" else 0


def test_every_byte_in_an_extension_name() -> None:
    served = {byte for byte in range(256) if is_accepted(with_extension(b";a%cb" % byte))}
    assert served == token_bytes() | set(b";=")


def test_every_byte_in_an_extension_token() -> None:
    served = {byte for byte in range(256) if is_accepted(with_extension(b";a=b%cc" % byte))}
    assert served == token_bytes() | set(b";")


def test_every_byte_in_a_quoted_extension() -> None:
    served = {byte for byte in range(256) if is_accepted(with_extension(b';a="b%cc"' % byte))}
    printable = set(range(0x20, 0x7F)) - set(b'"')
    assert printable | set(b"\t") <= served
    # obs-text is in the grammar, but nobody is asked to take it.
    assert served <= printable | set(b"\t") | set(range(0x80, 0x100))


def test_every_byte_in_a_trailer_name() -> None:
    served = {byte for byte in range(256) if is_accepted(with_trailers(b"X%cY: 1\r\n" % byte))}
    assert served == token_bytes() | set(b":")


def test_every_byte_in_a_trailer_value() -> None:
    served = {byte for byte in range(256) if is_accepted(with_trailers(b"X: a%cb\r\n" % byte))}
    assert served == set(range(0x20, 0x7F)) | set(b"\t") | set(range(0x80, 0x100))


def token_bytes() -> set[int]:
    letters_and_digits = {byte for byte in range(0x80) if chr(byte).isalnum()}
    return letters_and_digits | set(TOKEN_CHARACTERS.encode())


# Limits.


def test_size_below_2_to_62() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"3fffffffffffffff\r\nhello") == (b"hello", 23)
    assert isinstance(read_chunked([b"3fffffffffffffff\r\n"]), Body)
    assert isinstance(read_chunked([b"4000000000000000\r\n"]), Refused)
    assert isinstance(read_chunked([b"ffffffffffffffff\r\n"]), Refused)


@pytest.mark.parametrize(("digits", "good"), [(15, True), (16, True), (17, False)])
def test_number_of_digits(digits: int, good: bool) -> None:
    assert is_accepted(b"2".zfill(digits) + b"\r\nok\r\n0\r\n\r\n") is good
    assert is_accepted(b"0" * digits + b"\r\n\r\n") is good


@pytest.mark.parametrize(("size", "good"), [(-1, True), (0, True), (1, False)])
def test_extension_limits(size: int, good: bool) -> None:
    longest = b";" + b"a" * (limits.MAX_CHUNK_EXTENSION - 1 + size)
    assert is_accepted(with_extension(longest)) is good
    assert is_accepted(with_extension(b';a="' + b"b" * (len(longest) - 5) + b'"')) is good
    assert is_accepted(with_extension(b";a" * (len(longest) // 2) + b"b" * (len(longest) % 2))) is good


@pytest.mark.parametrize(("size", "good"), [(-1, True), (0, True), (1, False)])
def test_sum_of_extensions_limit(size: int, good: bool) -> None:
    chunk = b"1;aaaaaaa\r\nb\r\n"
    last = b"1;" + b"a" * (7 + size) + b"\r\nb\r\n0\r\n\r\n"
    assert is_accepted(chunk * (limits.MAX_CHUNK_EXTENSIONS // 8 - 1) + last) is good


@pytest.mark.parametrize(("size", "good"), [(-1, True), (0, True), (1, False)])
def test_trailer_limit(size: int, good: bool) -> None:
    value = b"a" * (limits.MAX_TRAILER_SIZE - len(b"X: \r\n") + size)
    assert is_accepted(with_trailers(b"X: " + value + b"\r\n")) is good


def test_an_endless_line_is_refused_within_the_limits() -> None:
    for start, bound in ((b"0" * 17, 0), (b"1;a=", 257), (b'1;a="', 257), (b"0\r\nX", 8193), (b"0\r\nX: ", 8193)):
        assert isinstance(read_chunked([start + b"a" * bound]), Refused), start


def test_data_is_not_bounded_by_the_limits_of_its_framing() -> None:
    payload = bytes(range(256)) * 8192
    body = read_chunked([encode(split(payload, 1000))])
    assert isinstance(body, Body)
    assert body.payload == payload


# Payload survives.

extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b; c"', b";a;b=c"])
trailer_sections = st.sampled_from([b"", b"X: 1\r\n", b"X-A:\r\nX-B: \xff\t\r\n"])


@given(st.lists(st.binary(max_size=40)), extensions, trailer_sections, st.integers(1, 50), st.integers(1, 20))
@settings(deadline=None, derandomize=True)
def test_what_is_encoded_is_decoded(
    chunks: list[bytes], extension: bytes, trailers: bytes, size: int, room: int
) -> None:
    data = encode(chunks, extension, trailers)
    assert read_chunked(split(data + b"GET", size), room) == Body(b"".join(chunks), len(data), True)


@given(st.lists(st.binary(max_size=20)), extensions, trailer_sections, st.data())
@settings(deadline=None, derandomize=True)
def test_a_changed_byte_never_changes_where_the_verdict_depends_on_the_cut(
    chunks: list[bytes], extension: bytes, trailers: bytes, draw: st.DataObject
) -> None:
    data = bytearray(encode(chunks, extension, trailers))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    assert read_chunked(split(bytes(data), 1)) == read_chunked([bytes(data)])
