"""The smallest Flask application."""

from __future__ import annotations

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Answer a constant."""
    return "Hello, World!"


@app.get("/json")
def data() -> Response:
    """Answer JSON, as the applications that Flask is mostly used for do."""
    return jsonify(message="Hello, World!", numbers=[1, 2, 3])
