"""examples/hello.py: its answers, and that it keeps the rules of PEP 3333."""

from __future__ import annotations

import json
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client, TestResponse

from examples.hello import app


def ask(path: str, method: str = "GET") -> TestResponse:
    return Client(validator(app)).open(path, method=method, buffered=True)


@pytest.mark.parametrize(("path", "name"), [("/", "world"), ("/?name=you", "you"), ("/?name=J%C3%BCrgen", "Jürgen")])
def test_greets_whom_the_query_names(path: str, name: str) -> None:
    answer = ask(path)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert json.loads(answer.data) == {"hello": name}
    assert answer.content_length == len(answer.data)


def test_head_is_get_without_the_body() -> None:
    answer = ask("/", "HEAD")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == ask("/").headers["Content-Length"]


def test_other_methods_are_told_which_are_allowed() -> None:
    answer = ask("/", "POST")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
