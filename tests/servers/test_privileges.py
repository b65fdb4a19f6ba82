"""Becoming another user, in processes of their own, since there is no way back."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys

import pytest
from hublet.servers.privileges import PrivilegeError, find_identity

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

SCRIPT = """
import os, sys
from hublet.servers.privileges import become, find_identity
os.setgroups([0, 4])
become(find_identity(sys.argv[1], sys.argv[2]))
print(os.getresuid(), os.getresgid(), sorted(os.getgroups()), os.environ.get("USER"), os.environ.get("HOME"))
try:
    os.setuid(0)
    print("root again" if os.getuid() else "was root all along")
except PermissionError:
    print("for good")
"""


def become(user: str, group: str) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if name not in ("USER", "HOME")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, user, group], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@needs_root
def test_a_user_with_its_own_groups() -> None:
    nobody = pwd.getpwnam("nobody")
    uids, gids = (nobody.pw_uid,) * 3, (nobody.pw_gid,) * 3
    expected = f"{uids} {gids} [{nobody.pw_gid}] nobody {nobody.pw_dir}"
    assert become("nobody", "") == [expected, "for good"]


@needs_root
def test_a_user_and_a_group() -> None:
    found, end = become("nobody", "daemon")
    assert "(1, 1, 1) [1]" in found or "(1, 1, 1) [1, 65534]" in found
    assert end == "for good"


@needs_root
def test_a_number_that_nobody_knows() -> None:
    assert become("4000000", "4000001") == [
        f"{(4000000,) * 3} {(4000001,) * 3} [4000001] None None",
        "for good",
    ]


@needs_root
def test_a_group_alone() -> None:
    assert become("", "daemon") == ["(0, 0, 0) (1, 1, 1) [1] None None", "was root all along"]


@pytest.mark.parametrize(
    "user, group, name, words",
    [
        ("nosuch", "", "user", "no user 'nosuch'"),
        ("root", "nosuch", "group", "no group 'nosuch'"),
        ("4000000", "", "user", "give --group too"),
    ],
)
def test_who_cannot_be_found(user: str, group: str, name: str, words: str) -> None:
    with pytest.raises(PrivilegeError, match=words) as caught:
        find_identity(user, group)
    assert caught.value.name == name


def test_nobody_is_named() -> None:
    assert find_identity("", "") is None


def test_only_root_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PrivilegeError, match="only root"):
        find_identity("4000000", "4000000")
    assert find_identity(str(os.getuid()), str(os.getgid())) is not None
