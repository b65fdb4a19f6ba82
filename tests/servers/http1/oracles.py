"""Two other parsers of request heads, h11 and llhttp (by httptools), and the rules that set hublet apart from them.

`STRICTER` lists every reason for which hublet refuses a head that one of them takes, `LAXER_THAN_LLHTTP` every reason
for which it takes one that llhttp refuses. h11 takes whatever hublet takes. test_oracles.py looks for a difference that
is not listed.

The rules read a head loosely, line by line, with regular expressions: slow, and independent of the compiled parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import h11
import httptools
from hublet.runtime import limits

TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
REQUEST_LINE = re.compile(rb"(?P<method>" + TCHAR + rb"+) (?P<target>[\x21-\x7e]+) HTTP/(?P<major>\d)\.(?P<minor>\d)")
FIELD_LINE = re.compile(rb"(?P<name>" + TCHAR + rb"+):[ \t]*(?P<value>.*?)[ \t]*", re.DOTALL)
ABSOLUTE_FORM = re.compile(rb"https?://(?P<authority>[^/?]*)(?P<path>[^?]*)", re.IGNORECASE)
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::(?P<port>\d*))?")


@dataclass(frozen=True)
class Parsed:
    """What an oracle read: names in lower case, values without white space around, in the order of the lines."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]


class OracleRefusal(str):
    """What an oracle has against a head, in its own words."""


Opinion = Parsed | OracleRefusal | None


def ask_h11(data: bytes) -> Opinion:
    """Return h11's opinion of the head at the start of `data`; the empty lines before it are none of its business."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
    connection.receive_data(re.sub(rb"\A(?:\r\n)+", b"", data))
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as refusal:
        return OracleRefusal(refusal)
    if isinstance(event, h11.Request):
        return Parsed(event.method, event.target, tuple((name, value) for name, value in event.headers))
    return None


class HeadCollector:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def ask_llhttp(data: bytes) -> Opinion:
    """Return llhttp's opinion of the head at the start of `data`, in segments, so that the body is not asked about."""
    collector = HeadCollector()
    parser = httptools.HttpRequestParser(collector)
    for position in range(len(data)):
        try:
            parser.feed_data(data[position : position + 1])
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as refusal:
            return OracleRefusal(refusal)
        if collector.complete:
            return Parsed(parser.get_method(), collector.target, tuple(collector.fields))
    return None


@dataclass(frozen=True)
class LooseHead:
    """A head as the rules see it: everything up to the first empty line, whatever its line ends."""

    data: bytes
    blank: bytes
    text: bytes

    @property
    def lines(self) -> list[bytes]:
        return re.split(rb"\r?\n", self.text)

    @property
    def line(self) -> re.Match[bytes] | None:
        return REQUEST_LINE.fullmatch(self.lines[0])

    @property
    def method(self) -> bytes:
        return self.line["method"] if self.line else b""

    @property
    def target(self) -> bytes:
        return self.line["target"] if self.line else b""

    @property
    def version(self) -> tuple[int, int]:
        return (int(self.line["major"]), int(self.line["minor"])) if self.line else (0, 0)

    @property
    def authority(self) -> bytes | None:
        absolute = ABSOLUTE_FORM.match(self.target)
        return absolute["authority"] if absolute else None

    @property
    def path(self) -> bytes:
        """The path as sent: `/` for an absolute-form without one, nothing for the asterisk-form."""
        if self.target == b"*":
            return b""
        absolute = ABSOLUTE_FORM.match(self.target)
        return (absolute["path"] or b"/") if absolute else self.target.partition(b"?")[0]

    def values(self, name: bytes) -> list[bytes]:
        found = [FIELD_LINE.fullmatch(line) for line in self.lines[1:]]
        return [field["value"] for field in found if field and field["name"].lower() == name]


def read_loosely(data: bytes) -> LooseHead:
    """Cut the first head out of `data`."""
    start = re.match(rb"[\r\n]*", data)
    blank = start[0] if start else b""
    text = re.split(rb"\r?\n\r?\n", data[len(blank) :], maxsplit=1)[0]
    return LooseHead(data, blank, text)


def has_bad_line_end(head: LooseHead) -> bool:
    end = len(head.blank) + len(head.text)
    return re.search(rb"(?<!\r)\n|\r(?!\n)", head.data[: end + 4]) is not None


def has_bad_target(head: LooseHead) -> bool:
    target = head.target
    if target == b"*":
        return head.method != b"OPTIONS"
    return b"#" in target or not (target.startswith(b"/") or ABSOLUTE_FORM.match(target))


def is_host(value: bytes) -> bool:
    match = HOST.fullmatch(value)
    return match is not None and int(match["port"] or 0) <= 65535


def has_bad_host(head: LooseHead) -> bool:
    values = head.values(b"host")
    required = head.version != (1, 0)
    return len(values) > 1 or len(values) < required or not all(map(is_host, values))


