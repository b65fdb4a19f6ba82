"""Django views, of which one takes the WebSocket from the request's environ."""

from __future__ import annotations

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain")


def echo(request: HttpRequest) -> HttpResponse:
    websocket = request.environ["wsgi.websocket"]
    for message in websocket:
        if message == "stop":
            break
        websocket.send(message)
    return HttpResponse()


urlpatterns = [path("", hello), path("echo", echo)]

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY="only for tests")
django.setup()
application = WSGIHandler()
