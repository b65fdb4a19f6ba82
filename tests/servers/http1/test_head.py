"""The head parser: every case of the corpus, every byte in every place, and each limit."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hublet.runtime import limits
from hublet.servers.http1.head import HeadParser

from tests.corpus import Case, Message, load
from tests.servers.http1.verdicts import (
    BASE_ENVIRON,
    Accepted,
    Body,
    Refused,
    new_parser,
    prefix_lengths,
    read_chunked,
    read_head,
)

CASES = load()
TRAILING = [b"\r\n", b"\n", b"\0", b"X", b"GET / HTTP/1.1\r\nHost: next.example\r\n\r\n", b"\x16\x03\x01\xff" * 20]

TOKEN = set((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
VISIBLE = set(range(0x21, 0x7F))
OBS_TEXT = set(range(0x80, 0x100))
DIGITS = set(b"0123456789")
# A percent sign starts an escape of three bytes, which the corpus has.
REG_NAME = set((string.ascii_letters + string.digits + "-._~!$&'()*+,;=").encode())

every_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


def request(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: example.com") -> bytes:
    """A complete head of `line`, a Host field and `fields`."""
    return b"\r\n".join([line, host, *fields, b"", b""])


def accepted(data: bytes) -> Accepted:
    """The verdict on a head that must be complete and accepted."""
    verdict = read_head(data)
    assert isinstance(verdict, Accepted), verdict
    return verdict


def assert_as_expected(verdict: Accepted | Refused | None, message: Message) -> None:
    """Compare a verdict with what the corpus says of the message."""
    if message.refused == "head":
        assert isinstance(verdict, Refused), verdict
        assert verdict.status == message.status
        return
    assert isinstance(verdict, Accepted), verdict
    assert {key: verdict.environ.get(key) for key in message.environ} == message.environ
    assert not set(message.absent) & set(verdict.environ)
    assert verdict.expect_continue is message.expect_continue
    if message.refused != "body":
        assert verdict.keep_alive is message.keep_alive


def read_body(verdict: Accepted, data: bytes) -> Body | Refused:
    """Read the body that follows an accepted head, as the head frames it."""
    if verdict.chunked:
        return read_chunked([data])
    size = max(verdict.content_length, 0)
    return Body(data[:size], size, len(data) >= size)


@every_case
def test_case_whole(case: Case) -> None:
    rest = case.request
    for message in case.messages:
        parser = new_parser()
        verdict = read_head(rest, parser)
        assert_as_expected(verdict, message)
        if not isinstance(verdict, Accepted):
            return
        assert parser.dropped_fields == message.dropped
        body = read_body(verdict, rest[verdict.size :])
        if message.refused:
            assert isinstance(body, Refused), body
            assert body.status == message.status
            return
        assert isinstance(body, Body), body
        assert (body.payload, body.finished) == (message.body, True)
        rest = rest[verdict.size + body.consumed :]
    assert rest == b"" or not case.messages[-1].keep_alive


@every_case
def test_case_as_every_prefix(case: Case) -> None:
    whole = read_head(case.request)
    size = whole.size if isinstance(whole, Accepted) else len(case.request)
    parser = new_parser()
    for length in prefix_lengths(size):
        verdict = read_head(case.request[:length], parser)
        if isinstance(whole, Accepted):
            assert verdict is None, length
        else:
            assert verdict in (None, whole), length
    assert read_head(case.request[:size], parser) == whole


@every_case
@pytest.mark.parametrize("trailing", TRAILING, ids=["crlf", "lf", "nul", "letter", "request", "binary"])
def test_case_with_trailing_bytes(case: Case, trailing: bytes) -> None:
    assert read_head(case.request + trailing) == read_head(case.request)


def test_nothing_is_known_of_an_incomplete_head() -> None:
    for data in (b"", b"\r", b"\r\n", b"\r\n" * 8, b"G", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\n", request()[:-1]):
        assert read_head(data) is None, data


def test_base_environ_is_copied() -> None:
    base: dict[str, object] = dict(BASE_ENVIRON)
    parser = HeadParser(base)
    first, second = parser.parse(request(b"X-A: 1")), parser.parse(request(b"X-B: 2"))
    assert first is not None
    assert second is not None
    assert base == BASE_ENVIRON
    assert base.items() <= first.environ.items()
    assert "HTTP_X_A" not in second.environ
    assert "HTTP_X_B" not in first.environ


def test_fields_cannot_replace_the_base_environ() -> None:
    environ = accepted(request(b"Server-Name: evil", b"Script-Name: evil", b"Wsgi.Version: evil")).environ
    assert BASE_ENVIRON.items() <= environ.items()


def test_every_value_of_a_request_is_text() -> None:
    fields = (b"X-A: \xff", b"X-B:", b"Content-Type: a", b"Content-Length: 0")
    environ = accepted(request(*fields, line=b"GET /%FF?b HTTP/1.1")).environ
    added = {key: value for key, value in environ.items() if key not in BASE_ENVIRON}
    assert all(type(key) is str and type(value) is str for key, value in added.items())
    assert "".join(added.values()).encode("latin-1")


def test_size_counts_the_empty_lines_before_and_none_behind() -> None:
    assert accepted(request()).size == len(request())
    assert accepted(b"\r\n\r\n" + request() + b"\r\n\r\n").size == 4 + len(request())


def test_body_framing() -> None:
    facts = [accepted(request(*fields)) for fields in ([], [b"Content-Length: 7"], [b"Transfer-Encoding: chunked"])]
    assert [(head.content_length, head.chunked) for head in facts] == [(-1, False), (7, False), (-1, True)]
    assert accepted(request(b"Content-Length: 999999999999999999")).content_length == 10**18 - 1


@pytest.mark.parametrize(
    "line",
    [b"GET /", b"GET /# HTTP/1.1", b"GET / HTTP/2.0", b"GET x HTTP/1.1", b"GET /%00 HTTP/1.1", b"CONNECT a:1 HTTP/1.1"],
)
def test_a_bad_request_line_is_refused_at_its_end(line: bytes) -> None:
    # Whoever speaks another protocol waits for an answer now, not for the end of a head that will never come.
    assert isinstance(read_head(line + b"\r\n"), Refused)
    assert read_head(line + b"\r\n") == read_head(request(line=line))


@pytest.mark.parametrize(("version", "minor"), [(b"1.0", 0), (b"1.1", 1), (b"1.2", 1), (b"1.9", 1)])
def test_minor_version(version: bytes, minor: int) -> None:
    assert accepted(request(line=b"GET / HTTP/" + version)).minor == minor


def test_upgrade() -> None:
    fields = (b"Upgrade: websocket", b"Connection: keep-alive, UPGRADE")
    assert accepted(request(*fields)).upgrade
    assert not accepted(request()).upgrade
    # RFC 9110 section 7.8: without the option the field is meant for another hop.
    assert not accepted(request(b"Upgrade: websocket")).upgrade
    # The same section: a server MUST ignore it in HTTP/1.0.
    assert not accepted(request(*fields, line=b"GET / HTTP/1.0")).upgrade


def test_dropped_fields_are_summed_over_the_parsers_life() -> None:
    parser = new_parser()
    for _ in range(3):
        assert isinstance(read_head(request(b"A_B: 1", b"C_: 2", b"D-E: 3"), parser), Accepted)
    assert parser.dropped_fields == 6


def test_a_refusal_leaves_the_parser_as_good_as_new() -> None:
    parser = new_parser()
    expected = read_head(request(b"X-A: 1"))
    for case in CASES:
        read_head(case.request, parser)
        assert read_head(request(b"X-A: 1"), parser) == expected, case.id


def test_reasons_name_the_rule() -> None:
    for case in CASES:
        verdict = read_head(case.request)
        if isinstance(verdict, Refused):
            assert 10 <= len(verdict.reason) <= 120, case.id
            assert verdict.reason.isprintable(), case.id


# Every byte in every place: how a head is built around it, and the bytes that may stand there. The sets are those of
# RFC 9110 sections 5.5 and 5.6.2, RFC 9112 sections 2.3 and 3, and RFC 3986 section 3.2.2.

PLACES: dict[str, tuple[Callable[[bytes], bytes], set[int]]] = {
    "method": (lambda byte: request(line=b"G" + byte + b"T / HTTP/1.1"), TOKEN),
    "first of the method": (lambda byte: request(line=byte + b"ET / HTTP/1.1"), TOKEN),
    "path": (lambda byte: request(line=b"GET /a" + byte + b"b HTTP/1.1"), VISIBLE - set(b"#%")),
    "query": (lambda byte: request(line=b"GET /?a" + byte + b"b HTTP/1.1"), VISIBLE - set(b"#")),
    "first of the target": (lambda byte: request(line=b"GET " + byte + b" HTTP/1.1"), set(b"/")),
    "end of the target": (lambda byte: request(line=b"GET /a" + byte + b"HTTP/1.1"), set(b" ")),
    "end of the version": (lambda byte: request(line=b"GET / HTTP/1.1" + byte), set()),
    "minor version": (lambda byte: request(line=b"GET / HTTP/1." + byte), DIGITS),
    "name of the protocol": (lambda byte: request(line=b"GET / HTT" + byte + b"/1.1"), set(b"P")),
    "field name": (lambda byte: request(b"X" + byte + b"Y: 1"), TOKEN | set(b":")),
    "first of a field name": (lambda byte: request(byte + b"Y: 1"), TOKEN),
    "end of a field name": (lambda byte: request(b"X" + byte + b": 1"), TOKEN | set(b":")),
    "field value": (lambda byte: request(b"X: a" + byte + b"b"), VISIBLE | OBS_TEXT | set(b"\t ")),
    "first of a field value": (lambda byte: request(b"X:" + byte), VISIBLE | OBS_TEXT | set(b"\t ")),
    "value of a dropped field": (lambda byte: request(b"X_Y: a" + byte), VISIBLE | OBS_TEXT | set(b"\t ")),
    "host": (lambda byte: request(host=b"Host: a" + byte + b"b"), REG_NAME),
    "port": (lambda byte: request(host=b"Host: a:" + byte + b"0"), DIGITS),
    "authority": (lambda byte: request(line=b"GET http://a" + byte + b"b HTTP/1.1"), REG_NAME | set(b"/?")),
    "content length": (lambda byte: request(b"Content-Length: 1" + byte + b"2"), DIGITS),
    "end of a line": (lambda byte: request(b"X: a\r" + byte + b"Y: b"), set(b"\n")),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_byte_in(place: str) -> None:
    build, allowed = PLACES[place]
    served = {byte for byte in range(256) if isinstance(read_head(build(bytes([byte]))), Accepted)}
    assert served == allowed


@pytest.mark.parametrize("place", PLACES)
def test_every_byte_earns_the_same_verdict_in_pieces(place: str) -> None:
    build, allowed = PLACES[place]
    for byte in range(256):
        data = build(bytes([byte]))
        verdicts = [read_head(data[:length]) for length in range(len(data))]
        final = {None} if byte in allowed else {None, read_head(data)}
        assert set(verdicts) <= final, byte


def test_every_percent_encoded_byte() -> None:
    for byte in range(1, 256):
        for spelling in (f"%{byte:02x}", f"%{byte:02X}"):
            path = accepted(request(line=b"GET /a" + spelling.encode() + b"b HTTP/1.1")).environ["PATH_INFO"]
            assert path == f"/a{chr(byte)}b", spelling


def test_every_major_version() -> None:
    for major in b"023456789":
        verdict = read_head(request(line=b"GET / HTTP/" + bytes([major]) + b".1"))
        assert isinstance(verdict, Refused)
        assert verdict.status == 505, major


# Limits that are settings, each one below, at and above. The corpus has the defaults.


@pytest.mark.parametrize("limit", [64, 1000, limits.MAX_REQUEST_LINE])
def test_request_line_limit(limit: int) -> None:
    for length, status in ((limit - 1, None), (limit, None), (limit + 1, 414)):
        line = b"GET /" + b"a" * (length - 14) + b" HTTP/1.1"
        assert len(line) == length
        verdict = read_head(request(line=line), new_parser(max_request_line=limit))
        assert getattr(verdict, "status", None) == status, length


@pytest.mark.parametrize("limit", [64, 1000, limits.MAX_HEADER_SIZE])
def test_header_size_limit(limit: int) -> None:
    for size, status in ((limit - 1, None), (limit, None), (limit + 1, 431)):
        field = b"X: " + b"a" * (size - len(b"Host: example.com\r\nX: \r\n"))
        verdict = read_head(request(field), new_parser(max_header_size=limit))
        assert getattr(verdict, "status", None) == status, size


@pytest.mark.parametrize("limit", [2, 17, limits.MAX_HEADER_FIELDS])
def test_header_fields_limit(limit: int) -> None:
    for count, status in ((limit - 1, None), (limit, None), (limit + 1, 431)):
        verdict = read_head(request(*[b"X: a"] * (count - 1)), new_parser(max_header_fields=limit))
        assert getattr(verdict, "status", None) == status, count


@pytest.mark.parametrize("limit", [17, 1000])
def test_field_size_limit(limit: int) -> None:
    for size, status in ((limit - 1, None), (limit, None), (limit + 1, 431)):
        for fields in ((b"X: " + b"a" * (size - 3),), (b"A: b", b"X: " + b"a" * (size - 3), b"C: d")):
            verdict = read_head(request(*fields), new_parser(max_field_size=limit))
            assert getattr(verdict, "status", None) == status, size
    # It does not take the line's end to see that it is too long.
    unfinished = b"GET / HTTP/1.1\r\nX: " + b"a" * (limit - 1)
    assert isinstance(read_head(unfinished, new_parser(max_field_size=limit)), Refused)
    assert not isinstance(read_head(unfinished, new_parser()), Refused)


@pytest.mark.parametrize("start", [b"", b"GET /", b"GET / HTTP/1.1\r\nX", b"GET / HTTP/1.1\r\nX: a\r\n"])
def test_an_endless_head_is_refused_within_the_limits(start: bytes) -> None:
    parser = new_parser(max_request_line=100, max_header_size=200, max_header_fields=10)
    # Room for a line end and the look-ahead that tells the last line from one more.
    bound = 100 + 200 + 16
    for filling in (b"a", b"a: b\r\n", b"%41", b"\t", b" "):
        data = (start + filling * bound)[: bound + len(start)]
        assert isinstance(read_head(data, parser), Refused), (start, filling)


@pytest.mark.parametrize(
    "name",
    [b"Forwarded", b"x-forwarded-for", b"X-FORWARDED-PREFIX", b"X-Forwarded-Anything", b"X-Forwarded-" + b"A" * 200],
)
def test_a_proxys_field_is_noted(name: bytes) -> None:
    parser = new_parser()
    for field, expected in ((b"X-Forwarded", False), (name, True), (b"X_Forwarded-For", False), (name + b"_", False)):
        head = parser.parse(request(field + b": 1"))
        assert head is not None
        assert head.forwarded is expected
