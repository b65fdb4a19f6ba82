"""TLS as the users speak it: whose certificates they accept, and which they show."""

from __future__ import annotations

import socket
import ssl
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

HANDSHAKE_TIMEOUT: Final = 10.0
# What OpenSSL says of bytes that are no TLS.
NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE")


class CertificateProblem(ValueError):
    """The server's certificate is refused, or there is no TLS to be had. The text says what to do."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Options of a client's, named as curl's are.

    `insecure` accepts any certificate; `cacert` is a PEM file with the authorities that are trusted in place of the
    system's; `cert` and `key` are PEM files of a certificate of the users' own (an empty `key`: it is in `cert`).
    """

    insecure: bool = False
    cacert: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """The context for the client's sockets; one for all, since it is costly. Raises OSError."""
        return make_context(self)

    def websocket_options(self) -> dict[str, Any]:
        """The `sslopt` of websocket-client, which sets the context's fields to its own defaults if it is not told."""
        context = self.context()
        return {"context": context, "cert_reqs": context.verify_mode, "check_hostname": context.check_hostname}

    def prepare(self, session: Any) -> None:
        """Have a session of requests' do the same. It knows the system's authorities by where they are."""
        paths = ssl.get_default_verify_paths()
        session.verify = not self.insecure and (self.cacert or paths.cafile or paths.capath or True)
        session.cert = (self.cert, self.key) if self.key else self.cert or None
        if self.insecure:
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")


@lru_cache(maxsize=16)
def make_context(tls: ClientTls) -> ssl.SSLContext:
    """Build the context. Raises OSError for a file that cannot be used."""
    context = ssl.create_default_context(cafile=tls.cacert or None)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key or None)
    return context


def check_files(tls: ClientTls) -> None:
    """Raise CertificateProblem if a file cannot be used."""
    for option, cacert, cert, key in (("--cacert", tls.cacert, "", ""), ("--cert", "", tls.cert, tls.key)):
        try:
            make_context(ClientTls(cacert=cacert, cert=cert, key=key))
        except OSError as error:  # ssl.SSLError is one
            files = " and ".join(filter(None, (cacert, cert, key)))
            problem = f"{option} {files} cannot be used: {error.strerror or error}; it takes PEM files"
            raise CertificateProblem(problem) from None


def check_server(url: str, tls: ClientTls) -> None:
    """Shake hands with the server of an https URL. Raises CertificateProblem; one that cannot be reached passes."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return
    try:
        handshake(parts.hostname or "", parts.port or 443, tls)
    except ssl.SSLCertVerificationError as error:
        raise CertificateProblem(
            f"the certificate of {url} is refused: {error.verify_message}; give --cacert FILE with the certificate "
            "of its authority (one that is signed by itself is its own), or --insecure to accept any"
        ) from None
    except ssl.SSLError as error:
        what = "it does not speak TLS: use http://" if error.reason in NO_TLS else f"{error.reason or error}"
        raise CertificateProblem(f"no TLS connection to {url}: {what}") from None
    except OSError:
        return  # the report will tell of the users' connections


def speaks_tls(host: str, port: int) -> bool:
    """Whether the server of an open port speaks TLS, whatever its certificate is. Raises OSError."""
    try:
        handshake(host, port, ClientTls(insecure=True))
    except ssl.SSLError as error:
        return error.reason not in NO_TLS  # it speaks it, and turns this client away
    except ConnectionError:
        return False
    return True


def handshake(host: str, port: int, tls: ClientTls) -> None:
    """Connect, shake hands and disconnect. Raises OSError."""
    with (
        socket.create_connection((host, port), timeout=HANDSHAKE_TIMEOUT) as connection,
        tls.context().wrap_socket(connection, server_hostname=host),
    ):
        pass
