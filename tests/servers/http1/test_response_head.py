"""The response head: what `start_response` accepts and refuses, and the fields that the server adds."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.conftest import Serving
from tests.servers.http1.apps import answering

FORBIDDEN_HEADS: list[tuple[Any, Any]] = [
    ("200 O\rK", []), ("200 O\nK", []), ("200 O\r\nX: y", []), ("200 O\0K", []), ("200 \u0100", []),
    ("200", []), ("200OK", []), ("2000 OK", []), ("abc OK", []), ("", []), (b"200 OK", []), (200, []), ("000 Zero", []),
    ("200 OK", [("X Y", "v")]), ("200 OK", [("X\r\nY", "v")]), ("200 OK", [("X:", "v")]), ("200 OK", [("", "v")]),
    ("200 OK", [("X-\u0100", "v")]), ("200 OK", [("X-\xe9", "v")]),
    ("200 OK", [("X", "a\r\nSet-Cookie: b")]), ("200 OK", [("X", "a\nb")]), ("200 OK", [("X", "a\rb")]),
    ("200 OK", [("X", "a\0b")]), ("200 OK", [("X", "a\x7fb")]), ("200 OK", [("X", "\u0100")]),
    ("200 OK", [("X", b"v")]), ("200 OK", [(b"X", "v")]), ("200 OK", [("X", 1)]), ("200 OK", [("X", None)]),
    ("200 OK", (("X", "v"),)), ("200 OK", None), ("200 OK", [["X", "v"]]), ("200 OK", [("X",)]), ("200 OK", ["X: v"]),
    ("200 OK", [("Content-Length", "-1")]), ("200 OK", [("Content-Length", "1, 1")]),
    ("200 OK", [("Content-Length", "")]), ("200 OK", [("Content-Length", "9" * 19)]),
    ("200 OK", [("Content-Length", "1"), ("content-length", "1")]),
]  # fmt: skip


@pytest.mark.parametrize("status, headers", FORBIDDEN_HEADS, ids=repr)
def test_a_forbidden_head_is_an_error_that_the_log_names(serve: Serving, status: Any, headers: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, headers)
        return [b"hello"]

    served = serve(app)
    client = served.connect()
    response = client.get("/path")
    assert (response.status, response["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert "Set-Cookie" not in response
    assert "GET /path from 127.0.0.1:" in served.log
    culprit = status if (status, headers) == (status, []) else headers[0] if isinstance(headers, list) else headers
    assert repr(culprit) in served.log or repr(culprit[0])[1:-1] in served.log or "headers must be a list" in served.log
    assert client.get().status == 500


HOP_BY_HOP = ["Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer", "Trailers",
              "Transfer-Encoding", "Upgrade"]  # fmt: skip


@pytest.mark.parametrize("name", HOP_BY_HOP + [name.lower() for name in HOP_BY_HOP])
def test_hop_by_hop_fields_belong_to_the_server(serve: Serving, name: str) -> None:
    served = serve(answering(lambda: [b"hello"], "200 OK", (name, "close")))
    assert served.get().status == 500
    assert f"{name}: hop-by-hop" in served.log


def test_status_and_fields_are_passed_on_as_they_are(serve: Serving) -> None:
    fields = [("X", "caf\xe9"), ("set-cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Tab", "a\tb"), ("Empty", "")]
    response = serve(answering(list, "299 Tr\xe8s bien", *fields)).get()
    assert (response.status, response.reason) == (299, "Tr\xe8s bien")
    assert [field for field in response.fields if field[0] not in ("Date", "Server", "Content-Length")] == fields


def test_date_and_server(serve: Serving) -> None:
    response = serve(answering(list)).get()
    assert abs(email.utils.parsedate_to_datetime(response["Date"]).timestamp() - time.time()) < 2
    assert response["Date"].endswith(" GMT")
    assert response["Server"] == "hublet"
    assert "Server" not in serve(answering(list), server_header="").get()
    own = [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("SERVER", "mine")]
    response = serve(answering(list, "200 OK", *own)).get()
    assert [field for field in response.fields if field[0].lower() in ("date", "server")] == own


@pytest.mark.parametrize("count, size", [(1, 100_000), (500, 500), (1, 16_384 - 150)])
def test_a_large_head(serve: Serving, count: int, size: int) -> None:
    fields = [(f"X-{number}", "v" * size) for number in range(count)]
    client = serve(answering(lambda: [b"hello"], "200 OK", *fields)).connect()
    for _ in range(2):
        response = client.get()
        assert response.body == b"hello"
        assert response.fields[:count] == fields
