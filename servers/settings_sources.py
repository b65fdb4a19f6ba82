"""Builds the settings from their sources. Strongest first: options, `HUBLET_*` variables, a TOML file, the defaults.

What each source accepts is derived from the fields of Settings, so a new field needs no change here unless it has a
type that no other field has. Every error is a SettingsError that names its source.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from ..runtime.errors import SettingsError
from ..runtime.limits import KIB
from .settings import Settings

VARIABLE_PREFIX: Final = "HUBLET_"
CONFIG_VARIABLE: Final = "HUBLET_CONFIG"
CONFIG_FILE: Final = "hublet.toml"
CONFIG_TABLE: Final = "hublet"
KEYWORDS: Final = "a keyword argument"

SIZE = re.compile(r"([0-9]{1,100}) ?(?:([KMG])(?:i?B)?|B)?", re.IGNORECASE)
UNITS = {"": 1, "K": KIB, "M": KIB**2, "G": KIB**3}
# How alike names must be (difflib's ratio) for one to be suggested for the other: about one letter in four may differ.
LIKENESS: Final = 0.75
TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

Kind = Literal["count", "size", "number", "flag", "list", "choice", "text"]
# A source's settings: the value, and the source in the words that a message uses.
Layer = dict[str, tuple[Any, str]]


@dataclass(frozen=True, slots=True)
class Option:
    """One field of Settings as its sources see it."""

    name: str
    kind: Kind
    default: Any
    group: str
    help: str
    unit: str
    choices: tuple[str, ...]
    words: Mapping[str, Any]
    metavar: str
    secret: bool

    @property
    def flag(self) -> str:
        """The name on the command line, `--max-body`."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment, `HUBLET_MAX_BODY`."""
        return VARIABLE_PREFIX + self.name.upper()

    def from_option(self, given: Any, source: str) -> Any:
        """Convert what stood on the command line: a text, a list of texts for a repeated option, or a bool."""
        if isinstance(given, list):
            return tuple(item.strip() for item in given)
        return given if isinstance(given, bool) else self.from_text(given, source)

    def from_text(self, text: str, source: str) -> Any:
        """Convert the text of a variable or an option. Raises SettingsError."""
        if text.strip() in self.words:
            return self.words[text.strip()]
        return self._convert(TEXT_READERS[self.kind], text, source)

    def from_toml(self, value: object, source: str) -> Any:
        """Convert a value of a TOML file or a keyword argument. Raises SettingsError."""
        if isinstance(value, str) and value in self.words:
            return self.words[value]
        return self._convert(TOML_READERS[self.kind], value, source)

    def format(self, value: Any) -> str:
        """Write a value as a person would, with its unit: `64 KiB`, `30 seconds`, `a, b`, `on`.

        Of secret values only the names before their equals signs.
        """
        if self.secret:
            value = tuple(item.partition("=")[0] for item in value)
        if self.kind == "size":
            return format_size(value)
        if self.kind == "flag":
            return "on" if value else "off"
        if self.kind == "list":
            return ", ".join(value) or "none"
        if self.kind == "number":
            return f"{value:g} {self.unit}".rstrip()
        return next((word for word, meant in self.words.items() if meant == value), str(value)) or "empty"

    def _convert(self, read: Callable[[Any], Any], given: Any, source: str) -> Any:
        try:
            value = read(given)
        except ValueError as error:
            raise SettingsError(self.name, given, str(error), source) from None
        if self.choices and value not in self.choices:
            raise SettingsError(self.name, given, f"must be one of {', '.join(self.choices)}", source)
        return value


