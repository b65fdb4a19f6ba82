"""Certificate files: what is wrong with one is said with its name, and what a name in one looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hublet.runtime.errors import SettingsError
from hublet.servers.settings import Settings
from hublet.servers.tls.certificates import make_ssl_context
from hublet.servers.tls.environ import common_name, format_name

from tests.servers.tls.authority import openssl
from tests.servers.tls.conftest import Connect, Files, Secure


@pytest.fixture
def encrypted(files: Files, tmp_path: Path) -> str:
    path = str(tmp_path / "encrypted.key")
    openssl("ec", "-in", files.server[1], "-aes256", "-passout", "pass:secret", "-out", path)
    return path


@pytest.mark.parametrize(
    "name, change, rule",
    [
        ("certfile", lambda files: {"certfile": "missing.pem"}, "cannot be read: No such file"),
        ("keyfile", lambda files: {"keyfile": "missing.key"}, "cannot be read: No such file"),
        ("certfile", lambda files: {"certfile": files.server[1]}, "holds no certificate in PEM format; `openssl x509"),
        ("keyfile", lambda files: {"keyfile": files.server[0]}, "holds no private key"),
        ("certfile", lambda files: {"keyfile": ""}, "holds no private key in PEM format: name the key's file too"),
        ("keyfile", lambda files: {"keyfile": files.client[1]}, "is not the private key of the certificate in"),
        ("certificate", lambda files: {"certificate": ("missing",)}, "cannot be read"),
        ("ca_certs", lambda files: {"ca_certs": "missing"}, "cannot be read"),
        ("ca_certs", lambda files: {"ca_certs": files.server[1]}, "holds no certificate"),
        ("ciphers", lambda files: {"ciphers": "ROT13"}, "names no cipher suite .*`openssl ciphers -v` lists them"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(files: Files, name: str, change: Callable[[Files], dict[str, Any]], rule: str) -> None:
    with pytest.raises(SettingsError, match=rule) as caught:
        make_ssl_context(Settings(**{**files.tls, **change(files)}))
    assert caught.value.name == name


def test_a_key_with_a_password(secure: Secure, connect: Connect, files: Files, encrypted: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is encrypted: set key_password_file"):
        make_ssl_context(Settings(certfile=files.server[0], keyfile=encrypted))
    password = tmp_path / "password"
    password.write_text("wrong\n")
    settings: dict[str, Any] = {"certfile": files.server[0], "keyfile": encrypted, "key_password_file": str(password)}
    with pytest.raises(SettingsError, match=r"cannot be decrypted: is the password in .* its own\?"):
        make_ssl_context(Settings(**settings))
    password.write_text("secret\nanything\n")
    assert connect(secure(**settings)).get().status == 200
    with pytest.raises(SettingsError, match="key_password_file .* cannot be read"):
        make_ssl_context(Settings(**{**settings, "key_password_file": "missing"}))


def test_a_certificate_that_has_expired_is_served_with_a_warning(secure: Secure, files: Files) -> None:
    certificate, key = files.authority.issue("old", "localhost", days=-1)
    served = secure(certfile=certificate, keyfile=key)
    assert f"certfile = {certificate!r}: the certificate expired on 20" in served.log
    assert "renew it; clients refuse it" in served.log
    assert make_ssl_context(Settings(**files.tls))[1] == ()


@pytest.mark.parametrize(
    "settings, name",
    [
        ({"keyfile": "k"}, "keyfile"),
        ({"ca_certs": "c"}, "ca_certs"),
        ({"ciphers": "c"}, "ciphers"),
        ({"key_password_file": "p"}, "key_password_file"),
        ({"client_certificates": "required"}, "client_certificates"),
        ({"client_certificates": "maybe", "certfile": "c"}, "client_certificates"),
        ({"client_certificates": "optional", "certfile": "c"}, "client_certificates"),
        ({"certificate": ("c:k",), "keyfile": "k"}, "keyfile"),
        ({"certificate": ("c:",)}, "certificate"),
        ({"certificate": (":k",)}, "certificate"),
        ({"certificate": ("",)}, "certificate"),
        ({"handshake_timeout": 0.0}, "handshake_timeout"),
    ],
    ids=repr,
)
def test_settings_that_do_not_fit_together(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**settings)
    assert caught.value.name == name


def test_names_are_written_as_in_rfc_4514() -> None:
    name = ((("countryName", "GB"),), (("organizationName", 'A+B, "C"'),), (("userId", "#1"), ("commonName", " a ")))
    assert format_name(name) == r"UID=\#1+CN=\ a\ ,O=A\+B\, \"C\",C=GB"
    assert common_name(name) == " a "
    assert (format_name(()), common_name(())) == ("", "")
    assert format_name(((("emailAddress", "a\0b"),),)) == r"emailAddress=a\00b"
