"""A JSON microservice in ten lines of plain WSGI (PEP 3333), clean under `wsgiref.validate`.

hublet hello:app                          from this folder
curl 'http://127.0.0.1:8000/?name=you'    {"hello": "you"}
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Greet whom the query names. GET and HEAD only."""
    if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
        start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Type", "text/plain")])
        return [b"GET and HEAD only\n"]
    name = parse_qs(environ.get("QUERY_STRING", "")).get("name", ["world"])[0]
    body = json.dumps({"hello": name}).encode() + b"\n"
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
