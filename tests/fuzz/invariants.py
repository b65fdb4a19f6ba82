"""What must hold of the head parser and the chunked decoder for any bytes whatever. Each check raises AssertionError.

An invariant needs no opinion on whether the bytes are good: that is what the corpus and the oracles are for. The text
of an assertion names the invariant up to its first colon; search.py counts on it.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

from tests.servers.http1.verdicts import (
    BASE_ENVIRON,
    UNBOUNDED,
    Accepted,
    Body,
    Refused,
    new_parser,
    read_chunked,
    read_head,
)

STATUSES = {400, 414, 417, 431, 501, 505}
# What a head adds to the environ that comes from no field.
REQUEST_KEYS = {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "SERVER_PROTOCOL"}
# RFC 3875 section 4.1.18: the only fields without the prefix.
BARE_KEYS = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}


def random_limits(random: Random) -> dict[str, int]:
    """Limits for the parser: the defaults, or ones that the corpus runs into."""
    if random.randrange(3):
        return {}
    return {
        "max_request_line": random.randrange(64, 100),
        "max_header_size": random.randrange(64, 200),
        "max_header_fields": random.randrange(1, 6),
    }


def check_head(data: bytes, random: Random) -> Accepted | Refused | None:
    """Check the verdict on the head at the start of `data`, and return it."""
    limits = random_limits(random)
    parser = new_parser(**limits)
    verdict = read_head(data, parser)
    assert read_head(data, parser) == verdict, "the second verdict differs from the first"
    if isinstance(verdict, Accepted):
        check_accepted_head(data, verdict)
    elif isinstance(verdict, Refused):
        assert verdict.status in STATUSES, f"an odd status: {verdict.status}"
    size = verdict.size if isinstance(verdict, Accepted) else len(data)
    for length in {0, size - 1, *(random.randrange(size + 1) for _ in range(4))}:
        if length < size:
            early = read_head(data[: max(length, 0)], parser)
            allowed = (None, verdict) if isinstance(verdict, Refused) else (None,)
            assert early in allowed, f"the verdict depends on the cut: {early} at {length}, then {verdict}"
    assert read_head(data[:size], parser) == verdict, "bytes behind the head change the verdict"
    return verdict


def check_accepted_head(data: bytes, head: Accepted) -> None:
    """Check what is known of every head that is served."""
    assert 0 < head.size <= len(data), f"an impossible size: {head.size} of {len(data)}"
    assert data[: head.size].endswith(b"\r\n\r\n"), "the head does not end in an empty line"
    assert not (head.chunked and (head.content_length >= 0 or head.minor == 0)), "ambiguous framing"
    assert int(head.environ.get("CONTENT_LENGTH", -1)) == head.content_length, "the application sees another length"
    assert BASE_ENVIRON.items() <= head.environ.items(), "the listener's part of the environ was changed"
    check_environ({key: value for key, value in head.environ.items() if key not in BASE_ENVIRON})
    again = read_head(serialise(head))
    assert isinstance(again, Accepted), f"written again, it is not accepted: {again}"
    assert facts(again) == facts(head), f"written again, it is another head: {again}"


def facts(head: Accepted) -> dict[str, Any]:
    """Everything about a head that survives writing it again."""
    known = vars(head) | {"size": 0}
    # `a; ` joins two cookies of which the second is empty; its space is lost as white space around a value.
    return known | {"environ": {key: str(value).strip(" \t") for key, value in head.environ.items()}}


def check_environ(added: dict[str, object]) -> None:
    """Check the keys and values that a head has added to the environ."""
    assert added.keys() >= REQUEST_KEYS
    for key, value in added.items():
        assert type(key) is str, f"a key is not text: {key!r}"
        assert type(value) is str, f"a value is not text: {key} {value!r}"
        if key in REQUEST_KEYS:
            # A path may hold line breaks, percent-encoded on the wire; nothing may hold NUL.
            assert "\0" not in value, f"NUL in the environ: {key}"
            continue
        assert key in BARE_KEYS or key.startswith("HTTP_"), f"a field without prefix: {key}"
        assert key.removeprefix("HTTP_") not in BARE_KEYS or key in BARE_KEYS, f"a field with prefix: {key}"
        assert key == key.upper().replace("-", "_"), f"an odd key: {key}"
        assert not set(value) & set("\r\n\0"), f"a control character in a value: {key} {value!r}"
        assert max(value, default="") <= "\xff", f"a value is not latin-1: {key} {value!r}"


def serialise(head: Accepted) -> bytes:
    """Write an accepted head again from what the application sees of it."""
    environ = head.environ
    lines = [f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"]
    for key, value in environ.items():
        if key in BARE_KEYS:
            lines.append(f"{BARE_KEYS[key]}:{value}")
        elif key.startswith("HTTP_"):
            lines.append(f"{key[5:].replace('_', '-').title()}:{value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def check_chunked(data: bytes, random: Random) -> Body | Refused:
    """Check the verdict on the chunked body at the start of `data`, and return it."""
    verdict = read_chunked([data])
    if isinstance(verdict, Refused):
        assert verdict.status == 400, f"an odd status: {verdict.status}"
    else:
        assert verdict.consumed == len(data) or verdict.finished, "bytes left over, yet not finished"
        assert len(verdict.payload) <= verdict.consumed, "more payload than bytes"
    room = random.choice([1, 3, UNBOUNDED])
    in_pieces = read_chunked(cut(data, random), room)
    assert in_pieces == verdict, f"the verdict depends on the cut: {in_pieces} in pieces, {verdict} whole"
    if isinstance(verdict, Body) and verdict.finished:
        again = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cut(verdict.payload, random) if part)
        assert read_chunked([again + b"0\r\n\r\n"]) == Body(verdict.payload, len(again) + 5, True)
    return verdict


def cut(data: bytes, random: Random) -> list[bytes]:
    """Cut `data` at a few random places."""
    places = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(random.randrange(6)))})
    return [data[start:end] for start, end in pairwise(places)]
