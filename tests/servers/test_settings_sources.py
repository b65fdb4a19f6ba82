"""The sources of settings: what each accepts, which one wins, and what an error says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hublet.runtime.errors import SettingsError
from hublet.servers.settings import ACCESS_LOG_FORMATS, LOG_LEVELS, Settings
from hublet.servers.settings_sources import (
    OPTIONS,
    SourcedSettings,
    kind_of,
    options_by_group,
    parse_size,
    resolve_settings,
    settings_from_keywords,
)


def resolve(
    given: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    directory: Path = Path("/nonexistent"),
    config: str | None = None,
) -> SourcedSettings:
    return resolve_settings(given or {}, environ or {}, directory, config)


def toml(directory: Path, text: str) -> SourcedSettings:
    (directory / "hublet.toml").write_text(text)
    return resolve(directory=directory)


def test_without_sources_everything_has_its_default() -> None:
    assert resolve() == SourcedSettings(Settings(), {})


def test_the_stronger_source_wins(tmp_path: Path) -> None:
    (tmp_path / "hublet.toml").write_text("grace = 1\nbacklog = 1\nmax-body = 1\n")
    environ = {"HUBLET_GRACE": "2", "HUBLET_BACKLOG": "2"}
    sourced = resolve({"grace": "3"}, environ, tmp_path)
    settings = sourced.settings
    assert (settings.grace, settings.backlog, settings.max_body) == (3.0, 2, 1)
    assert sourced.origins == {
        "grace": "--grace",
        "backlog": "HUBLET_BACKLOG",
        "max_body": str(tmp_path / "hublet.toml"),
    }


@pytest.mark.parametrize(
    "text, size",
    [("0", 0), ("65536", 65536), ("8K", 8192), ("8k", 8192), ("64KiB", 65536), ("64kb", 65536), ("1M", 1 << 20)]
    + [("2G", 2 << 30), ("5B", 5), ("1 MiB", 1 << 20), (" 7 ", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert resolve(environ={"HUBLET_MAX_BODY": text}).settings.max_body == size


@pytest.mark.parametrize("text", ["", "K", "1.5M", "-1", "8X", "8KK", "1e3", "٣"])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(SettingsError, match="64KiB") as caught:
        resolve(environ={"HUBLET_MAX_BODY": text})
    assert (caught.value.name, caught.value.value, caught.value.source) == ("max_body", text, "HUBLET_MAX_BODY")


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("backlog", "17", 17),
        ("grace", "0.5", 0.5),
        ("grace", "3", 3.0),
        ("reload", "1", True),
        ("reload", "Yes", True),
        ("reload", "off", False),
        ("bind", "127.0.0.1:1, [::1]:2,", ("127.0.0.1:1", "[::1]:2")),
        ("access_log", "json", "json"),
        ("access_log_file", "/var/log/a,b", "/var/log/a,b"),
        ("server_header", "", ""),
    ],
)
def test_variables(name: str, text: str, value: object) -> None:
    settings = resolve(environ={OPTIONS[name].variable: text}).settings
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value)


@pytest.mark.parametrize(
    "name, text",
    [
        ("backlog", "many"),
        ("backlog", "1.0"),
        ("grace", "soon"),
        ("grace", "nan"),
        ("grace", "inf"),
        ("reload", "maybe"),
        ("access_log", "common"),
        ("bind", ","),
        ("backlog", "0"),
        ("head_timeout", "0"),
    ],
)
def test_an_error_names_the_source_and_the_rule(name: str, text: str) -> None:
    option = OPTIONS[name]
    given: dict[str, Any] = {name: [] if name == "bind" else text}
    for source, options, environ in ((option.flag, given, {}), (option.variable, {}, {option.variable: text})):
        with pytest.raises(SettingsError) as caught:
            resolve(options, environ)
        assert (caught.value.name, caught.value.source) == (name, source)
        assert source in str(caught.value)


def test_a_mistyped_variable_is_a_warning_that_names_the_closest() -> None:
    sourced = resolve(environ={"HUBLET_MAX_BODDY": "1"})
    assert sourced.settings == Settings()
    assert sourced.warnings == (
        "the environment variable HUBLET_MAX_BODDY is ignored: there is no such setting; did you mean HUBLET_MAX_BODY?",
    )


def test_the_variables_of_a_kubernetes_service_suggest_nothing() -> None:
    names = ("PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "PORT_8000_TCP_PROTO")
    warnings = resolve(environ={f"HUBLET_{name}": "tcp://10.0.0.1:8000" for name in names}).warnings
    assert len(warnings) == len(names)
    assert not any("did you mean" in warning for warning in warnings)


@pytest.mark.parametrize(
    "name, most",
    [("backlog", 65535), ("stack_cache", 65536), ("max_body", 2**62 - 1), ("max_queued", 2**31 - 1), ("grace", 10**6)],
)
def test_the_greatest_value(name: str, most: int) -> None:
    for value in (most - 1, most):
        assert getattr(resolve({name: str(value)}).settings, name) == value
    for text in (str(most + 1), "9" * 60):
        with pytest.raises(SettingsError, match=f"at most {most}") as caught:
            resolve({name: text})
        assert caught.value.source == OPTIONS[name].flag


def test_choices_are_those_of_the_types() -> None:
    assert ACCESS_LOG_FORMATS == OPTIONS["access_log"].choices == ("off", "combined", "json")
    assert LOG_LEVELS == OPTIONS["log_level"].choices == ("debug", "info", "warning", "error")


def test_other_variables_do_not_matter() -> None:
    assert resolve(environ={"PATH": "x", "_HUBLET_X": "y", "hublet_grace": "z"}).origins == {}


@pytest.mark.parametrize("key", ["max-body", "max_body"])
@pytest.mark.parametrize("frame", ["{}", "[hublet]\n{}", "[hublet]\n{}\n[other]\nmax-boddy = 1"])
def test_toml_keys_and_tables(tmp_path: Path, key: str, frame: str) -> None:
    assert toml(tmp_path, frame.format(f'{key} = "1M"')).settings.max_body == 1 << 20


@pytest.mark.parametrize(
    "text, name, value",
    [
        ('bind = ["a:1", "b:2"]', "bind", ("a:1", "b:2")),
        ('bind = "a:1"', "bind", ("a:1",)),
        ("max-body = 5", "max_body", 5),
        ("grace = 2", "grace", 2.0),
        ("reload = true", "reload", True),
        ('access-log = "json"', "access_log", "json"),
    ],
)
def test_toml_values(tmp_path: Path, text: str, name: str, value: object) -> None:
    assert getattr(toml(tmp_path, text).settings, name) == value


@pytest.mark.parametrize(
    "text, words",
    [
        ("backlog = true", "whole number"),
        ('backlog = "5"', "whole number"),
        ("backlog = 1.5", "whole number"),
        ('grace = "5"', "number"),
        ("grace = nan", "finite"),
        ("reload = 1", "true or false"),
        ("bind = [1]", "list of strings"),
        ("access-log = 1", "string"),
        ('access-log = "common"', "off, combined, json"),
        ("max-body = -1", "at least 0"),
        ("max-boddy = 1", "did you mean max-body"),
        ("max-body = 1\nmax_body = 2", "twice"),
        ("grace = 1\n[hublet]\nbacklog = 1", "move it"),
        ("grace = ", "TOML"),
    ],
)
def test_toml_errors_name_the_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        toml(tmp_path, text)
    assert "hublet.toml" in str(caught.value)


def test_which_file_is_read(tmp_path: Path) -> None:
    for name, grace in (("hublet.toml", 1), ("variable.toml", 2), ("option.toml", 3)):
        (tmp_path / name).write_text(f"grace = {grace}")
    environ = {"HUBLET_CONFIG": "variable.toml"}
    assert resolve(directory=tmp_path).settings.grace == 1
    assert resolve(environ=environ, directory=tmp_path).settings.grace == 2
    assert resolve(environ=environ, directory=tmp_path, config=str(tmp_path / "option.toml")).settings.grace == 3
    assert resolve(environ=environ, directory=tmp_path, config="").settings == Settings()
    assert resolve(environ={"HUBLET_CONFIG": ""}, directory=tmp_path).settings == Settings()


@pytest.mark.parametrize("sources, origin", [({"config": "no.toml"}, "--config"), ({}, "HUBLET_CONFIG")])
def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path, sources: dict[str, str], origin: str) -> None:
    with pytest.raises(SettingsError, match="No such file") as caught:
        resolve(environ={"HUBLET_CONFIG": "no.toml"}, directory=tmp_path, config=sources.get("config"))
    assert caught.value.source == origin


def test_options_are_converted_like_variables() -> None:
    given = {"bind": ["a:1", " b:2"], "reload": False, "max_body": "8K"}
    sourced = resolve(given, {"HUBLET_RELOAD": "1"})
    assert (sourced.settings.bind, sourced.settings.reload, sourced.settings.max_body) == (("a:1", "b:2"), False, 8192)


def test_keywords() -> None:
    sourced = settings_from_keywords({"bind": "a:1", "grace": 1, "max_body": "1K"})
    assert (sourced.settings.bind, sourced.settings.grace, sourced.settings.max_body) == (("a:1",), 1.0, 1024)
    assert settings_from_keywords({"bind": ("a:1", "b:2")}).settings.bind == ("a:1", "b:2")
    with pytest.raises(SettingsError, match="did you mean grace"):
        settings_from_keywords({"grac": 1})
    with pytest.raises(SettingsError, match="whole number"):
        settings_from_keywords({"backlog": "x"})


def test_every_field_has_an_option_that_accepts_its_default() -> None:
    assert list(OPTIONS) == [field.name for field in dataclasses.fields(Settings)]
    for option in OPTIONS.values():
        assert option.from_toml(option.default, "test") == option.default
        if option.kind not in ("list", "flag"):
            assert option.from_text(str(option.default), "test") == option.default
    assert [each for group in options_by_group().values() for each in group] == list(OPTIONS.values())


def test_a_type_that_no_reader_knows_is_noticed() -> None:
    with pytest.raises(KeyError):
        kind_of(bytes, "")


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("max_body", 0, "0"),
        ("max_body", 1000, "1000 bytes"),
        ("max_body", 65536, "64 KiB"),
        ("max_body", 3 << 20, "3 MiB"),
        ("max_body", 2 << 30, "2 GiB"),
        ("grace", 0.5, "0.5 seconds"),
        ("grace", 30.0, "30 seconds"),
        ("bind", ("a:1", "b:2"), "a:1, b:2"),
        ("reload", True, "on"),
        ("reload", False, "off"),
        ("server_header", "", "empty"),
        ("backlog", 5, "5"),
    ],
)
def test_values_are_written_for_people(name: str, value: object, text: str) -> None:
    assert OPTIONS[name].format(value) == text
