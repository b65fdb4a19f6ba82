"""Every setting of gunicorn: the hublet setting that it becomes, or why it becomes none. Data.

There are two ways to meet them. Under gunicorn with hublet's worker class gunicorn itself does much of it (binding,
processes, logging), and the worker takes over what is about requests. With `hublet --from-gunicorn` hublet does all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .conversions import (
    Convert,
    Converted,
    access_log,
    addresses,
    assignments,
    client_certificates,
    field_size,
    fields,
    level,
    mode,
    name_or_number,
    renamed,
    request_line,
    seconds,
    switch,
    text,
    trusted,
    whole,
)


@dataclass(frozen=True, slots=True)
class Name:
    """One of gunicorn's settings.

    `becomes` names the hublet settings, and `convert` makes their values. Without them `instead` says why not, or what
    hublet does with it. `in_worker` says who minds it under gunicorn: "gunicorn", "worker", or "nobody". `options` are
    those of gunicorn's command line that `hublet` takes too.
    """

    name: str
    becomes: tuple[str, ...] = ()
    convert: Convert | None = None
    in_worker: str = "gunicorn"
    instead: str = ""
    options: tuple[str, ...] = ()
    is_hook: bool = False
    is_used: bool = False

    @property
    def is_ignored(self) -> bool:
        """Whether `hublet --from-gunicorn` does nothing with it."""
        return not (self.becomes or self.is_used)

    def converted(self, value: Any) -> Converted:
        """Hublet's settings for a value. Raises ValueError with the rule that it breaks."""
        return self.convert(value) if self.convert is not None else {}


def taken(name: str, becomes: str, convert: Convert, *options: str, in_worker: str = "gunicorn") -> Name:
    """A setting that hublet has too."""
    return Name(name, tuple(becomes.split()), convert, in_worker, options=options)


def same(name: str, becomes: str, read: Any, *options: str, in_worker: str = "gunicorn") -> Name:
    """A setting that hublet has too, with the same values."""
    return taken(name, becomes, renamed(becomes, read), *options, in_worker=in_worker)


def used(name: str, instead: str) -> Name:
    """One that is no setting of hublet's, but does what it does in gunicorn."""
    return Name(name, instead=instead, is_used=True)


def hook(name: str, in_worker: str = "gunicorn", instead: str = "called") -> Name:
    """A function of the configuration file."""
    return Name(name, in_worker=in_worker, instead=instead, is_hook=True, is_used=instead == "called")


def left(name: str, instead: str) -> Name:
    """One that gunicorn minds, and that `hublet --from-gunicorn` ignores."""
    return Name(name, instead=instead)


def void(name: str, instead: str) -> Name:
    """One that is ignored everywhere."""
    return Name(name, instead=instead, in_worker="nobody")


GREENLETS: Final = "every request has a greenlet of its own"
STRICT: Final = "such requests are refused, since two servers in a row could understand them differently"
HTTP1: Final = "hublet speaks HTTP/1.1 and WebSocket; a proxy in front may speak HTTP/2"
WSGI: Final = "is for ASGI applications; hublet serves WSGI"
DIRTY: Final = "hublet has no such processes; a task queue does the work"
PASTE: Final = "write a module that calls paste.deploy.loadapp, and serve that"
SYSLOG: Final = "log_file = syslog:host:port does that"
STATSD: Final = "hublet sends no statistics; WSGIServer.statistics() has the figures"
CONTROL: Final = "signals control hublet"
PROXY: Final = "hublet speaks HTTP with proxies; X-Forwarded-* and Forwarded tell of the client"
CERTAIN: Final = "TLS 1.2 is the least, handshakes never block, and a torn connection is no end of a response"