@dataclass(frozen=True, slots=True)
class SourcedSettings:
    """The settings, for each that did not keep its default the source that decided it, and warnings to be logged."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def error(self, name: str, rule: str) -> SettingsError:
        """The error for a setting whose value the system refuses, with the source that decided it."""
        return SettingsError(name, getattr(self.settings, name), rule, self.origins.get(name, ""))


def kind_of(hint: Any, unit: str) -> Kind:
    """Classify a field by its type, and by its unit where that changes how it is written."""
    if get_origin(hint) is Literal:
        return "choice"
    if hint == tuple[str, ...]:
        return "list"
    if hint is int and unit == "bytes":
        return "size"
    kinds: dict[Any, Kind] = {bool: "flag", int: "count", float: "number", str: "text"}
    return kinds[hint]


def options_of(settings: type[Settings]) -> dict[str, Option]:
    """Describe each field of the settings, by name and in their order."""
    hints = get_type_hints(settings)
    options = {}
    for field in dataclasses.fields(settings):
        hint, unit = hints[field.name], field.metadata["unit"]
        kind = kind_of(hint, unit)
        choices = get_args(hint) if kind == "choice" else ()
        facts = {name: field.metadata[name] for name in ("group", "help", "words", "metavar", "secret")}
        options[field.name] = Option(
            name=field.name, kind=kind, default=field.default, unit=unit, choices=choices, **facts
        )
    return options


def parse_size(text: str) -> int:
    """Read a number of bytes such as `65536`, `8K`, `64KiB` or `2G`; the units are powers of 1024."""
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a whole number of bytes, or one with a unit: 8K, 64KiB, 1M, 2G")
    return int(match[1]) * UNITS[(match[2] or "").upper()]


def format_size(size: int) -> str:
    """Write a number of bytes with the largest unit that divides it."""
    for unit, factor in reversed(UNITS.items()):
        if unit and size and size % factor == 0:
            return f"{size // factor} {unit}iB"
    return f"{size} bytes" if size else "0"


def parse_count(text: str) -> int:
    """Read a whole number."""
    if re.fullmatch(r"[+-]?[0-9]{1,100}", text.strip()) is None:
        raise ValueError("must be a whole number")
    return int(text)


def parse_number(text: str) -> float:
    """Read a finite number."""
    try:
        return check_finite(float(text))
    except ValueError:
        raise ValueError("must be a number such as 30 or 0.5") from None


def parse_flag(text: str) -> bool:
    """Read a switch."""
    truth = TRUTH.get(text.strip().lower())
    if truth is None:
        raise ValueError(f"must be one of {', '.join(TRUTH)}")
    return truth


def parse_list(text: str) -> tuple[str, ...]:
    """Split a comma-separated list; empty items fall away."""
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def check_finite(value: float) -> float:
    """Return the number. Raises ValueError for NaN and the infinities, which no timeout can mean."""
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def toml_size(value: object) -> int:
    """Accept a number of bytes, or a string as on the command line."""
    return parse_size(value) if isinstance(value, str) else toml_count(value)


def toml_count(value: object) -> int:
    """Accept an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def toml_number(value: object) -> float:
    """Accept a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return check_finite(float(value))


def toml_flag(value: object) -> bool:
    """Accept a boolean."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def toml_text(value: object) -> str:
    """Accept a string."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def toml_list(value: object) -> tuple[str, ...]:
    """Accept a list of strings, or one string for a list of one."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a list of strings")
    return tuple(items)


TEXT_READERS: dict[Kind, Callable[[str], object]] = {
    "count": parse_count,
    "size": parse_size,
    "number": parse_number,
    "flag": parse_flag,
    "list": parse_list,
    "choice": str.strip,
    "text": str,
}
TOML_READERS: dict[Kind, Callable[[object], object]] = {
    "count": toml_count,
    "size": toml_size,
    "number": toml_number,
    "flag": toml_flag,
    "list": toml_list,
    "choice": toml_text,
    "text": toml_text,
}
OPTIONS: Final = options_of(Settings)


def options_by_group() -> dict[str, list[Option]]:
    """The options under the heading of each group."""
    groups: dict[str, list[Option]] = {}
    for option in OPTIONS.values():
        groups.setdefault(option.group, []).append(option)
    return groups


def resolve_settings(
    given: Mapping[str, Any],
    environ: Mapping[str, str],
    directory: Path,
    config: str | None = None,
    gunicorn: Layer | None = None,
    renamed: Layer | None = None,
) -> SourcedSettings:
    """Merge the sources, weakest first, and check the result.

    `given` maps the names of the options on the command line to what stood there, `config` is the `--config` option,
    and a hublet.toml is looked for in `directory`. `gunicorn` has the settings of a configuration file of gunicorn's,
    which are stronger than those of hublet's own, and `renamed` those that stood on the command line by gunicorn's
    names, which are weaker than those by hublet's. Raises SettingsError, with its source, for the first thing that
    cannot be used.
    """
    sourced = merge(
        read_file(environ, directory, config),
        gunicorn or {},
        read_variables(environ),
        renamed or {},
        read_options(given),
    )
    return dataclasses.replace(sourced, warnings=tuple(unknown_variables(environ)))


