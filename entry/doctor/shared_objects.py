"""Suspects libraries that nobody has described: compiled code which asks the system for sockets without Python.

Every loaded shared object says in its dynamic symbol table which functions of others it calls (ELF, System V ABI,
chapter 5). One that calls `connect`, `recv`, `poll` or `getaddrinfo` waits in them, and the hub with it. It is a guess:
who only has such a call may never make it, and a driver that is loaded at its first connection (ODBC) is not there yet.
"""

from __future__ import annotations

import os
import struct
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAPS: Final = "/proc/self/maps"
WAITING: Final = frozenset({b"connect", b"getaddrinfo", b"gethostbyname", b"poll", b"recv", b"recvfrom", b"recvmsg"})
#: What has such symbols and does not wait in them: hashes, runtimes, a parser; and those whose business the hub is.
HARMLESS: Final = (
    "libcrypto",
    "libssl",
    "libstdc++",
    "libuuid",
    "hiredis",
    "libpython",
    "libc.",
    "libc-",
    "_rust.abi3",
)
OWN: Final = frozenset({"gevent", "greenlet", "hublet", "cryptography", "hiredis", "uvloop"})
BUNDLED: Final = ".libs/"
SITE: Final = ("/site-packages/", "/dist-packages/")

DYNAMIC, DYNAMIC_SYMBOLS = 6, 11  # section types
NEEDED: Final = 1
# 64 bit: section headers (name, type, flags, addr, offset, size, link, ...), symbols (name, info, other, shndx, ...).
SECTION, SYMBOL, ENTRY = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ"), struct.Struct("<qQ")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A package in site-packages, one of whose shared objects, or of those that it needs, waits by itself."""

    package: str
    file: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedObject:
    """A loaded file: the names of the objects that it needs, and of the functions that it waits in."""

    path: str
    needed: frozenset[str]
    waits: tuple[str, ...]

    @property
    def package(self) -> str:
        """The package in site-packages that it belongs to, or empty. Wheels keep libraries in `name.libs`."""
        for site in SITE:
            _, found, rest = self.path.rpartition(site)
            if found:
                first = rest.partition("/")[0]
                return first.removesuffix(".libs") if "/" in rest else first.partition(".")[0]
        return ""


def find_suspects() -> list[Suspect]:
    """The packages whose compiled code waits by itself; none where the system does not tell what is loaded."""
    objects = {os.path.basename(path): read_shared_object(path) for path in loaded_files()}
    return suspects_among({name: each for name, each in objects.items() if each is not None})


def suspects_among(objects: Mapping[str, SharedObject]) -> list[Suspect]:
    """Those of the objects' packages that wait; a library of the system is put down to the package that needs it."""
    found: dict[str, Suspect] = {}
    reached: set[str] = set()
    own = [each for each in objects.values() if each.package]
    # Extension modules first: a library that a wheel brings in `name.libs` is put down to the one that needs it.
    for extension in sorted(own, key=lambda each: (BUNDLED in each.path, each.path)):
        if extension.package in OWN or extension.path in reached:
            continue
        for each in with_needed(extension, objects):
            reached.add(each.path)
            if each.waits and not os.path.basename(each.path).startswith(HARMLESS):
                found.setdefault(extension.package, Suspect(extension.package, os.path.basename(each.path), each.waits))
    return sorted(found.values(), key=lambda each: each.package)


def with_needed(start: SharedObject, objects: Mapping[str, SharedObject]) -> Iterator[SharedObject]:
    """An object and all that it needs, as far as they are loaded."""
    seen = {start.path}
    todo = [start]
    while todo:
        each = todo.pop(0)
        yield each
        for name in sorted(each.needed):
            other = objects.get(name)
            if other is not None and other.path not in seen and not name.startswith(HARMLESS):
                seen.add(other.path)
                todo.append(other)


def loaded_files() -> list[str]:
    """The shared objects in this process's memory, without those of Python itself."""
    try:
        lines = Path(MAPS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    paths = {line.split(None, 5)[5] for line in lines if line.count(" ") and len(line.split(None, 5)) == 6}
    standard = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")
    return sorted(each for each in paths if ".so" in os.path.basename(each) and not each.startswith(standard))


def read_shared_object(path: str) -> SharedObject | None:
    """Read a file's dynamic section and symbols; None if it is no 64-bit little-endian ELF file."""
    try:
        data = Path(path).read_bytes()
    except OSError:
        return None
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    try:
        sections = list(read_sections(data))
        needed: set[str] = set()
        waits: set[bytes] = set()
        for kind, offset, size, link in sections:
            if kind == DYNAMIC:
                names = text_section(data, sections, link)
                entries = ENTRY.iter_unpack(data[offset : offset + size])
                needed |= {text_at(names, value).decode() for tag, value in entries if tag == NEEDED}
            elif kind == DYNAMIC_SYMBOLS:
                names = text_section(data, sections, link)
                waits |= undefined(SYMBOL.iter_unpack(data[offset : offset + size]), names) & WAITING
    except (struct.error, IndexError, ValueError):
        return None
    return SharedObject(path, frozenset(needed), tuple(sorted(each.decode() for each in waits)))


def read_sections(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (type, offset, size, link) of each section."""
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    for number in range(count):
        _, kind, _, _, offset, length, link, *_ = SECTION.unpack_from(data, start + number * size)
        yield kind, offset, length, link


def undefined(symbols: Iterable[tuple[int, ...]], names: bytes) -> set[bytes]:
    """The names that an object takes from others."""
    return {text_at(names, name) for name, _, _, section, _, _ in symbols if section == 0 and name}


def text_section(data: bytes, sections: list[tuple[int, int, int, int]], number: int) -> bytes:
    """The string table of a section."""
    _, offset, size, _ = sections[number]
    return data[offset : offset + size]


def text_at(names: bytes, offset: int) -> bytes:
    """One name of a string table."""
    return names[offset : names.index(b"\0", offset)]
