"""gevent.pywsgi with any WSGI application: arguments are MODULE:ATTRIBUTE, HOST, PORT, and CERT and KEY for TLS."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402  # patching comes first, as gevent asks
import socket
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
    # Without TCP_NODELAY, which gunicorn sets too, a response in two segments waits 40 ms for an acknowledgement.
    listener = socket.create_server((host, int(port)), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    WSGIServer(listener, application, log=None, **tls).serve_forever()


if __name__ == "__main__":
    main()