NAMES: Final = (
    # Configuration.
    left("config", "--from-gunicorn names the file"),
    used("wsgi_app", "the application, unless the command line names one"),
    # Sockets.
    taken("bind", "bind", addresses, "-b"),
    same("backlog", "backlog", whole, in_worker="worker"),
    left("reuse_port", "workers share the listening sockets, so that no connection is lost when one ends"),
    # Processes.
    same("workers", "workers", whole, "-w"),
    left("worker_class", "hublet's own: greenlets"),
    void("threads", GREENLETS),
    same("worker_connections", "max_connections", whole, "--worker-connections", in_worker="worker"),
    same("max_requests", "max_requests", whole),
    same("max_requests_jitter", "max_requests_jitter", whole),
    same("timeout", "worker_timeout", seconds, "-t", "--timeout"),
    same("graceful_timeout", "grace", seconds, "--graceful-timeout", in_worker="worker"),
    same("keepalive", "keepalive_timeout", seconds, "--keep-alive", in_worker="worker"),
    left("preload_app", "each worker imports the application itself, so that a reload brings the new code"),
    left("worker_tmp_dir", "workers tell over a pipe that they live"),
    left("daemon", "run hublet under systemd, or another supervisor"),
    same("chdir", "chdir", text),
    used("pythonpath", "put at the beginning of sys.path"),
    same("raw_env", "env", assignments, "-e"),
    same("pidfile", "pidfile", text, "-p", "--pid"),
    same("user", "user", name_or_number, "-u"),
    same("group", "group", name_or_number, "-g"),
    same("umask", "umask", mode, "-m"),
    left("initgroups", "the user always has its own groups"),
    same("proc_name", "process_name", text, "-n", "--name"),
    left("default_proc_name", "gunicorn's own name"),
    same("reload", "reload", switch),
    left("reload_engine", "hublet's reloader asks the kernel"),
    left("reload_extra_files", "hublet's reloader watches what belongs to the source"),
    left("spew", "a debugger shows more"),
    left("check_config", "`hublet check` does that"),
    left("print_config", "hublet logs at its start what was set, and by what"),
    # Requests.
    taken("limit_request_line", "max_request_line", request_line, "--limit-request-line", in_worker="worker"),
    taken("limit_request_fields", "max_header_fields", fields, "--limit-request-fields", in_worker="worker"),
    taken(
        "limit_request_field_size",
        "max_field_size max_header_size",
        field_size,
        "--limit-request-field_size",
        in_worker="worker",
    ),
    taken("forwarded_allow_ips", "trusted_proxies", trusted, "--forwarded-allow-ips", in_worker="worker"),
    void("secure_scheme_headers", "trusted proxies say it with X-Forwarded-Proto, X-Forwarded-Ssl or Forwarded"),
    void("forwarder_headers", "trusted proxies set SCRIPT_NAME with X-Forwarded-Prefix"),
    void("header_map", "field names with an underscore are dropped, always"),
    void("proxy_protocol", PROXY),
    void("proxy_allow_ips", PROXY),
    void("protocol", PROXY),
    void("uwsgi_allow_ips", PROXY),
    void("permit_obsolete_folding", STRICT),
    void("permit_unconventional_http_method", "every method that RFC 9110 allows goes to the application"),
    void("permit_unconventional_http_version", STRICT),
    void("casefold_http_method", "methods are case-sensitive (RFC 9110 section 9.1)"),
    void("strip_header_spaces", STRICT),
    void("sendfile", "files that wsgi.file_wrapper gives are always sent by the kernel"),
    void("tmp_upload_dir", "bodies are read when the application reads, and never kept in files"),
    void("http_parser", "hublet has one parser"),
    void("http_protocols", HTTP1),
    void("http2_cleartext", HTTP1),
    void("http2_initial_window_size", HTTP1),
    void("http2_max_concurrent_streams", HTTP1),
    void("http2_max_frame_size", HTTP1),
    void("http2_max_header_list_size", HTTP1),
    same("websocket_max_message_size", "websocket_max_message", whole, in_worker="worker"),
    # Applications of other kinds.
    void("asgi_loop", WSGI),
    void("asgi_lifespan", WSGI),
    void("asgi_disconnect_grace_period", WSGI),
    void("root_path", WSGI),
    left("paste", PASTE),
    left("raw_paste_global_conf", PASTE),
    left("dirty_apps", DIRTY),
    left("dirty_workers", DIRTY),
    left("dirty_threads", DIRTY),
    left("dirty_timeout", DIRTY),
    left("dirty_graceful_timeout", DIRTY),
    # TLS.
    same("certfile", "certfile", text, in_worker="worker"),
    same("keyfile", "keyfile", text, in_worker="worker"),
    same("ca_certs", "ca_certs", text, in_worker="worker"),
    taken("cert_reqs", "client_certificates", client_certificates, in_worker="worker"),
    same("ciphers", "ciphers", text, in_worker="worker"),
    void("ssl_version", CERTAIN),
    void("suppress_ragged_eofs", CERTAIN),
    void("do_handshake_on_connect", CERTAIN),
    # Logging.
    taken("accesslog", "access_log access_log_file", access_log, "--access-logfile"),
    left("access_log_format", "access_log is combined or json"),
    same("errorlog", "log_file", text, "--error-logfile"),
    taken("loglevel", "log_level", level),
    left("capture_output", "what the application prints stays on its own stream"),
    left("logger_class", "hublet's loggers are hublet.*, of Python's logging"),
    used("logconfig", "given to logging.config, for the application's loggers"),
    used("logconfig_dict", "given to logging.config, for the application's loggers"),
    used("logconfig_json", "given to logging.config, for the application's loggers"),
    left("syslog", SYSLOG),
    left("syslog_addr", SYSLOG),
    left("syslog_prefix", SYSLOG),
    left("syslog_facility", SYSLOG),
    left("disable_redirect_access_to_syslog", "access_log_file says where the access log goes"),
    left("enable_stdio_inheritance", "standard output and error stay open"),
    left("statsd_host", STATSD),
    left("statsd_prefix", STATSD),
    left("dogstatsd_tags", STATSD),
    left("enable_backlog_metric", STATSD),
    left("control_socket", CONTROL),
    left("control_socket_mode", CONTROL),
    left("control_socket_disable", CONTROL),
    # Hooks.
    hook("on_starting"),
    hook("when_ready"),
    hook("nworkers_changed"),
    hook("pre_fork"),
    hook("post_fork"),
    hook("post_worker_init"),
    hook("pre_request", in_worker="worker"),
    hook("post_request", in_worker="worker"),
    hook("worker_int", in_worker="worker"),
    hook("worker_abort", in_worker="worker"),
    hook("worker_exit"),
    hook("child_exit"),
    hook("on_reload"),
    hook("on_exit"),
    hook("pre_exec", instead="a USR2 executes hublet in place, without a fork"),
    hook("ssl_context", "worker", "hublet makes the context itself: hublet.WSGIServer takes one"),
    hook("on_dirty_starting", instead=DIRTY),
    hook("dirty_post_fork", instead=DIRTY),
    hook("dirty_worker_init", instead=DIRTY),
    hook("dirty_worker_exit", instead=DIRTY),
)
BY_NAME: Final = {each.name: each for each in NAMES}
# TLS is made by gunicorn's own function in the worker, since a hook takes part in that.
TLS: Final = ("certfile", "keyfile", "ca_certs", "cert_reqs", "ciphers")
WORKER_NAMES: Final = tuple(
    each for each in NAMES if each.in_worker == "worker" and each.becomes and each.name not in TLS
)