def has_bad_transfer_encoding(head: LooseHead) -> bool:
    values = head.values(b"transfer-encoding")
    return bool(values) and (
        head.version == (1, 0)
        or bool(head.values(b"content-length"))
        or [value.lower() for value in values] != [b"chunked"]
    )


def has_bad_content_length(head: LooseHead) -> bool:
    values = head.values(b"content-length")
    return len(values) > 1 or not all(re.fullmatch(rb"\d{1,18}", value) for value in values)


def has_unknown_expectation(head: LooseHead) -> bool:
    elements = [element.strip(b" \t") for value in head.values(b"expect") for element in value.split(b",")]
    return head.version > (1, 0) and any(element.lower() != b"100-continue" for element in elements)


def exceeds_limits(head: LooseHead) -> bool:
    fields = head.lines[1:]
    return (
        len(head.lines[0]) > limits.MAX_REQUEST_LINE
        or sum(len(line) + 2 for line in fields) > limits.MAX_HEADER_SIZE
        or len(fields) > limits.MAX_HEADER_FIELDS
    )


STRICTER: dict[str, Callable[[LooseHead], bool]] = {
    # RFC 9112 section 2.2 lets a recipient take a single LF; two parsers that differ in it let requests be smuggled.
    "a line ends in something other than CRLF": has_bad_line_end,
    # RFC 9112 section 2.2 asks for one; llhttp tolerates any number.
    "more empty lines than a careless client sends": lambda head: len(head.blank) > limits.MAX_LEADING_BLANK,
    # llhttp skips repeated spaces, and takes HTTP/0.9.
    "the request line is not three words": lambda head: head.line is None,
    # h11 takes any digit; both leave the version to their caller.
    "another major version": lambda head: head.line is not None and head.version[0] != 1,
    # Both leave the target to their caller.
    "the target has none of the forms": has_bad_target,
    "the path has malformed percent-encoding or a NUL": lambda head: (
        re.search(rb"%(?![0-9A-Fa-f]{2})|%00", head.path) is not None
    ),
    "the target's authority is no host": lambda head: head.authority is not None and not is_host(head.authority),
    "CONNECT is for proxies": lambda head: head.method == b"CONNECT",
    # h11 folds lines, and takes control characters in values for the sake of old cookies.
    "a field line is malformed": lambda head: not all(map(FIELD_LINE.fullmatch, head.lines[1:])),
    "a control character": lambda head: re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head.text) is not None,
    # h11 asks for one field and does not look inside; llhttp does not ask.
    "Host is missing, repeated or no host": has_bad_host,
    # h11 ignores a Content-Length beside it, and takes it in HTTP/1.0; llhttp takes `gzip, chunked`, and 1.0.
    "Transfer-Encoding is not a lone `chunked` in HTTP/1.1": has_bad_transfer_encoding,
    # h11 takes equal repetitions; llhttp more digits than a count of bytes will ever have.
    "Content-Length is repeated or no count of bytes": has_bad_content_length,
    "an expectation that cannot be met": has_unknown_expectation,
    "a limit": exceeds_limits,
}

# llhttp knows methods by a list (its own, of HTTP); any token is a method in RFC 9110 section 9.1.
LLHTTP_METHODS = set(
    b"""
    ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY
    OPTIONS PATCH POST PRI PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SUBSCRIBE TRACE UNBIND UNLINK UNLOCK
    UNSUBSCRIBE
    """.split()
)

LAXER_THAN_LLHTTP: dict[str, Callable[[LooseHead], bool]] = {
    "a method that llhttp does not know": lambda head: head.method not in LLHTTP_METHODS,
    # RFC 9110 section 2.5: processed as the highest minor version known.
    "a minor version above 1": lambda head: head.version[0] == 1 and head.version[1] > 1,
    # RFC 9112 section 5: OWS is no part of the value; llhttp knows only SP there.
    "a tab after the transfer coding": lambda head: any(
        re.fullmatch(rb"transfer-encoding:.*\t *", line, re.IGNORECASE) for line in head.lines
    ),
}


def expected_environ(parsed: Parsed, head: LooseHead) -> dict[str, str]:
    """Build from an oracle's reading what the application must see of the target and the fields."""
    environ = {
        "REQUEST_METHOD": parsed.method.decode("latin-1"),
        "RAW_URI": parsed.target.decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(head.path).decode("latin-1"),
        "QUERY_STRING": parsed.target.partition(b"?")[2].decode("latin-1"),
    }
    for name, sent in parsed.fields:
        # h11 hands it on in lower case; only case can differ here.
        value = head.values(name)[0] if name == b"transfer-encoding" else sent
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key
        glue = "; " if key == "HTTP_COOKIE" else ","
        text = value.decode("latin-1")
        environ[key] = environ[key] + glue + text if key in environ else text
    if head.authority is not None:
        environ["HTTP_HOST"] = head.authority.decode("latin-1")
    return environ
