"""Changes to byte strings that parsers of HTTP/1.1 are likely to stumble over. No state: the random generator decides.

The same mutations serve the fuzz target, with `random.Random(seed)`, and the property tests, with Hypothesis' own
generator, which shrinks what it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.corpus import unescape


def words(text: str) -> list[bytes]:
    """Read words of the corpus' notation, which have white space between them."""
    return [unescape(word) for word in text.split()]


# What has a meaning somewhere in a request, whole or in part, or has one to a parser that is not strict.
DICTIONARY = words(r"""
    \0 \t \n \x0b \x0c \r \x1c \x20 " # % , - / 0 : ; ? @ [ \\ ] _ { } \x7f \x80 \x85 \xa0 \xff
    \r\n \n\n \r\r\n \r\n\r \r\n\r\n \r\n\x20 \r\n\t \x20\x20 :\x20 \x20: ,\x20 %00 %2
    GET\x20 POST\x20 OPTIONS\x20*\x20 CONNECT\x20 PRI\x20 get\x20 \x20/ \x20* \x20http:// http://a // ?#
    \x20HTTP/1.1 \x20HTTP/1.0 \x20HTTP/1.2 \x20HTTP/2.0 \x20HTTP/0.9 \x20HTTP/1. \x20http/1.1 HTTP/
    Host:a\r\n Host:\r\n host\x20:a\r\n Host:a:70000\r\n Host:[::1]\r\n Host:a@b\r\n
    Content-Length:5\r\n Content-Length:+5\r\n Content-Length:5,5\r\n Content_Length:5\r\n
    Transfer-Encoding:chunked\r\n Transfer-Encoding:gzip\r\n transfer-encoding:\tchunked\r\n
    Connection:close\r\n Connection:keep-alive,Upgrade\r\n Upgrade:websocket\r\n Expect:100-continue\r\n
    Cookie:a=b\r\n X-A:b\r\n X_A:b\r\n \x20folded\r\n 0\r\n\r\n 5\r\nhello\r\n 0;a="b"\r\n 0x5
    18446744073709551616 9223372036854775807 ffffffffffffffff 4000000000000000 00000000000000000
""")


def replace_byte(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] = random.randrange(256)


def flip_bit(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def insert_word(data: bytearray, random: Random) -> None:
    place = random.randrange(len(data) + 1)
    data[place:place] = random.choice(DICTIONARY)


def replace_by_word(data: bytearray, random: Random) -> None:
    place = random.randrange(len(data))
    data[place : place + random.randrange(1, 5)] = random.choice(DICTIONARY)


def delete_range(data: bytearray, random: Random) -> None:
    place = random.randrange(len(data))
    del data[place : place + random.randrange(1, 9)]


def repeat_range(data: bytearray, random: Random) -> None:
    place = random.randrange(len(data))
    part = data[place : place + random.randrange(1, 17)]
    data[place:place] = part * random.randrange(1, 4)


def swap_case(data: bytearray, random: Random) -> None:
    place = random.randrange(len(data))
    data[place : place + 8] = data[place : place + 8].swapcase()


def insert_line(data: bytearray, random: Random) -> None:
    """Insert a word that is a line, where a line starts."""
    lines = bytes(data).split(b"\r\n")
    lines.insert(random.randrange(len(lines)), random.choice(DICTIONARY).removesuffix(b"\r\n"))
    data[:] = b"\r\n".join(lines)


def repeat_line(data: bytearray, random: Random) -> None:
    lines = bytes(data).split(b"\r\n")
    lines.insert(random.randrange(len(lines)), random.choice(lines))
    data[:] = b"\r\n".join(lines)


def delete_line(data: bytearray, random: Random) -> None:
    lines = bytes(data).split(b"\r\n")
    del lines[random.randrange(len(lines))]
    data[:] = b"\r\n".join(lines)


CHANGES: list[Callable[[bytearray, Random], None]] = [
    replace_byte,
    flip_bit,
    insert_word,
    replace_by_word,
    delete_range,
    repeat_range,
    swap_case,
    insert_line,
    repeat_line,
    delete_line,
]


def mutate(data: bytes, random: Random, most: int = 4) -> bytes:
    """Apply one to `most` changes."""
    changed = bytearray(data)
    for _ in range(random.randrange(1, most + 1)):
        if not changed:
            break
        random.choice(CHANGES)(changed, random)
    return bytes(changed)


def splice(seeds: Sequence[bytes], random: Random) -> bytes:
    """Return the start of one of `seeds` with the end of another, cut at line ends more often than not."""
    first, second = random.choice(seeds), random.choice(seeds)
    if random.randrange(4):
        head, tail = first.split(b"\r\n"), second.split(b"\r\n")
        return b"\r\n".join(head[: random.randrange(1, len(head) + 1)] + tail[random.randrange(len(tail)) :])
    return first[: random.randrange(len(first) + 1)] + second[random.randrange(len(second) + 1) :]
