import ssl
from collections.abc import Callable, Mapping

class TlsContext:
    ssl_context: ssl.SSLContext
    def __init__(self, ssl_context: ssl.SSLContext, describe: Callable[[ssl.SSLObject], Mapping[str, str]]) -> None: ...

class TlsChannel:
    environ: dict[str, str] | None
    failure: str | None
