"""Files of variables: what is read, and which line is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hublet.servers.env_file import parse_assignment, parse_line, read_env_file


@pytest.mark.parametrize(
    "line, value",
    [
        ("A=", ""),
        ("A=b", "b"),
        ("A = b", "b"),
        ("export A=b", "b"),
        ("A=b c", "b c"),
        ("A=b # c", "b"),
        ("A=b#c", "b#c"),
        ("A= # c", ""),
        ("A=b=c", "b=c"),
        ("A=it's", "it's"),
        ("A=$HOME/${X}", "$HOME/${X}"),
        ("A='b # \\n \"c\"'", 'b # \\n "c"'),
        ("A='b' # c", "b"),
        ('A="b # c"', "b # c"),
        (r'A="a\nb\t\"\\\$"', 'a\nb\t"\\$'),
        ('A=""', ""),
        ("A=ü", "ü"),
        ("A=postgres://u:p@h/db?x=1#frag", "postgres://u:p@h/db?x=1#frag"),
    ],
)
def test_lines(line: str, value: str) -> None:
    assert parse_line(line) == ("A", value)


@pytest.mark.parametrize("line", ["A", "=b", "1A=b", "A-B=c", "A='b", 'A="b', "A='b'c", 'A="b" c', "export", "A B=c"])
def test_what_is_no_line(line: str) -> None:
    with pytest.raises(ValueError, match="cannot be understood; write NAME=VALUE"):
        parse_line(line)


def test_an_escape_that_means_nothing() -> None:
    with pytest.raises(ValueError, match=r"\\x means nothing"):
        parse_line(r'A="\x"')


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes("\ufeff# the shop\r\n\r\nA=1\r\n  export B='2'\nA=3\n".encode())
    assert read_env_file(str(path)) == {"A": "3", "B": "2"}


@pytest.mark.parametrize(
    "content, words",
    [
        (b"A=1\nSECRET-NAME=hush\n", "line 2: cannot"),
        (b"A=\xff\n", "is not UTF-8"),
        (b"A=x\0y\n", "line 1: the value has a NUL"),
    ],
)
def test_a_broken_file_names_the_line_and_no_value(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_env_file(str(path))
    assert "hush" not in str(caught.value)


def test_assignments() -> None:
    assert parse_assignment("A='b' # c") == ("A", "'b' # c")
    assert parse_assignment("A=") == ("A", "")
    for text in ("A", "=b", "1=b", "A B=c", "A=x\0"):
        with pytest.raises(ValueError, match="NAME=VALUE|NUL"):
            parse_assignment(text)
