"""Users, groups and file modes as settings name them, and what the system knows by these names."""

from __future__ import annotations

import grp
import pwd
import re
from typing import Final, NamedTuple

UNCHANGED: Final = -1  # what chown(2) takes for an owner that stays as it is
ANY_MODE: Final = 0o777


class Owner(NamedTuple):
    """Whom a file belongs to, in numbers; UNCHANGED for what stays as it is."""

    uid: int = UNCHANGED
    gid: int = UNCHANGED


class Account(NamedTuple):
    """A user: the number, the primary group, the name and the home directory; a bare number may lack all but itself."""

    uid: int
    gid: int | None = None
    name: str | None = None
    home: str | None = None


def parse_mode(text: str) -> int:
    """Read permission bits or a umask in octal: `660`, `0660` or `0o660`. Raises ValueError."""
    if re.fullmatch("(0o)?[0-7]{1,4}", text) is None or int(text, 8) > ANY_MODE:
        raise ValueError("must be octal permission bits, 0 to 777, such as 660")
    return int(text, 8)


def find_user(name: str) -> Account:
    """Look up a user by name or number; a number need not be known. Raises ValueError."""
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        if name.isdecimal():
            return Account(int(name))
        raise ValueError(f"there is no user {name!r} on this machine; `getent passwd` lists them") from None
    return Account(found.pw_uid, found.pw_gid, found.pw_name, found.pw_dir)


def find_group(name: str) -> int:
    """Look up a group by name or number; a number need not be known. Raises ValueError."""
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {name!r} on this machine; `getent group` lists them") from None


def find_owner(text: str) -> Owner:
    """Look up `user`, `user:group` or `:group`; what is not named stays unchanged. Raises ValueError."""
    user, _, group = text.partition(":")
    return Owner(find_user(user).uid if user else UNCHANGED, find_group(group) if group else UNCHANGED)
