"""The settings: one frozen dataclass, validated in one place.

The command line, the `HUBLET_*` environment variables, the TOML file and docs/settings.rst are generated from these
fields; nothing else knows their names. `hublet.servers.settings_sources` reads them from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from ..runtime import limits
from ..runtime.errors import SettingsError
from .env_file import parse_assignment
from .ownership import parse_mode
from .proxies import DEFAULT_PROXIES, FIELDS, check_proxy, check_proxy_field
from .unix_sockets import SOCKET_MODE
from .websocket.deflate import Compression
from .websocket.handshake import check_origin_pattern, check_protocol

AccessLogFormat = Literal["off", "combined", "json"]
ClientCertificates = Literal["none", "optional", "required"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
ACCESS_LOG_FORMATS: Final = get_args(AccessLogFormat)
CLIENT_CERTIFICATES: Final = get_args(ClientCertificates)
COMPRESSIONS: Final = get_args(Compression)
LOG_FORMATS: Final = get_args(LogFormat)
LOG_LEVELS: Final = get_args(LogLevel)


# Far beyond any use, and within what the compiled code and the loop's clock can hold: sizes are 64-bit integers there,
# and sums of two stay below their end; counts are C's int.
MOST_BYTES: Final = 2**62 - 1
MOST_COUNT: Final = 2**31 - 1
MOST_SECONDS: Final = 10**6
# The kernel cuts a larger backlog down to its own limit, and some kernels keep it in 16 bits.
MOST_BACKLOG: Final = 65535
# 16 KiB each: 1 GiB.
MOST_STACK_CACHE: Final = 65536
# Systems refuse to start many more.
MOST_THREADS: Final = 4096
# Half of the places on the load board: a reload runs two generations side by side.
MOST_WORKERS: Final = 256


def setting(
    default: Any,
    group: str,
    help: str,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    words: Mapping[str, Any] | None = None,
    metavar: str = "",
    secret: bool = False,
) -> Any:
    """Declare a field: its default, its group in `--help`, what it does, its unit, its least and its greatest value.

    A number without a greatest value of its own has that of its unit. `words` stand for values in texts, `metavar` for
    the value in `--help`. Of a `secret` list of NAME=VALUE only the names are ever shown.
    """
    if least is not None and most is None:
        most = {"seconds": MOST_SECONDS, "bytes": MOST_BYTES}.get(unit, MOST_COUNT)
    metadata = {"group": group, "help": help, "unit": unit, "least": least, "most": most, "words": words or {}}
    metadata |= {"metavar": metavar, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one hublet server behaves. Sizes are bytes, times are seconds; 0 means "no limit" where the help says so."""

    bind: tuple[str, ...] = setting(
        ("127.0.0.1:8000",),
        "listening",
        "address to listen on, host:port, [ipv6]:port, :port, unix:/path, unix:@abstract or fd://3; may be repeated; "
        "sockets that systemd passes take the place of the default",
        metavar="ADDRESS",
    )
    backlog: int = setting(
        limits.BACKLOG,
        "listening",
        "connections that the kernel holds ready for accepting",
        least=1,
        most=MOST_BACKLOG,
    )
    socket_mode: str = setting(
        f"{SOCKET_MODE:03o}",
        "listening",
        "permissions of Unix sockets, octal; whoever may write may connect, so 660 keeps others than socket-owner out",
        metavar="MODE",
    )
    socket_owner: str = setting(
        "", "listening", "user, user:group or :group that Unix sockets are given to; takes root", metavar="USER[:GROUP]"
    )

    chdir: str = setting(
        "", "process", "directory to go to first; relative paths in other settings start there", metavar="DIR"
    )
    user: str = setting("", "process", "user to become once the addresses are open; takes root", metavar="USER")
    group: str = setting(
        "", "process", "group to have with that; otherwise it is the user's own groups", metavar="GROUP"
    )
    umask: str = setting("", "process", "permissions that new files do not get, octal, such as 027", metavar="MASK")
    pidfile: str = setting("", "process", "file that holds the process id while the server runs", metavar="FILE")
    env: tuple[str, ...] = setting(
        (),
        "process",
        "variable for the application, NAME=VALUE, stronger than those of env-file; may be repeated",
        metavar="NAME=VALUE",
        secret=True,
    )
    env_file: str = setting("", "process", "file with variables for the application", metavar="FILE")
    process_name: str = setting("", "process", "name in ps and top; needs the package setproctitle", metavar="NAME")

    certfile: str = setting(
        "", "tls", "PEM file with the certificate, then those of its issuers; turns TLS on", metavar="FILE"
    )
    keyfile: str = setting("", "tls", "PEM file with the private key; empty: it is in certfile", metavar="FILE")
    certificate: tuple[str, ...] = setting(
        (),
        "tls",
        "certificate and key by the name that the client asks for, cert.pem:key.pem, or one file with both; may be "
        "repeated; clients that ask for none of the names get certfile, or the first of these",
        metavar="CERT:KEY",
    )
    key_password_file: str = setting(
        "",
        "tls",
        "file whose first line is the password of the private keys; empty: they are not encrypted",
        metavar="FILE",
    )
    client_certificates: ClientCertificates = setting(
        "none", "tls", "whether clients are asked for a certificate, and those without a valid one turned away"
    )
    ca_certs: str = setting(
        "", "tls", "PEM file with the authorities whose client certificates are valid", metavar="FILE"
    )
    ciphers: str = setting(
        "", "tls", "cipher suites for TLS 1.2, in OpenSSL's notation; empty: those that Python prefers", metavar="LIST"
    )

    max_connections: int = setting(
        0, "limits", "connections open at once; 0: as many as the descriptor limit allows", least=0
    )
    max_in_flight: int = setting(
        limits.MAX_IN_FLIGHT, "limits", "requests in the application at once; 0: one for each connection", least=0
    )
    max_queued: int = setting(
        limits.MAX_QUEUED, "limits", "requests that wait while max-in-flight are running; further ones get 503", least=0
    )
    max_request_line: int = setting(
        limits.MAX_REQUEST_LINE, "limits", "longest request line; a longer one gets 414", unit="bytes", least=64
    )
    max_header_size: int = setting(
        limits.MAX_HEADER_SIZE, "limits", "largest header section; a larger one gets 431", unit="bytes", least=64
    )
    max_header_fields: int = setting(
        limits.MAX_HEADER_FIELDS, "limits", "most header fields in a request; more get 431", least=1
    )
    max_field_size: int = setting(
        limits.MAX_FIELD_SIZE,
        "limits",
        "longest header field, name and value; a longer one gets 431; 0: as long as the header section may be",
        unit="bytes",
        least=0,
    )
    max_body: int = setting(
        limits.MAX_BODY, "limits", "largest request body; a larger one gets 413; 0: no limit", unit="bytes", least=0
    )

    trusted_proxies: tuple[str, ...] = setting(
        DEFAULT_PROXIES,
        "proxies",
        "whose Forwarded and X-Forwarded-* fields are taken over, while those of others are removed: an IP address, a "
        "network such as 10.0.0.0/8, unix for peers on Unix sockets, or * for anybody; may be repeated",
    )
    proxy_fields: tuple[str, ...] = setting(
        FIELDS,
        "proxies",
        "field that trusted proxies set or remove; the rest of these are a client's and are removed; may be repeated",
    )
    max_proxy_hops: int = setting(
        limits.MAX_PROXY_HOPS,
        "proxies",
        "how many elements of X-Forwarded-For and Forwarded are looked at for the client, from the right",
        least=1,
    )

    head_timeout: float = setting(
        limits.HEAD_TIMEOUT,
        "timeouts",
        "from the first byte of a request to the end of its head; then 408",
        unit="seconds",
        least=0.01,
    )
    body_timeout: float = setting(
        limits.BODY_TIMEOUT, "timeouts", "longest pause in a request body; then 408", unit="seconds", least=0.01
    )
    write_timeout: float = setting(
        limits.WRITE_TIMEOUT,
        "timeouts",
        "longest time in which the peer takes no byte of a response; then it is closed",
        unit="seconds",
        least=0.01,
    )
    handshake_timeout: float = setting(
        limits.HANDSHAKE_TIMEOUT,
        "timeouts",
        "longest time from a connection to the end of its TLS handshake; then it is closed",
        unit="seconds",
        least=0.01,
    )
    keepalive_timeout: float = setting(
        limits.KEEPALIVE_TIMEOUT,
        "timeouts",
        "longest idle time of a connection between requests; 0: a connection has one request only",
        unit="seconds",
        least=0,
    )
    grace: float = setting(
        limits.GRACE,
        "timeouts",
        "time that requests in flight get to finish when the server stops",
        unit="seconds",
        least=0,
    )

    websocket_origins: tuple[str, ...] = setting(
        (),
        "websocket",
        "origin whose pages may connect, besides those of the same host: https://example.com, https://*.example.com, "
        "null or *; may be repeated",
        metavar="ORIGIN",
    )
    websocket_subprotocols: tuple[str, ...] = setting(
        (),
        "websocket",
        "subprotocol that the application speaks, the preferred one first; may be repeated",
        metavar="NAME",
    )
    websocket_max_message: int = setting(
        limits.WEBSOCKET_MAX_MESSAGE,
        "websocket",
        "largest message; a larger one closes the connection with 1009; 0: no limit",
        unit="bytes",
        least=0,
    )
    websocket_buffer: int = setting(
        limits.WEBSOCKET_BUFFER,
        "websocket",
        "what waits for a slow peer before send waits too, and before broadcasts pass it over",
        unit="bytes",
        least=1,
    )
    websocket_compression: Compression = setting(
        "message",
        "websocket",
        "off; message: each message on its own; connection: messages refer to earlier ones, for up to 300 KiB of "
        "memory a connection",
    )
    websocket_ping_interval: float = setting(
        limits.WEBSOCKET_PING_INTERVAL, "websocket", "time between pings", unit="seconds", least=0.01
    )
    websocket_pong_timeout: float = setting(
        limits.WEBSOCKET_PONG_TIMEOUT,
        "websocket",
        "longest time until the answer to a ping; then the connection is closed with 1011",
        unit="seconds",
        least=0.01,
    )
    websocket_close_timeout: float = setting(
        limits.WEBSOCKET_CLOSE_TIMEOUT,
        "websocket",
        "longest time that the peer gets to answer a close frame",
        unit="seconds",
        least=0.01,
    )
    websocket_hide_upgrade: bool = setting(
        False, "websocket", "leave HTTP_UPGRADE out of the environ, for Flask-Sockets on Werkzeug 1 and later"
    )

    workers: int = setting(
        1, "processes", "worker processes; auto: one for each processor", least=0, most=MOST_WORKERS, words={"auto": 0}
    )
    startup_timeout: float = setting(
        limits.STARTUP_TIMEOUT,
        "processes",
        "longest time from a worker's start until it serves; then it is killed",
        unit="seconds",
        least=0.1,
    )
    worker_timeout: float = setting(
        limits.WORKER_TIMEOUT,
        "processes",
        "longest time in which a worker's hub does not turn; then it is replaced; 0: no limit",
        unit="seconds",
        least=0,
    )
    max_requests: int = setting(
        0, "processes", "requests after which a worker is replaced by a new one; 0: no limit", least=0
    )
    max_requests_jitter: int = setting(
        0,
        "processes",
        "at most so many requests more, by chance, so that not all workers are replaced at once",
        least=0,
    )
    max_rss: int = setting(
        0,
        "processes",
        "resident memory at which a worker is replaced by a new one; 0: no limit",
        unit="bytes",
        least=0,
    )

    access_log: AccessLogFormat = setting("off", "logging", "one line for each request: off, combined or json")
    access_log_file: str = setting(
        "-",
        "logging",
        "where the access log goes: a file, - for standard output, or syslog; SIGUSR1 opens files anew",
        metavar="FILE",
    )
    log_file: str = setting(
        "-",
        "logging",
        "where the error log goes: a file, - for standard error, syslog for /dev/log, syslog:/path, or "
        "syslog:host:port for UDP",
        metavar="FILE",
    )
    log_format: LogFormat = setting("text", "logging", "form of the error log: text, or json with one object a line")
    log_level: LogLevel = setting("info", "logging", "least severity that the error log shows")
    statistics_file: str = setting(
        "",
        "logging",
        "file that gets one JSON object every statistics-interval: counters, hub lag, and lines that blocked the hub",
        metavar="FILE",
    )
    statistics_interval: float = setting(
        limits.STATISTICS_INTERVAL,
        "logging",
        "time between two objects in the statistics file",
        unit="seconds",
        least=limits.STATISTICS_LEAST,
    )

    server_header: str = setting("hublet", "responses", "value of the Server field; empty: no such field")

    patch: tuple[str, ...] = setting(
        (), "patches", "optional patch to apply (docs/patches.rst has their names); may be repeated", metavar="NAME"
    )
    no_patch: tuple[str, ...] = setting(
        (), "patches", "patch to leave out, so that its library stays as it is; may be repeated", metavar="NAME"
    )
    offload_threads: int = setting(
        limits.OFFLOAD_THREADS,
        "patches",
        "native threads for calls of libraries that cannot yield, database drivers in C for instance",
        least=1,
        most=MOST_THREADS,
    )
    offload_queue: int = setting(
        limits.OFFLOAD_QUEUE, "patches", "such calls that may wait for a thread; further ones raise an error", least=0
    )

    stack_cache: int = setting(
        limits.STACK_CACHE,
        "runtime",
        "16 KiB interpreter stack chunks kept for new greenlets; 0: off",
        least=0,
        most=MOST_STACK_CACHE,
    )
    reload: bool = setting(False, "runtime", "restart when a source file changes (for development)")

    def __post_init__(self) -> None:
        """Check every field. Raises SettingsError for the first one that breaks its rule."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least, most = field.metadata["least"], field.metadata["most"]
            if least is not None and not value >= least:  # "not >=" so that NaN fails too
                raise SettingsError(field.name, value, f"must be at least {least}")
            if most is not None and value > most:
                raise SettingsError(field.name, value, f"must be at most {most}")
        if not self.bind:
            raise SettingsError("bind", self.bind, "needs at least one address, such as 127.0.0.1:8000")
        if any(ord(char) < 0x20 or ord(char) > 0x7E for char in self.server_header):
            raise SettingsError("server_header", self.server_header, "must be printable ASCII")
        for name, check in (
            ("trusted_proxies", check_proxy),
            ("proxy_fields", check_proxy_field),
            ("websocket_origins", check_origin_pattern),
            ("websocket_subprotocols", check_protocol),
        ):
            for each in getattr(self, name):
                check_value(name, each, check)
        for each in self.env:
            check_value("env", each, parse_assignment, shown=each.partition("=")[0])
        for name in ("socket_mode", "umask"):
            if name == "socket_mode" or getattr(self, name):
                check_value(name, getattr(self, name), parse_mode)
        for name, accepted in (
            ("access_log", ACCESS_LOG_FORMATS),
            ("client_certificates", CLIENT_CERTIFICATES),
            ("log_format", LOG_FORMATS),
            ("log_level", LOG_LEVELS),
            ("websocket_compression", COMPRESSIONS),
        ):
            if getattr(self, name) not in accepted:
                raise SettingsError(name, getattr(self, name), f"must be one of {', '.join(accepted)}")
        self.check_tls()

    def check_tls(self) -> None:
        """Check that the TLS settings fit together; their files are looked at when a server is made."""
        if not (self.certfile or self.certificate):
            for name in ("keyfile", "key_password_file", "ca_certs", "ciphers"):
                if getattr(self, name):
                    raise SettingsError(name, getattr(self, name), "means nothing without a certificate: set certfile")
            if self.client_certificates != "none":
                rule = "means nothing without a certificate of the server's own: set certfile"
                raise SettingsError("client_certificates", self.client_certificates, rule)
        elif self.keyfile and not self.certfile:
            rule = "belongs to no certificate: set certfile, or write --certificate cert.pem:key.pem"
            raise SettingsError("keyfile", self.keyfile, rule)
        elif self.client_certificates != "none" and not self.ca_certs:
            rule = "needs to know the authorities that are trusted: set ca_certs"
            raise SettingsError("client_certificates", self.client_certificates, rule)
        for each in self.certificate:
            if "" in each.split(":"):
                raise SettingsError("certificate", each, "must be cert.pem:key.pem, or one file with both")

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return bool(self.certfile or self.certificate)

    @property
    def server_line(self) -> bytes:
        """The Server field of every response, with its CRLF; empty without one."""
        return f"Server: {self.server_header}\r\n".encode() if self.server_header else b""


def check_value(name: str, value: str, check: Callable[[str], object], shown: str | None = None) -> None:
    """Raise SettingsError where `check` raises ValueError; `shown` is what the message shows of a secret value."""
    try:
        check(value)
    except ValueError as error:
        raise SettingsError(name, value if shown is None else shown, str(error)) from None
