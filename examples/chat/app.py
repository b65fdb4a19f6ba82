"""Chat: rooms of people who write to each other, from callback classes beside plain Flask.

hublet examples.chat.app:app                from the repository; then open http://127.0.0.1:8000

/                                   the page, which asks for a room and a nickname
/?room=tea&nickname=Ann             the page, in that room
/live?room=tea&nickname=Ann         its WebSocket (rooms.py says what goes over it)
"""

from __future__ import annotations

import hublet
from flask import Flask, Response, render_template, request

from .rooms import MAX_NAME, MAX_TEXT, Member

app = Flask(__name__)
app.wsgi_app = hublet.websockets({"/live": Member}, app.wsgi_app)  # type: ignore[method-assign]


@app.after_request
def allow_own_content_only(response: Response) -> Response:
    """Forbid browsers to load anything from elsewhere."""
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@app.get("/")
def page() -> str:
    """Show the page; its script connects when room and nickname are given."""
    names = {name: request.args.get(name, "")[:MAX_NAME] for name in ("room", "nickname")}
    return render_template("page.html", **names, max_name=MAX_NAME, max_text=MAX_TEXT)


@app.get("/live")
def no_websocket() -> tuple[str, int]:
    """Answer what is no WebSocket request, or came to a server without WebSockets."""
    return "This is the address of a WebSocket.\n", 426
