"""What requests over TLS find in their environ, under the names that Apache's mod_ssl gives it."""

from __future__ import annotations

import re
import ssl
from typing import Any, Final

# What every request has, whatever its connection: `environ_of` gives those that are empty here a value.
BASE: Final = {
    "wsgi.url_scheme": "https",
    "HTTPS": "on",
    "SSL_PROTOCOL": "",
    "SSL_CIPHER": "",
    "SSL_CLIENT_VERIFY": "NONE",
}
# RFC 4514 section 3, and OpenSSL's short names for what it has besides.
SHORT_NAMES: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
SPECIAL: Final = re.compile(r'[,+"\\<>;]|^[# ]| $')

# Connections have few protocols and ciphers between them: those with the same ones share a dict.
ENVIRONS: dict[tuple[str, str], dict[str, str]] = {}


def environ_of(ssl_object: ssl.SSLObject) -> dict[str, str]:
    """Describe a connection whose handshake is done; the dict belongs to many and must not be changed."""
    protocol, cipher = ssl_object.version() or "", (ssl_object.cipher() or ("",))[0]
    shared = ENVIRONS.get((protocol, cipher))
    if shared is None:
        shared = ENVIRONS[protocol, cipher] = {"SSL_PROTOCOL": protocol, "SSL_CIPHER": cipher}
    encoded = ssl_object.getpeercert(True)
    if encoded is None:
        return shared
    facts: Any = ssl_object.getpeercert()
    return {
        **shared,
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": format_name(facts["subject"]),
        "SSL_CLIENT_S_DN_CN": common_name(facts["subject"]),
        "SSL_CLIENT_I_DN": format_name(facts["issuer"]),
        "SSL_CLIENT_I_DN_CN": common_name(facts["issuer"]),
        "SSL_CLIENT_M_SERIAL": facts["serialNumber"],
        "SSL_CLIENT_V_START": facts["notBefore"],
        "SSL_CLIENT_V_END": facts["notAfter"],
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(encoded),
    }


def format_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """Write a distinguished name as RFC 4514 has it: `CN=alice,O=Example,C=GB`, the last part first."""
    return ",".join(
        "+".join(f"{SHORT_NAMES.get(kind, kind)}={escape(value)}" for kind, value in part) for part in reversed(name)
    )


def escape(value: str) -> str:
    """Take their meaning from the characters that structure a name (RFC 4514 section 2.4)."""
    return SPECIAL.sub(r"\\\g<0>", value).replace("\0", "\\00")


def common_name(name: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """The common name in a distinguished name, or nothing."""
    return next((value for part in name for kind, value in part if kind == "commonName"), "")
