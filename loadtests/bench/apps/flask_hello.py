"""The smallest Flask application."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Answer a constant."""
    return "Hello, World!"
