"""The application in Bottle."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottle import Bottle, HTTPResponse, abort, redirect, request, response, static_file


def hello() -> str:
    return "Hello, World!"


def as_json() -> dict[str, Any]:
    return {"hello": "world", "q": request.query.getunicode("q")}


def form() -> str:
    return str(request.forms.getunicode("name"))


def upload() -> str:
    file = request.files["file"]
    return f"{file.raw_filename} {len(file.file.read())}"


def echo() -> bytes:
    return bytes(request.body.read())


def stream() -> Iterator[str]:
    for number in range(5):
        time.sleep(0.01)
        yield f"{number}\n"


def file() -> Any:
    path = Path(os.environ["TEST_FILE"])
    return static_file(path.name, root=str(path.parent), mimetype="application/octet-stream")


def cookie() -> str:
    response.set_cookie("seen", "before")
    response.set_cookie("other", "1")
    return str(request.get_cookie("seen", "never"))


def elsewhere() -> None:
    redirect("/hello", 302)


def forbidden() -> None:
    abort(403)


def error() -> str:
    raise ValueError("broken on purpose")


def empty() -> Any:
    return HTTPResponse(status=204)


def wait() -> str:
    time.sleep(0.3)
    return "waited"


app = Bottle()
app.route("/hello", "GET", hello)
app.route("/json", "GET", as_json)
app.route("/form", "POST", form)
app.route("/upload", "POST", upload)
app.route("/echo", "POST", echo)
app.route("/stream", "GET", stream)
app.route("/file", "GET", file)
app.route("/cookie", "GET", cookie)
app.route("/redirect", "GET", elsewhere)
app.route("/forbidden", "GET", forbidden)
app.route("/error", "GET", error)
app.route("/empty", "GET", empty)
app.route("/wait", "GET", wait)
