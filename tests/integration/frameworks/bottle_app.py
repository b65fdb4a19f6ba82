"""The application in Bottle."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottle import Bottle, HTTPResponse, abort, redirect, request, response, static_file

app = Bottle()


@app.get("/hello")
def hello() -> str:
    return "Hello, World!"


@app.get("/json")
def as_json() -> dict[str, Any]:
    return {"hello": "world", "q": request.query.getunicode("q")}


@app.post("/form")
def form() -> str:
    return str(request.forms.getunicode("name"))


@app.post("/upload")
def upload() -> str:
    file = request.files["file"]
    return f"{file.raw_filename} {len(file.file.read())}"


@app.post("/echo")
def echo() -> bytes:
    return bytes(request.body.read())


@app.get("/stream")
def stream() -> Iterator[str]:
    for number in range(5):
        time.sleep(0.01)
        yield f"{number}\n"


@app.get("/file")
def file() -> Any:
    path = Path(os.environ["TEST_FILE"])
    return static_file(path.name, root=str(path.parent), mimetype="application/octet-stream")


@app.get("/cookie")
def cookie() -> str:
    response.set_cookie("seen", "before")
    response.set_cookie("other", "1")
    return str(request.get_cookie("seen", "never"))


@app.get("/redirect")
def elsewhere() -> None:
    redirect("/hello", 302)


@app.get("/forbidden")
def forbidden() -> None:
    abort(403)


@app.get("/error")
def error() -> str:
    raise ValueError("broken on purpose")


@app.get("/empty")
def empty() -> Any:
    return HTTPResponse(status=204)


@app.get("/wait")
def wait() -> str:
    time.sleep(0.3)
    return "waited"
