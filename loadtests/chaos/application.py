"""The application of the campaign: says which version and process answers, waits, echoes, and imports as told.

Files in CHAOS_DIRECTORY are the deploy: `version`, `import_seconds`, and `broken` if its import is to fail.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

DEPLOY: Final = Path(os.environ["CHAOS_DIRECTORY"])
if (DEPLOY / "broken").exists():
    raise RuntimeError("a broken deploy")
time.sleep(float((DEPLOY / "import_seconds").read_text()))
ANSWER: Final = f"{(DEPLOY / 'version').read_text()} {os.getpid()}"
BODY: Final = ANSWER.encode()
FIELDS: Final = (("Content-Type", "text/plain"), ("Content-Length", str(len(BODY))))


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with version and process, after as many seconds as the query says; greet and echo WebSockets."""
    websocket = environ.get("wsgi.websocket")
    if websocket is not None:
        websocket.send(ANSWER)
        while (message := websocket.receive()) is not None:
            websocket.send(message)
        return []
    if environ["QUERY_STRING"]:
        time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", list(FIELDS))
    return [BODY]
