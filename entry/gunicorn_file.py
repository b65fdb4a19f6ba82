"""`--from-gunicorn`: executes a configuration file of gunicorn's, and takes over its settings and hooks.

gunicorn's variables count as they do there: PORT, WEB_CONCURRENCY and FORWARDED_ALLOW_IPS where the file says nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging.config
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any, Final, cast

from .loader import traceback_text
from .runtime.errors import SettingsError
from .servers.gunicorn.names import BY_NAME, NAMES, Name
from .servers.settings_sources import Layer

OPTION: Final = "--from-gunicorn"
MODULE: Final = "python:"
FILE: Final = "file:"
NAME: Final = "__config__"  # of the module, as gunicorn names it
# Worker classes that hublet's takes the place of without a loss.
LIKE: Final = ("gevent", "hublet", "eventlet")


@dataclass(frozen=True, slots=True)
class GunicornFile:
    """What a configuration file says. `values` has all that is set, by gunicorn's names."""

    values: Mapping[str, Any] = field(default_factory=dict)
    layer: Layer = field(default_factory=dict)
    hooks: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The application, or an empty text."""
        return str(self.values.get("wsgi_app") or "")

    def extend_path(self) -> None:
        """Put `pythonpath` at the beginning of sys.path, as gunicorn does: the last one first."""
        for each in str(self.values.get("pythonpath") or "").split(","):
            path = os.path.abspath(each)
            if each and path not in sys.path:
                sys.path.insert(0, path)

    def configure_logging(self) -> None:
        """Configure Python's logging as the file asks. Raises SettingsError."""
        common = {"version": 1, "disable_existing_loggers": False}
        for name in ("logconfig_dict", "logconfig_json", "logconfig"):
            value = self.values.get(name)
            if not value:
                continue
            try:
                if name == "logconfig":
                    logging.config.fileConfig(value, disable_existing_loggers=False)
                else:
                    given = value if name == "logconfig_dict" else json.loads(Path(value).read_text(encoding="utf-8"))
                    logging.config.dictConfig({**common, **given})
            except (OSError, ValueError, TypeError, AttributeError, ImportError, KeyError) as error:
                raise SettingsError(name, value, f"cannot be used: {error}", OPTION) from None
            return


NO_FILE: Final = GunicornFile()


def read_gunicorn_file(location: str, directory: Path, environ: Mapping[str, str]) -> GunicornFile:
    """Execute `gunicorn.conf.py`, `file:path` or `python:module`. Raises SettingsError."""
    module = execute(location, directory)
    values = {
        name: value for name, value in vars(module).items() if name in BY_NAME and not isinstance(value, ModuleType)
    }
    for variable, name, value in (
        ("PORT", "bind", "0.0.0.0:{}"),  # what it means to gunicorn
        ("WEB_CONCURRENCY", "workers", "{}"),
        ("FORWARDED_ALLOW_IPS", "forwarded_allow_ips", "{}"),
    ):
        if environ.get(variable):
            values.setdefault(name, value.format(environ[variable]))
    hooks = {
        name: function_of(name, value, f"{name} in {location}")
        for name, value in values.items()
        if BY_NAME[name].is_hook and value is not None
    }
    layer: Layer = {}
    for name, value in values.items():
        layer |= converted(BY_NAME[name], value, f"{name} in {location}")
    ignored = tuple(
        f"{each.name} in {location} is ignored: {each.instead}"
        for each in NAMES
        if each.name in values and each.is_ignored and not is_alike(each, values[each.name])
    )
    return GunicornFile(values, layer, hooks, ignored)


def execute(location: str, directory: Path) -> ModuleType:
    """Execute the file. Raises SettingsError with the traceback of its error."""
    try:
        if location.startswith(MODULE):
            return importlib.import_module(location.removeprefix(MODULE))
        path = directory / location.removeprefix(FILE)
        loader = SourceFileLoader(NAME, str(path))
        spec = importlib.util.spec_from_loader(NAME, loader)
        if spec is None or not path.is_file():
            raise SettingsError("from_gunicorn", location, "there is no such file", OPTION)
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        loader.exec_module(module)
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:
        raise SettingsError("from_gunicorn", location, f"failed:\n{traceback_text(error)}", OPTION) from None
    return module


def function_of(name: str, value: Any, source: str) -> Callable[..., Any]:
    """A hook: a function, or as gunicorn takes it too, the dotted name of one. Raises SettingsError."""
    found = value
    if isinstance(value, str):
        try:
            found = resolve_name(value)
        except (ImportError, AttributeError, ValueError) as error:
            raise SettingsError(name, value, f"cannot be imported: {error}", source) from None
    if not callable(found):
        raise SettingsError(name, value, "must be a function, or the dotted name of one", source)
    return cast("Callable[..., Any]", found)


def converted(name: Name, value: Any, source: str) -> Layer:
    """Hublet's settings for one of gunicorn's. Raises SettingsError."""
    try:
        return {setting: (each, source) for setting, each in name.converted(value).items()}
    except (ValueError, TypeError) as error:
        raise SettingsError(name.name, value, str(error), source) from None


def is_alike(name: Name, value: Any) -> bool:
    """Whether a value asks for what hublet is anyway."""
    return name.name == "worker_class" and any(each in str(value) for each in LIKE)
