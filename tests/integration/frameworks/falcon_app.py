"""The application in Falcon."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import falcon
from falcon import Request, Response


class Hello:
    def on_get(self, request: Request, response: Response) -> None:
        response.text = "Hello, World!"


class Json:
    def on_get(self, request: Request, response: Response) -> None:
        response.media = {"hello": "world", "q": request.get_param("q")}


class Form:
    def on_post(self, request: Request, response: Response) -> None:
        response.text = request.get_media()["name"]


class Upload:
    def on_post(self, request: Request, response: Response) -> None:
        for part in request.get_media():
            response.text = f"{part.filename} {len(part.stream.read())}"


class Echo:
    def on_post(self, request: Request, response: Response) -> None:
        response.data = request.stream.read()  # not bounded_stream: that one reads nothing of a chunked body


class Stream:
    def on_get(self, request: Request, response: Response) -> None:
        response.stream = self.lines()

    @staticmethod
    def lines() -> Iterator[bytes]:
        for number in range(5):
            time.sleep(0.01)
            yield b"%d\n" % number


class File:
    def on_get(self, request: Request, response: Response) -> None:
        path = Path(os.environ["TEST_FILE"])
        response.content_type = "application/octet-stream"
        response.set_stream(path.open("rb"), path.stat().st_size)


class Cookie:
    def on_get(self, request: Request, response: Response) -> None:
        response.text = request.cookies.get("seen", "never")
        response.set_cookie("seen", "before", secure=False)
        response.set_cookie("other", "1", secure=False)


class Redirect:
    def on_get(self, request: Request, response: Response) -> None:
        raise falcon.HTTPFound("/hello")


class Forbidden:
    def on_get(self, request: Request, response: Response) -> None:
        raise falcon.HTTPForbidden


class Error:
    def on_get(self, request: Request, response: Response) -> None:
        raise ValueError("broken on purpose")


class Empty:
    def on_get(self, request: Request, response: Response) -> None:
        response.status = falcon.HTTP_204


class Wait:
    def on_get(self, request: Request, response: Response) -> None:
        time.sleep(0.3)
        response.text = "waited"


app = falcon.App()
for resource in (Hello, Json, Form, Upload, Echo, Stream, File, Cookie, Redirect, Forbidden, Error, Empty, Wait):
    app.add_route(f"/{resource.__name__.lower()}", resource())
if "TEST_FILE" in os.environ:
    app.add_static_route("/ranges", Path(os.environ["TEST_FILE"]).parent)
