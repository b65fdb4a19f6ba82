"""The application in Pyramid."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound
from pyramid.response import FileResponse, Response


def hello(request: Any) -> Any:
    return Response("Hello, World!")


def as_json(request: Any) -> Any:
    return Response(json={"hello": "world", "q": request.params.get("q")})


def form(request: Any) -> Any:
    return Response(request.POST["name"])


def upload(request: Any) -> Any:
    file = request.POST["file"]
    return Response(f"{file.filename} {len(file.file.read())}")


def echo(request: Any) -> Any:
    return Response(request.body)


def stream(request: Any) -> Any:
    def lines() -> Iterator[bytes]:
        for number in range(5):
            time.sleep(0.01)
            yield b"%d\n" % number

    return Response(app_iter=lines(), content_type="text/plain")


def file(request: Any) -> Any:
    return FileResponse(os.environ["TEST_FILE"], request=request, content_type="application/octet-stream")


def cookie(request: Any) -> Any:
    response = Response(request.cookies.get("seen", "never"))
    response.set_cookie("seen", "before")
    response.set_cookie("other", "1")
    return response


def elsewhere(request: Any) -> Any:
    return HTTPFound("/hello")


def forbidden(request: Any) -> Any:
    return HTTPForbidden()


def error(request: Any) -> Any:
    raise ValueError("broken on purpose")


def empty(request: Any) -> Any:
    return Response(status=204)


def wait(request: Any) -> Any:
    time.sleep(0.3)
    return Response("waited")


VIEWS: dict[str, Callable[[Any], Any]] = {
    "hello": hello,
    "json": as_json,
    "form": form,
    "upload": upload,
    "echo": echo,
    "stream": stream,
    "file": file,
    "cookie": cookie,
    "redirect": elsewhere,
    "forbidden": forbidden,
    "error": error,
    "empty": empty,
    "wait": wait,
}


def make_app() -> Any:
    with Configurator() as config:
        for name, view in VIEWS.items():
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
        return config.make_wsgi_app()


app = make_app()
