"""The application in Flask."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from flask import Flask, Response, abort, jsonify, make_response, redirect, request, send_file

app = Flask(__name__)


@app.get("/hello")
def hello() -> str:
    return "Hello, World!"


@app.get("/json")
def as_json() -> Response:
    return jsonify(hello="world", q=request.args.get("q"))


@app.post("/form")
def form() -> str:
    return request.form["name"]


@app.post("/upload")
def upload() -> str:
    file = request.files["file"]
    return f"{file.filename} {len(file.read())}"


@app.post("/echo")
def echo() -> bytes:
    return request.get_data()


@app.get("/stream")
def stream() -> Response:
    def lines() -> Iterator[str]:
        for number in range(5):
            time.sleep(0.01)
            yield f"{number}\n"

    return Response(lines(), mimetype="text/plain")


@app.get("/file")
def file() -> Response:
    return send_file(os.environ["TEST_FILE"], mimetype="application/octet-stream")


@app.get("/cookie")
def cookie() -> Response:
    response = make_response(request.cookies.get("seen", "never"))
    response.set_cookie("seen", "before")
    response.set_cookie("other", "1")
    return response


@app.get("/redirect")
def elsewhere() -> Response:
    return redirect("/hello")  # type: ignore[return-value]


@app.get("/forbidden")
def forbidden() -> Response:
    abort(403)


@app.get("/error")
def error() -> Response:
    raise ValueError("broken on purpose")


@app.get("/empty")
def empty() -> tuple[str, int]:
    return "", 204


@app.get("/wait")
def wait() -> str:
    time.sleep(0.3)
    return "waited"
