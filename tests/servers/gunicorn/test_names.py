"""The table of gunicorn's settings, held against the real gunicorn, hublet's own settings and the documentation."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config, make_settings
from hublet.servers.gunicorn.hooks import with_four
from hublet.servers.gunicorn.names import BY_NAME, NAMES
from hublet.servers.gunicorn.reference import settings_table
from hublet.servers.settings import Settings
from hublet.servers.settings_sources import OPTIONS

DOCUMENT = Path(__file__).parents[3] / "docs" / "gunicorn.rst"


def test_it_has_every_setting_of_gunicorn() -> None:
    assert set(BY_NAME) == set(make_settings())
    assert len(BY_NAME) == len(NAMES)


def test_every_setting_becomes_some_of_hublets_or_has_a_reason() -> None:
    for each in NAMES:
        assert set(each.becomes) <= set(OPTIONS), each.name
        assert bool(each.becomes) != bool(each.instead), each.name
        assert each.is_hook == callable(make_settings()[each.name].get()), each.name


def test_its_options_are_gunicorns_and_none_of_hublets() -> None:
    known = {option for setting in make_settings().values() for option in setting.cli or ()}
    ours = {option.flag for option in OPTIONS.values()}
    taken = {option for each in NAMES for option in each.options}
    assert taken <= known
    assert not taken & ours


def test_gunicorns_defaults_can_be_converted() -> None:
    config = Config()
    for each in NAMES:
        if each.becomes and not each.name.startswith(("ca_", "cert", "key", "ciphers")):
            Settings(**each.converted(config.settings[each.name].get()))


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("bind", ["unix:/run/shop", "tcp://a:1", "[::1]", "fd://3", ":9"],
         {"bind": ("unix:/run/shop", "a:1", "[::1]:8000", "fd://3", ":9")}),
        ("bind", "a:1, unix:///b", {"bind": ("a:1", "unix:/b")}),
        ("umask", 0o22, {"umask": "022"}),
        ("umask", "0o27", {"umask": "027"}),
        ("raw_env", ["A=b,c"], {"env": ("A=b,c",)}),
        ("raw_env", "A=b,c", {"env": ("A=b,c",)}),
        ("limit_request_line", 0, {"max_request_line": 2**20}),
        ("limit_request_line", 8191, {"max_request_line": 8190}),
        ("limit_request_line", -1, {"max_request_line": 8190}),
        ("limit_request_fields", 0, {"max_header_fields": 32768}),
        ("limit_request_fields", 32768, {"max_header_fields": 32768}),
        ("limit_request_field_size", 0, {"max_field_size": 8188, "max_header_size": 65536}),
        ("limit_request_field_size", 100_000, {"max_field_size": 99_998, "max_header_size": 800_000}),
        ("forwarded_allow_ips", "10.0.0.0/8,::1", {"trusted_proxies": ("10.0.0.0/8", "::1", "unix")}),
        ("forwarded_allow_ips", "*", {"trusted_proxies": ("*",)}),
        ("cert_reqs", ssl.CERT_OPTIONAL, {"client_certificates": "optional"}),
        ("cert_reqs", 2, {"client_certificates": "required"}),
        ("accesslog", None, {}),
        ("accesslog", "a.log", {"access_log": "combined", "access_log_file": "a.log"}),
        ("loglevel", "CRITICAL", {"log_level": "error"}),
        ("keepalive", "5", {"keepalive_timeout": 5.0}),
    ],
)  # fmt: skip
def test_conversions(name: str, value: Any, expected: dict[str, Any]) -> None:
    assert BY_NAME[name].converted(value) == expected
    Settings(**{key: each for key, each in expected.items() if key != "client_certificates"})


@pytest.mark.parametrize("name, value", [("workers", "many"), ("timeout", "x"), ("umask", "9z"), ("cert_reqs", 7)])
def test_what_cannot_be_read_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        BY_NAME[name].converted(value)


def test_post_request_may_take_fewer_arguments() -> None:
    assert with_four(lambda worker, req: (worker, req))(1, 2, 3, 4) == (1, 2)
    assert with_four(lambda worker, req, environ: environ)(1, 2, 3, 4) == 3
    assert with_four(lambda *all: all)(1, 2, 3, 4) == (1, 2, 3, 4)


def test_the_document_has_the_table() -> None:
    assert DOCUMENT.read_text(encoding="utf-8").endswith(settings_table())