def settings_from_keywords(keywords: Mapping[str, object]) -> SourcedSettings:
    """Build the settings from Python arguments; neither variables nor files are read. Raises SettingsError."""
    layer: Layer = {}
    for name, value in keywords.items():
        if name not in OPTIONS:
            raise unknown_setting(name, value, OPTIONS, KEYWORDS)
        layer[name] = (OPTIONS[name].from_toml(value, KEYWORDS), KEYWORDS)
    return merge(layer)


def merge(*layers: Layer) -> SourcedSettings:
    """Lay the layers over the defaults, a later one over an earlier one."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for name, (value, source) in layer.items():
            values[name] = value
            origins[name] = source
    try:
        settings = Settings(**values)
    except SettingsError as error:
        raise SettingsError(error.name, error.value, error.rule, origins.get(error.name, "")) from None
    return SourcedSettings(settings, origins)


def read_options(given: Mapping[str, Any]) -> Layer:
    """Convert the options of the command line."""
    return {
        name: (OPTIONS[name].from_option(value, OPTIONS[name].flag), OPTIONS[name].flag)
        for name, value in given.items()
    }


def read_variables(environ: Mapping[str, str]) -> Layer:
    """Convert the variables of the settings."""
    return {
        name: (option.from_text(environ[option.variable], option.variable), option.variable)
        for name, option in OPTIONS.items()
        if option.variable in environ
    }


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """A warning for each `HUBLET_*` variable that no setting has.

    It need not be a mistyped one: Kubernetes makes HUBLET_PORT and others for a Service that is named hublet.
    """
    known = {option.variable for option in OPTIONS.values()} | {CONFIG_VARIABLE}
    for variable in environ:
        if variable.startswith(VARIABLE_PREFIX) and variable not in known:
            # Without the prefix, which would make all of them alike.
            suffixes = [each.removeprefix(VARIABLE_PREFIX) for each in sorted(known)]
            closest = closest_name(variable.removeprefix(VARIABLE_PREFIX), suffixes)
            question = f"; did you mean {VARIABLE_PREFIX}{closest}?" if closest else ""
            yield f"the environment variable {variable} is ignored: there is no such setting{question}"


def find_file(environ: Mapping[str, str], directory: Path, config: str | None) -> tuple[Path | None, str]:
    """Decide which TOML file to read, if any, and say what named it. An empty name means that none is read."""
    for chosen, source in ((config, "--config"), (environ.get(CONFIG_VARIABLE), CONFIG_VARIABLE)):
        if chosen is not None:
            return (directory / chosen if chosen else None), source
    usual = directory / CONFIG_FILE
    return (usual if usual.is_file() else None), CONFIG_FILE


def read_file(environ: Mapping[str, str], directory: Path, config: str | None) -> Layer:
    """Convert the keys of the TOML file."""
    path, source = find_file(environ, directory, config)
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror}"
        raise SettingsError("config", str(path), problem, source) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("config", str(path), f"is not valid TOML: {error}", source) from None
    layer: Layer = {}
    for key, value in keys_of(document, str(path)).items():
        name = key.replace("-", "_")
        if name not in OPTIONS:
            raise unknown_setting(key, value, [option.replace("_", "-") for option in OPTIONS], str(path))
        if name in layer:
            raise SettingsError(name, value, "stands there twice, once with - and once with _", str(path))
        layer[name] = (OPTIONS[name].from_toml(value, str(path)), str(path))
    return layer


def keys_of(document: dict[str, Any], source: str) -> dict[str, Any]:
    """Pick the settings out of a TOML document: its [hublet] table, or the whole of it where there is none."""
    table = document.get(CONFIG_TABLE)
    if not isinstance(table, dict):
        return document
    for key, value in document.items():
        if not isinstance(value, dict):
            raise SettingsError(key, value, f"stands outside of the [{CONFIG_TABLE}] table: move it there", source)
    return table


def unknown_setting(name: str, value: object, valid: Iterable[str], source: str) -> SettingsError:
    """The error for a name that no setting has, with the closest one that there is."""
    closest = closest_name(name, valid)
    remedy = f"did you mean {closest}?" if closest else "`hublet --help` lists them"
    return SettingsError(name, value, f"there is no such setting; {remedy}", source)


def closest_name(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that a mistyped one must have meant, if one is alike."""
    closest = difflib.get_close_matches(name, list(valid), n=1, cutoff=LIKENESS)
    return closest[0] if closest else None
