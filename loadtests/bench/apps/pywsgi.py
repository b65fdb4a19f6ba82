"""gevent.pywsgi with any WSGI application: `python -m loadtests.bench.apps.pywsgi MODULE:ATTRIBUTE HOST PORT [CERT KEY]`."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402  # patching comes first, as gevent asks
import sys
from importlib import import_module

from gevent.pywsgi import WSGIServer

BACKLOG = 2048  # that of gunicorn; its own 256 loses connections when thousands come at once


def main() -> None:
    """Serve."""
    app, host, port, *certificate = sys.argv[1:]
    module, _, attribute = app.partition(":")
    tls = dict(zip(("certfile", "keyfile"), certificate, strict=False))
    application = getattr(import_module(module), attribute)
    WSGIServer((host, int(port)), application, backlog=BACKLOG, log=None, **tls).serve_forever()


if __name__ == "__main__":
    main()
