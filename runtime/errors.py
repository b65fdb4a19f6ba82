"""The exceptions that hublet raises on purpose. They carry their facts as fields, so that no caller reads the text."""

from __future__ import annotations


class HubletError(Exception):
    """Base of hublet's own exceptions."""


class SettingsError(HubletError, ValueError):
    """A setting has a value that cannot be used.

    `name` is the setting, `value` what was given, `source` where it came from (an option, a variable, a file), `rule`
    what would have been accepted.
    """

    def __init__(self, name: str, value: object, rule: str, source: str = "") -> None:
        self.name = name
        self.value = value
        self.rule = rule
        self.source = source
        origin = f" (from {source})" if source else ""
        super().__init__(f"{name} = {value!r}{origin}: {rule}")


class ApplicationLoadError(HubletError):
    """The application named on the command line cannot be had. `target` is the name; the text says what was tried."""

    def __init__(self, target: str, problem: str) -> None:
        self.target = target
        super().__init__(f"cannot load the application {target!r}: {problem}")


class UnsupportedPlatformError(HubletError, NotImplementedError):
    """hublet does not run on this system. The text says where it does."""


class ListenError(HubletError, OSError):
    """An address cannot be listened on. `address` is the one asked for."""

    def __init__(self, address: str, problem: str) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: {problem}")


class RequestRejected(HubletError):
    """A request head breaks a rule of HTTP/1.1, of the WebSocket handshake, or a limit.

    `status` is the answer's code, `reason` the rule; `fields` are header lines that the answer needs beyond the usual
    ones, each ending in CRLF.
    """

    def __init__(self, status: int, reason: str, fields: bytes = b"") -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        super().__init__(f"{status}: {reason}")


class RequestBodyError(HubletError, OSError):
    """`wsgi.input` cannot deliver the rest of the request body: it is malformed, late, too large or cut short.

    `status` is what the peer is answered (400, 408 or 413) if the application lets the exception pass.
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status}: {reason}")


class ClientDisconnected(HubletError, ConnectionError):
    """The peer is gone, or has not taken a byte of the response within the write timeout."""


class HandshakeRefused(HubletError):
    """A WebSocket handshake was answered with something else than 101 (Switching Protocols).

    `status` is the response's code, or 0 without a response, `headers` its fields by lower-case name, `body` its body.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        text = body.decode("utf-8", "replace").strip() or "the connection ended"
        super().__init__(f"the WebSocket handshake was answered with {status}: {text[:200]}")


class OffloadQueueFull(HubletError):
    """More calls wait for a native thread than may. `threads` run, `queue` wait."""

    def __init__(self, threads: int, queue: int) -> None:
        self.threads = threads
        self.queue = queue
        super().__init__(
            f"{queue} calls wait for one of {threads} native threads already: what they call is too slow for the load; "
            "raise offload_threads, or lower max_in_flight"
        )
