"""The corpus' notation and format: what can be written is read back, and a slip is an error, not another request."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import Case, CorpusError, Message, escape, load, load_file, unescape

CASES = load()


def load_text(folder: Path, text: str) -> list[Case]:
    path = folder / "topic.toml"
    path.write_text(text, encoding="ascii")
    return list(load_file(path))


def test_names_are_unique() -> None:
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))


def test_requests_are_unique() -> None:
    # Two names for the same bytes would be maintained, and run, for nothing.
    by_request: dict[bytes, str] = {}
    for case in CASES:
        assert by_request.setdefault(case.request, case.id) == case.id


def test_every_case_names_its_source() -> None:
    for case in CASES:
        assert any(word in case.source for word in ("RFC ", "PEP ", "limits.", "CVE-", "section", "(20")), case.id


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        (r"a\r\n\t\0\\", b"a\r\n\t\0\\"),
        (r"\x00\xfF\x20", b"\x00\xff "),
        ("a\nb\n", b"ab"),
        (" a\n b", b" a b"),
        (r"\{ab * 3}c", b"abababc"),
        (r"\{\r\n * 2}", b"\r\n\r\n"),
        (r"\{a\{b * 2}c * 2}", b"abbcabbc"),
        (r"{a * 3}", b"{a * 3}"),
        (r"\{a* 3 * 2}", b"a* 3a* 3"),
    ],
)
def test_unescape(text: str, data: bytes) -> None:
    assert unescape(text) == data


@pytest.mark.parametrize("text", [r"\q", r"\x1", "\\", "a ", "a \nb", "a\t", "\u00e9", "\x01", r"\{a", r"\{a*3}"])
def test_unescape_refuses(text: str) -> None:
    with pytest.raises(CorpusError):
        unescape(text)


@given(st.binary())
def test_escape_and_back(data: bytes) -> None:
    text = escape(data)
    assert "'" not in text
    assert unescape(text) == data


def test_case_of_one_message(tmp_path: Path) -> None:
    (case,) = load_text(
        tmp_path,
        r"""
        [templates]
        get = 'GET \{} HTTP/1.1'
        [[case]]
        name = "a"
        source = "RFC 1"
        request.get = '/\x41'
        environ = { A = "b" }
        absent = ["C"]
        body = '\r'
        keep_alive = false
        """,
    )
    message = Message(environ={"A": "b"}, absent=("C",), body=b"\r", keep_alive=False)
    assert case == Case("topic/a", "RFC 1", b"GET /A HTTP/1.1", (message,))


def test_case_of_several_messages(tmp_path: Path) -> None:
    (case,) = load_text(
        tmp_path,
        """
        [[case]]
        name = "a"
        source = "RFC 1"
        request = 'b'
        message = [{}, { body_status = 400 }, { status = 501 }]
        """,
    )
    assert case.messages == (
        Message(),
        Message(status=400, refused="body", keep_alive=False),
        Message(status=501, refused="head", keep_alive=False),
    )


@pytest.mark.parametrize(
    "line",
    [
        "statuss = 400",
        "status = 400\nbody_status = 400",
        "status = 400\nmessage = [{}]",
        "message = [{ name = 'b' }]",
        "body = '\\q'",
        "request.get = '/'",
    ],
)
def test_a_malformed_case_is_named(tmp_path: Path, line: str) -> None:
    request = "" if line.startswith("request") else "request = 'b'\n"
    with pytest.raises(CorpusError, match="topic/a: "):
        load_text(tmp_path, f"[[case]]\nname = 'a'\nsource = 'RFC 1'\n{request}{line}\n")
