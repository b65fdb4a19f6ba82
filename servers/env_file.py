"""Files of environment variables: what all of their many dialects agree on, and errors for the rest.

python-dotenv reads more (it expands `$NAME`, and values of several lines) and passes over what it cannot read with a
warning; a server that starts without its database's password is worse than one that says which line is wrong.

A line is empty, a comment that begins with `#`, or `NAME=VALUE`, which `export` may precede. A value in single quotes
is taken as it stands; in double quotes a backslash makes `\\n`, `\\t`, `\\"`, `\\\\` and `\\$`; a bare one ends at
` #` or at the line's end, without the white space around it. `$` means nothing anywhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
LINE = re.compile(
    r"""(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<bare>[^'"\s#](?:[^#]|(?<![ \t])\#)*)?)
    [ \t]*(?:(?<=[ \t=])\#.*)?""",
    re.VERBOSE,
)
ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
FORMS: Final = "write NAME=VALUE, NAME='VALUE' or NAME=\"VALUE\""


def read_env_file(path: str) -> dict[str, str]:
    """Read the variables of a file. Raises OSError, or ValueError with the number of the line and what is wrong."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: {error.reason} at byte {error.start}") from None
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            try:
                name, value = parse_line(stripped)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            variables[name] = value
    return variables


def parse_line(line: str) -> tuple[str, str]:
    """Read one `NAME=VALUE`. Raises ValueError, which never quotes the value."""
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"cannot be understood; {FORMS}")
    if match["double"] is not None:
        value = re.sub(r"\\(.)", lambda escape: unescape(escape[1]), match["double"])
    else:
        value = match["single"] if match["single"] is not None else (match["bare"] or "").rstrip()
    if "\0" in value:
        raise ValueError("the value has a NUL, which no variable can have")
    return match["name"], value


def unescape(char: str) -> str:
    """What a backslash and a character stand for. Raises ValueError."""
    if char not in ESCAPES:
        raise ValueError(f"\\{char} means nothing; in double quotes write \\\\ for a backslash, or use single quotes")
    return ESCAPES[char]


def parse_assignment(text: str) -> tuple[str, str]:
    """Read the `NAME=VALUE` of an option, whose value is taken as it stands. Raises ValueError."""
    name, equals, value = text.partition("=")
    if not equals or NAME.fullmatch(name) is None:
        raise ValueError("must be NAME=VALUE, the name of letters, digits and underscores")
    if "\0" in value:
        raise ValueError("the value has a NUL, which no variable can have")
    return name, value
