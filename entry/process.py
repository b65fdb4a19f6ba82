"""Turns this process into the one that the settings describe: directory, umask, variables, pidfile, user, title.

Each step has its place in the order of `hublet.serving`: what needs root before the user changes, everything before the
application is imported.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .logs import Logs
from .servers.env_file import parse_assignment, read_env_file
from .servers.ownership import Owner, find_owner, parse_mode
from .servers.pidfile import Pidfile, PidfileError
from .servers.privileges import Identity, PrivilegeError, become, find_identity
from .servers.process_title import set_process_title
from .servers.settings_sources import VARIABLE_PREFIX, SourcedSettings
from .servers.systemd import activated_sockets
from .servers.unix_sockets import SocketAccess


def with_passed_sockets(sourced: SourcedSettings, inherited: Mapping[str, Any] | None = None) -> SourcedSettings:
    """Listen on the sockets that systemd or the reloader passes, unless addresses were asked for."""
    passed = activated_sockets()
    if "bind" in sourced.origins:
        unused = sorted(set(passed) - set(sourced.settings.bind))
        if not unused:
            return sourced
        warning = f"systemd passes {', '.join(unused)}, on which nothing listens, since bind says where to listen"
        return dataclasses.replace(sourced, warnings=(*sourced.warnings, warning))
    if inherited:
        return with_bind(sourced, tuple(inherited), "the reloader")
    if passed:
        names = ", ".join(dict.fromkeys(filter(None, passed.values())))
        return with_bind(sourced, tuple(passed), f"systemd ({names})" if names else "systemd")
    return sourced


def with_bind(sourced: SourcedSettings, bind: tuple[str, ...], origin: str) -> SourcedSettings:
    """The settings with other addresses."""
    if bind == sourced.settings.bind:
        return sourced
    settings = dataclasses.replace(sourced.settings, bind=bind)
    return dataclasses.replace(sourced, settings=settings, origins={**sourced.origins, "bind": origin})


def enter_directory(sourced: SourcedSettings) -> None:
    """Go to `chdir` and set `umask`. Raises SettingsError."""
    settings = sourced.settings
    if settings.umask:
        os.umask(parse_mode(settings.umask))
    if settings.chdir:
        try:
            os.chdir(settings.chdir)
        except OSError as error:
            raise sourced.error("chdir", f"cannot go there: {error.strerror}") from None


def read_variables(sourced: SourcedSettings) -> dict[str, str]:
    """The variables for the application: those of `env_file`, and over them those of `env`. Raises SettingsError."""
    settings = sourced.settings
    variables = {}
    if settings.env_file:
        try:
            variables = read_env_file(settings.env_file)
        except OSError as error:
            raise sourced.error("env_file", f"cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise sourced.error("env_file", str(error)) from None
    return variables | dict(parse_assignment(each) for each in settings.env)


def settings_among(variables: Mapping[str, str]) -> list[str]:
    """A warning for each variable for the application that looks like one of hublet's."""
    return [
        f"the variable {name} is for the application only: hublet's settings are read before env and env_file"
        for name in variables
        if name.startswith(VARIABLE_PREFIX)
    ]


def socket_access(sourced: SourcedSettings) -> SocketAccess:
    """Who may connect to Unix sockets. Raises SettingsError."""
    settings = sourced.settings
    try:
        owner = find_owner(settings.socket_owner) if settings.socket_owner else Owner()
    except ValueError as error:
        raise sourced.error("socket_owner", str(error)) from None
    return SocketAccess(parse_mode(settings.socket_mode), owner)


def identity_of(sourced: SourcedSettings) -> Identity | None:
    """Whom `user` and `group` name. Raises SettingsError."""
    try:
        return find_identity(sourced.settings.user, sourced.settings.group)
    except PrivilegeError as error:
        raise sourced.error(error.name, str(error)) from None


def change_identity(sourced: SourcedSettings, identity: Identity | None, logs: Logs) -> None:
    """Become the user of the settings. Raises SettingsError."""
    if identity is None:
        return
    if os.geteuid() == 0:
        logs.give_to(-1 if identity.uid is None else identity.uid, identity.gid)
    try:
        become(identity)
    except PrivilegeError as error:
        raise sourced.error(error.name, str(error)) from None
    except OSError as error:
        raise sourced.error("user" if sourced.settings.user else "group", f"is refused: {error.strerror}") from None


@contextmanager
def pidfile(sourced: SourcedSettings) -> Iterator[None]:
    """Have the pidfile, if there is to be one. Raises SettingsError."""
    if not sourced.settings.pidfile:
        yield
        return
    try:
        made = Pidfile(sourced.settings.pidfile)
    except PidfileError as error:
        raise sourced.error("pidfile", str(error)) from None
    try:
        yield
    finally:
        made.remove()


def title(sourced: SourcedSettings, role: str = "") -> list[str]:
    """Give this process its name, if it is to have one. Returns warnings."""
    name = sourced.settings.process_name
    warning = set_process_title(name, role) if name else None
    return [warning] if warning else []
