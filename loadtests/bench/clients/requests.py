"""The request heads that the clients send."""

from __future__ import annotations


def get_request(host: str, port: int, path: str = "/") -> bytes:
    """Write a request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()


def post_request(host: str, port: int, size: int) -> bytes:
    """The head of an upload of `size` bytes."""
    return (
        f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    ).encode()
