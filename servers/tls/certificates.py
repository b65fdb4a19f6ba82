"""Certificates from files: what OpenSSL is given, and which of several a client gets.

`ssl` is asked for `SSLContext` when one is made, never before: gevent's patching replaces the class, and one that was
kept from before fails with RecursionError.
"""

from __future__ import annotations

import ssl
import time
from _ssl import _test_decode_cert  # type: ignore[attr-defined]  # typeshed leaves it out; CPython has no other way
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ...runtime.errors import SettingsError
from ..settings import Settings

PROTOCOLS: Final = ("http/1.1",)  # for ALPN (RFC 7301)
VERIFY_MODES: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class CertificateFiles(NamedTuple):
    """A certificate and its private key, and the settings that named them."""

    certificate: str
    key: str
    certificate_setting: str
    key_setting: str


class Certificate(NamedTuple):
    """A certificate ready for use: for which names, and since when and until when it is valid, in seconds."""

    files: CertificateFiles
    context: ssl.SSLContext
    names: tuple[str, ...]
    begins: float
    ends: float


def certificate_files(settings: Settings) -> Iterator[CertificateFiles]:
    """The files that the settings name, those of the default certificate first."""
    if settings.certfile:
        key_setting = "keyfile" if settings.keyfile else "certfile"
        yield CertificateFiles(settings.certfile, settings.keyfile or settings.certfile, "certfile", key_setting)
    for pair in settings.certificate:
        certificate, _, key = pair.rpartition(":")
        yield CertificateFiles(certificate or key, key, "certificate", "certificate")


def make_ssl_context(settings: Settings) -> tuple[ssl.SSLContext, tuple[str, ...]]:
    """Load everything; returns the context of new connections, and warnings. Raises SettingsError."""
    loaded = [load_certificate(settings, files) for files in certificate_files(settings)]
    default = loaded[0].context
    if len(loaded) > 1:
        choose_by_name(default, loaded)
    return default, tuple(warning for each in loaded for warning in date_warnings(each))


def load_certificate(settings: Settings, files: CertificateFiles) -> Certificate:
    """Load a certificate with its key. Raises SettingsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996 deprecates what is older
    context.options |= ssl.OP_NO_RENEGOTIATION  # clients could have us compute for ever
    context.num_tickets = 1  # each costs a twentieth of a handshake, and clients use the one they got last
    context.set_alpn_protocols(list(PROTOCOLS))
    load_key_pair(context, settings, files)
    if settings.ca_certs:
        load_authorities(context, settings.ca_certs)
    context.verify_mode = VERIFY_MODES[settings.client_certificates]
    if settings.ciphers:
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError:
            rule = "names no cipher suite that OpenSSL knows; `openssl ciphers -v` lists them"
            raise SettingsError("ciphers", settings.ciphers, rule) from None
    facts = _test_decode_cert(files.certificate)
    names = tuple(value.lower() for kind, value in facts.get("subjectAltName", ()) if kind == "DNS")
    begins, ends = (ssl.cert_time_to_seconds(str(facts[date])) for date in ("notBefore", "notAfter"))
    return Certificate(files, context, names, begins, ends)


def load_key_pair(context: ssl.SSLContext, settings: Settings, files: CertificateFiles) -> None:
    """Give the certificate and its key to `context`. Raises SettingsError, which names the file that is wrong."""
    if "-----BEGIN CERTIFICATE-----" not in read_pem(files.certificate_setting, files.certificate):
        rule = "holds no certificate in PEM format; `openssl x509 -inform der` converts one"
        raise SettingsError(files.certificate_setting, files.certificate, rule)
    key = read_pem(files.key_setting, files.key)
    if "PRIVATE KEY-----" not in key:
        rule = "holds no private key in PEM format"
        if files.key == files.certificate:
            rule += ": name the key's file too, as keyfile or behind a colon"
        raise SettingsError(files.key_setting, files.key, rule)
    if "ENCRYPTED" in key and not settings.key_password_file:
        rule = "the private key is encrypted: set key_password_file to a file with its password"
        raise SettingsError(files.key_setting, files.key, rule)
    try:
        # An empty password is one too; without any OpenSSL would ask the terminal.
        context.load_cert_chain(files.certificate, files.key, read_password(settings.key_password_file))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            rule = f"is not the private key of the certificate in {files.certificate}: use the one it was issued for"
        elif "ENCRYPTED" in key:
            rule = f"the private key cannot be decrypted: is the password in {settings.key_password_file} its own?"
        else:
            rule = f"cannot be used with the certificate in {files.certificate}: {error.reason or error}"
        raise SettingsError(files.key_setting, files.key, rule) from None


def load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Trust the authorities in a file. Raises SettingsError."""
    read_pem("ca_certs", path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise SettingsError("ca_certs", path, "holds no certificate in PEM format") from None


def read_pem(setting: str, path: str) -> str:
    """The text of a file. Raises SettingsError."""
    try:
        return Path(path).read_text(encoding="latin-1")  # comments between the blocks may be in any encoding
    except OSError as error:
        rule = f"cannot be read: {error.strerror}; the server's user needs to have access"
        raise SettingsError(setting, path, rule) from None


def read_password(path: str) -> str:
    """The first line of the password's file; nothing without a file. Raises SettingsError."""
    if not path:
        return ""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("key_password_file", path, f"cannot be read: {error}") from None


def date_warnings(certificate: Certificate) -> Iterator[str]:
    """Say that clients will refuse a certificate because of its dates."""
    files, now = certificate.files, time.time()
    problem = None
    if certificate.ends < now:
        problem = f"expired on {format_day(certificate.ends)}: renew it"
    elif certificate.begins > now:
        problem = f"is not valid before {format_day(certificate.begins)}: look at the clock of this machine"
    if problem is not None:
        yield f"{files.certificate_setting} = {files.certificate!r}: the certificate {problem}; clients refuse it"


def format_day(seconds: float) -> str:
    """A date as people read it."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def choose_by_name(default: ssl.SSLContext, certificates: list[Certificate]) -> None:
    """Have handshakes with `default` choose by the server name that the client asks for (RFC 6066 section 3)."""
    by_name: dict[str, ssl.SSLContext] = {}
    for certificate in certificates:
        for name in certificate.names:
            by_name.setdefault(name, certificate.context)

    def choose(ssl_object: ssl.SSLObject, asked: str | None, _context: ssl.SSLContext) -> None:
        name = (asked or "").lower()
        # A wildcard stands for one label (RFC 9525 section 6.3).
        chosen = by_name.get(name) or by_name.get("*." + name.partition(".")[2])
        if chosen is not None:
            ssl_object.context = chosen

    default.sni_callback = choose
