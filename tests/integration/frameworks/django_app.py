"""The application in Django, its settings included."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for tests only",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # which sets Content-Length
)


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, World!")


def as_json(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world", "q": request.GET.get("q")})


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.POST["name"])


def upload(request: HttpRequest) -> HttpResponse:
    file: Any = request.FILES["file"]
    return HttpResponse(f"{file.name} {len(file.read())}")


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        for number in range(5):
            time.sleep(0.01)
            yield f"{number}\n"

    return StreamingHttpResponse(lines())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(os.environ["TEST_FILE"], "rb"))


def cookie(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(request.COOKIES.get("seen", "never"))
    response.set_cookie("seen", "before")
    response.set_cookie("other", "1")
    return response


def elsewhere(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/hello")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def error(request: HttpRequest) -> HttpResponse:
    raise ValueError("broken on purpose")


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def wait(request: HttpRequest) -> HttpResponse:
    time.sleep(0.3)
    return HttpResponse("waited")


urlpatterns = [
    path("hello", hello),
    path("json", as_json),
    path("form", form),
    path("upload", upload),
    path("echo", echo),
    path("stream", stream),
    path("file", file),
    path("cookie", cookie),
    path("redirect", elsewhere),
    path("forbidden", forbidden),
    path("error", error),
    path("empty", empty),
    path("wait", wait),
]
application = get_wsgi_application()
