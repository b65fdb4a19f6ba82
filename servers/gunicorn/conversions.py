"""How values of gunicorn's settings become values of hublet's. A text is read as gunicorn's command line reads it.

Each function returns hublet's settings by name. What cannot be read raises ValueError with the rule.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

from ...runtime import limits

Converted = dict[str, Any]
Convert = Callable[[Any], Converted]

# gunicorn's own bounds, where none is set or one beyond them (gunicorn/http/message.py).
GUNICORN_LINE: Final = 8190
GUNICORN_FIELD: Final = 8190
GUNICORN_FIELDS: Final = 32768
# gunicorn's "no limit" for the request line, and what its own parser makes of it.
UNLIMITED_LINE: Final = limits.MIB
# gunicorn counts a field with its line end, hublet without.
LINE_END: Final = 2
# gunicorn bounds no header section. This many fields of the greatest size are more than a browser sends.
GREAT_FIELDS: Final = 8
DEFAULT_PORT: Final = "8000"
CERTIFICATES: Final = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "required"}


def renamed(setting: str, read: Callable[[Any], Any]) -> Convert:
    """The same value under another name."""
    return lambda value: {setting: read(value)}


def whole(value: Any) -> int:
    """Read a whole number."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ValueError("must be a whole number") from None


def seconds(value: Any) -> float:
    """Read a time."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("must be a number of seconds") from None


def text(value: Any) -> str:
    """Read a text, a path or None."""
    return "" if value is None else str(os.fspath(value))


def switch(value: Any) -> bool:
    """Read a switch."""
    return value.strip().lower() in ("true", "1", "yes", "on") if isinstance(value, str) else bool(value)


def words(value: Any) -> tuple[str, ...]:
    """Read a list, or a text with commas."""
    parts: Iterable[Any] = value.split(",") if isinstance(value, str) else value or ()
    return tuple(each for each in (str(part).strip() for part in parts) if each)


def assignments(value: Any) -> tuple[str, ...]:
    """Read variables: a list, or one assignment, whose value may hold commas."""
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def name_or_number(value: Any) -> str:
    """Read a user or a group."""
    return "" if value is None else str(value)


def addresses(value: Any) -> Converted:
    """`bind`: gunicorn takes unix:path, unix://path, tcp://host:port, and a host without a port."""
    return {"bind": tuple(map(address, words(value)))}


def address(written: str) -> str:
    """One address as hublet writes it."""
    match = re.fullmatch(r"unix:(?://)?(.+)", written)
    if match is not None:
        return f"unix:{match[1]}"
    if written.startswith("fd://"):
        return written
    written = written.removeprefix("tcp://")
    return written if ":" in written.rpartition("]")[2] else f"{written}:{DEFAULT_PORT}"


def mode(value: Any) -> str:
    """`umask`: a number, or a text that gunicorn reads as Python does, an old octal `022` included."""
    try:
        number = int(value, 8 if re.fullmatch("0[0-7]+", value) else 0) if isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        raise ValueError("must be a number such as 0o27") from None
    return f"{number:03o}"


def trusted(value: Any) -> Converted:
    """`forwarded_allow_ips`; gunicorn trusts every peer on a Unix socket besides."""
    listed = words(value)
    return {"trusted_proxies": listed if "*" in listed else (*listed, "unix")}


def request_line(value: Any) -> Converted:
    """`limit_request_line`: 0 is no limit, and what is out of its range is the greatest one."""
    size = whole(value)
    if size == 0:
        return {"max_request_line": UNLIMITED_LINE}
    return {"max_request_line": GUNICORN_LINE if size < 0 else min(size, GUNICORN_LINE)}


def fields(value: Any) -> Converted:
    """`limit_request_fields`."""
    count = whole(value)
    return {"max_header_fields": count if 0 < count <= GUNICORN_FIELDS else GUNICORN_FIELDS}


def field_size(value: Any) -> Converted:
    """`limit_request_field_size`; the section has to have room for such fields."""
    size = whole(value)
    size = GUNICORN_FIELD if size <= 0 else size
    return {
        "max_field_size": max(size - LINE_END, 1),
        "max_header_size": max(limits.MAX_HEADER_SIZE, GREAT_FIELDS * size),
    }


def access_log(value: Any) -> Converted:
    """`accesslog`: a file, - for standard output, None for none."""
    return {"access_log": "combined", "access_log_file": text(value)} if value else {}


def level(value: Any) -> Converted:
    """`loglevel`; hublet has nothing that is worse than an error."""
    name = str(value).strip().lower()
    return {"log_level": "error" if name == "critical" else name}


def client_certificates(value: Any) -> Converted:
    """`cert_reqs`: a member of ssl.VerifyMode, or its number."""
    try:
        return {"client_certificates": CERTIFICATES[ssl.VerifyMode(whole(value))]}
    except ValueError:
        raise ValueError("must be one of ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED") from None
