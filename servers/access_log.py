"""The access log: one line for each request, in Apache's combined format or as JSON lines.

Whatever a peer sends stays inside its own field: combined lines escape every byte that could end a field or a line, and
JSON strings are escaped by JSON's rules.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from ..runtime.linewriter import lost_report

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MICROSECONDS: Final = 1e6
# The client of a connection through a Unix socket, whose REMOTE_ADDR is empty: as nginx writes it.
UNIX_PEER: Final = "unix:"

Format = Callable[[Mapping[str, Any], str, int, float, float, float], bytes]


def lost_object(count: int) -> bytes:
    """The JSON line that stands for lines that could not be written."""
    return b'{"lost":%d}\n' % count


# What a LineWriter says in each format about lines that it had to drop.
LOST_REPORTS: Final = {"combined": lost_report, "json": lost_object}


class AccessLog:
    r"""Formats requests and hands each line, with its newline, to `write`, which must not wait.

    `combined` has Apache's nine fields, the time being that of the request's arrival, and behind them two more: the
    times to the first byte and to the end of the response in microseconds, so that `%h %l %u %t "%r" %>s %b
    "%{Referer}i" "%{User-Agent}i" %{us}FB %D` describes it. Quotes, backslashes, control characters and bytes beyond
    ASCII are written as `\xhh`.

    `json` has one object a line: time (RFC 3339, UTC, milliseconds), client, method, path (decoded), query, protocol,
    status, bytes (of the body), ttfb and total (seconds), referer, user_agent; null for what is not known,
    such as the status where the client was gone before there was one (`-` in `combined`).
    """

    def __init__(
        self,
        format: Literal["combined", "json"],
        write: Callable[[bytes], object],
        reopen: Callable[[], object] | None = None,
    ) -> None:
        self._write = write
        self._reopen = reopen
        self._format: Format = CombinedFormat() if format == "combined" else JSONFormat()

    def record(
        self, environ: Mapping[str, Any], status: str, sent: int, started: float, first_byte: float, total: float
    ) -> None:
        """Log one request.

        `environ` may lack whatever was not parsed. `status` is such as "200 OK", `sent` the bytes of the body,
        `started` the time when the head arrived (seconds since the epoch), `first_byte` and `total` the seconds from
        there to the first byte sent and to the end.
        """
        self._write(self._format(environ, status, sent, started, first_byte, total))

    def reopen(self) -> None:
        """Have the file behind `write` opened anew, where there is one."""
        if self._reopen is not None:
            self._reopen()


class CombinedFormat:
    """Formats one request in the combined format; remembers the text of the last second."""

    def __init__(self) -> None:
        self._second = -1
        self._stamp = ""

    def __call__(
        self, environ: Mapping[str, Any], status: str, sent: int, started: float, first_byte: float, total: float
    ) -> bytes:
        """Return the line."""
        second = int(started)
        if second != self._second:
            self._stamp = format_local_time(second)
            self._second = second
        get = environ.get
        target = get("RAW_URI")
        request = "-" if target is None else f"{get('REQUEST_METHOD')} {target} {get('SERVER_PROTOCOL')}"
        user = get("REMOTE_USER")
        client = get("REMOTE_ADDR", "-") or UNIX_PEER
        return (
            f"{client} - {escape_word(user) if user else '-'} [{self._stamp}] "
            f'"{escape(request)}" {status[:3]} {sent or "-"} '
            f'"{escape(get("HTTP_REFERER") or "-")}" "{escape(get("HTTP_USER_AGENT") or "-")}" '
            f"{first_byte * MICROSECONDS:.0f} {total * MICROSECONDS:.0f}\n"
        ).encode("ascii", "backslashreplace")


class JSONFormat:
    """Formats one request as a JSON object; remembers the text of the last second."""

    def __init__(self) -> None:
        self._second = -1
        self._stamp = ""
        self._encode = json.JSONEncoder(separators=(",", ":"), default=str).encode

    def __call__(
        self, environ: Mapping[str, Any], status: str, sent: int, started: float, first_byte: float, total: float
    ) -> bytes:
        """Return the line."""
        second = int(started)
        if second != self._second:
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        get = environ.get
        path = get("PATH_INFO")
        line = {
            "time": f"{self._stamp}.{int((started - second) * 1000):03d}Z",
            "client": UNIX_PEER if (client := get("REMOTE_ADDR")) == "" else client,
            "method": get("REQUEST_METHOD"),
            "path": None if path is None else decode(f"{get('SCRIPT_NAME') or ''}{path}"),
            "query": get("QUERY_STRING"),
            "protocol": get("SERVER_PROTOCOL"),
            "status": int(status[:3]) if status[:3].isdecimal() else None,
            "bytes": sent,
            "ttfb": round(first_byte, 6),
            "total": round(total, 6),
            "referer": decode(get("HTTP_REFERER")),
            "user_agent": decode(get("HTTP_USER_AGENT")),
        }
        return self._encode(line).encode("ascii") + b"\n"


def format_local_time(second: int) -> str:
    """Write a time as Apache does, `10/Oct/2000:13:55:36 -0700`, in any locale."""
    local = time.localtime(second)
    return time.strftime(f"%d/{MONTHS[local.tm_mon - 1]}/%Y:%H:%M:%S %z", local)


def escape(value: object) -> str:
    r"""Write as `\xhh` what could end a quoted field or a line, and everything that is not printable ASCII."""
    text = value if type(value) is str else str(value)  # an application may have put anything into its environ
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(char if char in SAFE else escape_char(char) for char in text)


def escape_char(char: str) -> str:
    """Write the bytes of a character, which are its UTF-8 form if it did not come from the wire (PEP 3333: latin-1)."""
    encoded = char.encode("latin-1") if char <= "\xff" else char.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in encoded)


def escape_word(value: object) -> str:
    """Escape a field that stands without quotes, where a space would end it too."""
    return escape(value).replace(" ", "\\x20")


def decode(value: object) -> object:
    """Read a text as the UTF-8 that it nearly always is; environ strings are latin-1 (PEP 3333).

    Bytes that are not UTF-8 become U+FFFD. What no wire has brought stays as the application left it.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return value


SAFE: Final = frozenset(chr(code) for code in range(0x20, 0x7F)) - {'"', "\\"}
