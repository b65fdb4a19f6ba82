"""`hublet check`: finds out what would keep a server from starting, and starts none.

Every step is tried even if one before it has failed, so that one run names everything. Ports are bound for a moment and
never listened on; no log, socket or pidfile is made. The application is imported as the user who runs the check.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, Final

from .loader import load_application
from .logs import parse_destination
from .patches.gevent_websocket import SERVERS
from .process import enter_directory, identity_of, read_variables, settings_among, socket_access
from .runtime.errors import HubletError, SettingsError
from .runtime.syslogwriter import connect
from .servers.listeners import check_listener
from .servers.pidfile import PidfileError, check_pidfile
from .servers.settings_sources import OPTIONS, SourcedSettings

SOUND: Final = 0
WOULD_FAIL: Final = 1
WRONG_SETTING: Final = 2


class Report:
    """Prints what each step has found, and keeps the exit status: that of the worst."""

    def __init__(self) -> None:
        self.status = SOUND

    def step(self, what: str, look: Callable[[], str]) -> None:
        """Take one step; `look` returns what it found or raises."""
        try:
            found = look()
        except HubletError as error:
            self.status = max(self.status, WRONG_SETTING if isinstance(error, SettingsError) else WOULD_FAIL)
            found = f"{error}"
            what = f"{what}: PROBLEM"
        print(f"{what}: {found}", flush=True)


def check(sourced: SourcedSettings, target: str) -> int:
    """Check the settings, what they name, and the application. Returns the exit status: 0, 1 or 2 as for serving."""
    settings = sourced.settings
    report = Report()
    for warning in sourced.warnings:
        print(f"warning: {warning}")
    for option in OPTIONS.values():
        value = getattr(settings, option.name)
        if value != option.default:
            print(f"setting: {option.name} = {option.format(value)}, from {sourced.origins.get(option.name, 'hublet')}")
    report.step("directory", lambda: look_at_directory(sourced))
    report.step("user", lambda: look_at_user(sourced))
    for bind in settings.bind:
        report.step("address", lambda bind=bind: look_at_address(bind, sourced))  # type: ignore[misc]
    for name in ("log_file", "access_log_file"):
        if name == "log_file" or settings.access_log != "off":
            report.step(name, lambda name=name: look_at_log(sourced, name))  # type: ignore[misc]
    if settings.pidfile:
        report.step("pidfile", lambda: look_at_pidfile(sourced))
    report.step("variables", lambda: set_variables(sourced))
    report.step("application", lambda: look_at_application(target))
    print("nothing would keep the server from starting" if report.status == SOUND else "the server would not start")
    return report.status


def look_at_directory(sourced: SourcedSettings) -> str:
    """Go to the server's directory."""
    enter_directory(sourced)
    return os.getcwd()


def look_at_user(sourced: SourcedSettings) -> str:
    """Look up whom the server would become."""
    identity = identity_of(sourced)
    if identity is None:
        return f"stays {os.geteuid()}, group {os.getegid()}"
    return f"becomes {'unchanged' if identity.uid is None else identity.uid}, group {identity.gid}"


def look_at_address(bind: str, sourced: SourcedSettings) -> str:
    """Find out whether an address can be listened on."""
    socket_access(sourced)
    check_listener(bind, sourced.settings.backlog)
    return f"{bind} can be listened on"


def look_at_log(sourced: SourcedSettings, name: str) -> str:
    """Find out whether a log can be written, without making its file."""
    place: str = getattr(sourced.settings, name)
    address = parse_destination(sourced, name)
    try:
        if address is not None:
            connect(address).close()
        elif place != "-":
            os.close(os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
    except FileNotFoundError:
        directory = os.path.dirname(place) or "."
        if address is not None or not os.access(directory, os.W_OK | os.X_OK):
            rule = "syslog does not listen there" if address is not None else f"it cannot be made in {directory}"
            raise sourced.error(name, rule) from None
    except OSError as error:
        raise sourced.error(name, f"cannot be opened for writing: {error.strerror}") from None
    return f"{place} can be written"


def look_at_pidfile(sourced: SourcedSettings) -> str:
    """Find out whether the pidfile can be made."""
    try:
        check_pidfile(sourced.settings.pidfile)
    except PidfileError as error:
        raise sourced.error("pidfile", str(error)) from None
    return f"{sourced.settings.pidfile} can be made"


def set_variables(sourced: SourcedSettings) -> str:
    """Read the application's variables and set them, since its import may need them; their values stay unsaid."""
    variables = read_variables(sourced)
    os.environ.update(variables)
    for warning in settings_among(variables):
        print(f"warning: {warning}")
    return ", ".join(variables) or "none"


def look_at_application(target: str) -> str:
    """Import the application and say what it is."""
    SERVERS.apply()  # as the server does, before the application imports what this replaces
    application: Any = load_application(target)
    kind = "function" if inspect.isfunction(application) else f"{type(application).__qualname__} object"
    named = application if hasattr(application, "__qualname__") else type(application)
    try:
        signature = str(inspect.signature(application, follow_wrapped=False))
    except (TypeError, ValueError):
        signature = " with a signature that cannot be known"
    return f"{target} is the {kind} {named.__module__}.{named.__qualname__}{signature}"
