"""Becoming another user for good: supplementary groups first, then the group, then the user."""

from __future__ import annotations

import os
from typing import NamedTuple

from .ownership import find_group, find_user


class Identity(NamedTuple):
    """Whom a process becomes; `uid` is None where only the group changes."""

    uid: int | None
    gid: int
    name: str | None = None
    home: str | None = None

    def is_present(self) -> bool:
        """Whether the process is that already."""
        return os.getgid() == self.gid and self.uid in (None, os.getuid())


class PrivilegeError(Exception):
    """The process cannot become what it should. `name` is the setting at fault; the text says why."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        super().__init__(problem)


def find_identity(user: str, group: str) -> Identity | None:
    """Look up whom the settings name; None where they name nobody. Raises PrivilegeError."""
    try:
        gid = find_group(group) if group else None
    except ValueError as error:
        raise PrivilegeError("group", str(error)) from None
    try:
        account = find_user(user) if user else None
    except ValueError as error:
        raise PrivilegeError("user", str(error)) from None
    if account is None:
        identity = None if gid is None else Identity(None, gid)
    else:
        primary = account.gid if gid is None else gid
        if primary is None:
            raise PrivilegeError("user", "this number is no known user's: give --group too")
        identity = Identity(account.uid, primary, account.name, account.home)
    if identity is not None and os.geteuid() != 0 and not identity.is_present():
        raise PrivilegeError(
            "user" if user else "group", "only root can become somebody else; start as root, or leave it"
        )
    return identity


def become(identity: Identity) -> None:
    """Take on an identity, without a way back, and tell the application by HOME, USER and LOGNAME."""
    if os.geteuid() == 0:
        if identity.name is not None:
            os.initgroups(identity.name, identity.gid)
        else:
            os.setgroups([identity.gid])
        os.setgid(identity.gid)
        if identity.uid is not None:
            os.setuid(identity.uid)
    if identity.uid:
        confirm_no_way_back()
    for variable, value in (("HOME", identity.home), ("USER", identity.name), ("LOGNAME", identity.name)):
        if value is not None:
            os.environ[variable] = value


def confirm_no_way_back() -> None:
    """Raise PrivilegeError if the process can become root again, as with capabilities that outlive the change."""
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise PrivilegeError("user", "the process could become root again: its capabilities outlive the change of user")
