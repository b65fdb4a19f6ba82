r"""Raw HTTP requests, each paired with what the server must make of it.

One TOML file holds one topic. A `[[case]]` has

    name        unique in its file
    source      the RFC section or the published research that the expectation rests on
    why         what goes wrong in a server that decides otherwise, where that is not plain
    request     the exact bytes, or `request.NAME = 'text'`: the file's template NAME, its `\{}` replaced by the text

and expects, unless it says otherwise, that the application runs, reads an empty body and the connection stays open:

    status          the answer to a head that is refused; the application does not run, the connection is closed
    body_status     the head is accepted, the answer when the application reads the malformed body; closed, too
    environ         keys and values that the application sees, among others
    absent          keys that it does not see
    body            what it reads
    keep_alive      false: the connection is closed after the answer
    expect_continue true: the peer waits for 100 (Continue) before it sends its body
    dropped         number of fields that are left out of the environ

A request that carries several messages has these keys once for each, in `[[case.message]]`.

Byte strings are TOML literal strings, so that no byte hides behind an editor: a line break in the file is not part of
the string, and the escapes are `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH` and `\{text * count}`, the text repeated. All else
is printable ASCII, and white space at the end of a line is an error.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
# Where a fuzz run leaves what it found, for somebody to understand and turn into a case.
FOUND = FOLDER / "found"

ESCAPE = re.compile(
    r"\\x(?P<hex>[0-9A-Fa-f]{2})|\\(?P<letter>[rnt0\\])|(?P<open>\\\{)|(?P<close> \* (?P<count>\d+)\})|[ -\[\]-~]"
)
LETTERS = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
HOLE = r"\{}"

CASE_KEYS = {"name", "source", "why", "request", "message"}
MESSAGE_KEYS = {"status", "body_status", "environ", "absent", "body", "keep_alive", "expect_continue", "dropped"}


class CorpusError(ValueError):
    """A corpus file breaks the format. The text names the file and the case."""


@dataclass(frozen=True)
class Message:
    """What one message must lead to. `status` is the answer's, `refused` says whether its head or body earns it."""

    status: int = 200
    refused: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    body: bytes = b""
    keep_alive: bool = True
    expect_continue: bool = False
    dropped: int = 0


@dataclass(frozen=True)
class Case:
    """One entry: bytes, where the expectation comes from, and the expectation for each message in them."""

    id: str
    source: str
    request: bytes
    messages: tuple[Message, ...]

    @property
    def topic(self) -> str:
        """The name of its file."""
        return self.id.partition("/")[0]


def unescape(text: str) -> bytes:
    """Turn the notation of this corpus into bytes. Raises CorpusError for an unknown escape or a stray character."""
    for line in text.split("\n"):
        if line != line.rstrip():
            raise CorpusError(f"white space at the end of {line!r}: write it as \\x20 or \\t")
    joined = text.replace("\n", "")
    open_groups = [bytearray()]
    position = 0
    while position < len(joined):
        match = ESCAPE.match(joined, position)
        if match is None:
            raise CorpusError(f"unknown escape or character at {joined[position : position + 10]!r}")
        position = match.end()
        if match["open"]:
            open_groups.append(bytearray())
        elif match["close"] and len(open_groups) > 1:
            repeated = open_groups.pop() * int(match["count"])
            open_groups[-1] += repeated
        else:
            open_groups[-1] += _byte(match)
    if len(open_groups) > 1:
        raise CorpusError(r"a \{ is not closed by ` * count}`")
    return bytes(open_groups[0])


def _byte(match: re.Match[str]) -> bytes:
    if match["hex"]:
        return bytes.fromhex(match["hex"])
    if match["letter"]:
        return LETTERS[match["letter"]]
    return match[0].encode("ascii")


def escape(data: bytes) -> str:
    r"""Write bytes in the notation of this corpus, with a line break after each \n. `unescape` reads them back."""
    letters = {byte[0]: f"\\{letter}" for letter, byte in LETTERS.items()}
    # Escaped as well: an apostrophe, which would end the TOML literal, and an asterisk, which could close a repetition.
    plain = {byte: chr(byte) for byte in range(0x20, 0x7F) if byte not in b"'*"} | letters
    text = "".join(plain.get(byte) or f"\\x{byte:02x}" for byte in data)
    return re.sub(r" (?=\n|\Z)", r"\\x20", text.replace(r"\n", "\\n\n"))


def load() -> list[Case]:
    """Return every case of every topic, in the order of the files. Raises CorpusError for a malformed file."""
    return [case for path in sorted(FOLDER.glob("*.toml")) for case in load_file(path)]


def load_file(path: Path) -> Iterator[Case]:
    """Yield the cases of one topic."""
    content = tomllib.loads(path.read_text(encoding="ascii"))
    templates = content.get("templates", {})
    for entry in content["case"]:
        id = f"{path.stem}/{entry.get('name')}"
        try:
            yield _case(id, entry, templates)
        except (KeyError, CorpusError) as problem:
            raise CorpusError(f"{id}: {problem}") from problem


def _case(id: str, entry: dict[str, Any], templates: dict[str, str]) -> Case:
    request = entry["request"]
    if isinstance(request, dict):
        ((name, text),) = request.items()
        request = templates[name].replace(HOLE, text)
    expectations = {key: value for key, value in entry.items() if key not in CASE_KEYS}
    messages = entry.get("message", [expectations])
    if messages != [expectations] and expectations:
        raise CorpusError(f"{sorted(expectations)} belong into the messages")
    return Case(id, entry["source"], unescape(request), tuple(_message(message) for message in messages))


def _message(entry: dict[str, Any]) -> Message:
    unknown = set(entry) - MESSAGE_KEYS
    if unknown or {"status", "body_status"} <= set(entry):
        raise CorpusError(f"unknown keys {sorted(unknown)}, or both status and body_status")
    values = dict(entry)
    values["refused"] = "head" if "status" in entry else "body" if "body_status" in entry else ""
    values["status"] = entry.get("status") or values.pop("body_status", 200)
    values["keep_alive"] = entry.get("keep_alive", not values["refused"])
    values["absent"] = tuple(entry.get("absent", ()))
    values["body"] = unescape(entry.get("body", ""))
    return Message(**values)
