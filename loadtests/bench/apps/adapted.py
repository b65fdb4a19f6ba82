"""The WSGI applications as ASGI ones, through a2wsgi, for uvicorn: made when they are asked for, by their own names."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from a2wsgi import WSGIMiddleware

THREADS: Final = 64  # as many as the other servers with threads have
MODULES: Final = {"app": "flask_hello", "query": "postgres"}


def __getattr__(name: str) -> WSGIMiddleware:
    """Make the ASGI application of a name."""
    module = import_module(f"loadtests.bench.apps.{MODULES.get(name, 'plain')}")
    return WSGIMiddleware(getattr(module, name), workers=THREADS)
