"""Server-sent events as the standard has them, in pieces of every size."""

from __future__ import annotations

import pytest
from hublet.loadtest.event_stream import MOST_BYTES, EventStream, EventTooLong

CASES = {
    "one": (b"data: a\n\n", [b"a"]),
    "two lines of data": (b"data: a\ndata:b\n\n", [b"a\nb"]),
    "CR LF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "CR": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed": (b"data: a\r\n\ndata: b\r\n\rdata: c\n\r\n", [b"a", b"b", b"c"]),
    "comments are no events": (b": ping\n\n:\n\ndata: a\n: within\ndata: b\n\n: ping\n\n", [b"a\nb"]),
    "fields without data are no events": (b"id: 7\n\nretry: 10\n\nevent: x\n\ndata: a\nid: 8\n\n", [b"a"]),
    "empty data is an event": (b"data\n\ndata:\n\n", [b"", b""]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "one that does not end": (b"data: a\n\ndata: b\n", [b"a"]),
    "one space only": (b"data:  a\n\n", [b" a"]),
    "another field": (b"database: a\n\n", []),
}


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("name", CASES)
def test_events(name: str, size: int) -> None:
    text, events = CASES[name]
    stream = EventStream()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert [event for piece in pieces for event in stream.feed(piece)] == events


@pytest.mark.parametrize("more, is_too_long", [(-1, False), (0, False), (1, True)])
def test_an_event_of_many_lines_is_bounded(more: int, is_too_long: bool) -> None:
    stream = EventStream()
    half = b"x" * (MOST_BYTES // 2)
    pieces = [b"data:" + half + b"\n", b"data:" + half[: len(half) + min(more, 0)] + b"x" * max(more, 0) + b"\n", b"\n"]
    if is_too_long:
        with pytest.raises(EventTooLong):
            [event for piece in pieces for event in stream.feed(piece)]
    else:
        assert [len(event) for piece in pieces for event in stream.feed(piece)] == [MOST_BYTES + more + 1]


@pytest.mark.parametrize("length, is_too_long", [(MOST_BYTES, False), (MOST_BYTES + 1, True)])
def test_a_line_without_an_end_is_bounded(length: int, is_too_long: bool) -> None:
    stream = EventStream()
    try:
        list(stream.feed(b":" * length))
        raised = False
    except EventTooLong:
        raised = True
    assert raised == is_too_long
