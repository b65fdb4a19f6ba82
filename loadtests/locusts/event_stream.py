"""Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).

Bytes in, events out. A line ends with CR LF, LF or CR. An empty line ends an event, which counts if it has a `data`
field: comments (lines that begin with a colon), and blocks with nothing but `id`, `event` or `retry`, are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MOST_BYTES: Final = 16 * 2**20


class EventTooLong(ValueError):
    """An event, or a line, of more than MOST_BYTES."""

    def __init__(self) -> None:
        super().__init__(f"an event is longer than {MOST_BYTES} bytes")


class EventStream:
    """The state of one stream."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._length = 0
        self._after_cr = False
        self._is_first = True

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next bytes of the stream; yields the data of each event that they end. Raises EventTooLong."""
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr |= piece.endswith(b"\r")
        *lines, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for end in lines:
            line, self._line = bytes(self._line) + end, bytearray()
            yield from self._take(line)
        self._line += rest
        if self._length + len(self._line) > MOST_BYTES:
            raise EventTooLong

    def _take(self, line: bytes) -> Iterator[bytes]:
        if self._is_first:
            line, self._is_first = line.removeprefix(BYTE_ORDER_MARK), False
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
                self._length += len(value)
                if self._length > MOST_BYTES:
                    raise EventTooLong
            return
        data, self._data, self._length = self._data, [], 0
        if data:
            yield b"\n".join(data)
