"""Users, groups and modes by name and number."""

from __future__ import annotations

import pytest
from hublet.servers.ownership import UNCHANGED, Account, Owner, find_group, find_owner, find_user, parse_mode


@pytest.mark.parametrize("text, mode", [("660", 0o660), ("0660", 0o660), ("0o660", 0o660), ("0", 0), ("777", 0o777)])
def test_modes(text: str, mode: int) -> None:
    assert parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "8", "rw", "1000", "-1", "0x1", "00660", " 6", "٦"])
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(ValueError, match="octal"):
        parse_mode(text)


def test_users_and_groups() -> None:
    assert find_user("root")[:3] == find_user("0")[:3] == (0, 0, "root")
    assert find_user("4000000") == Account(4000000)
    assert find_group("root") == find_group("0") == 0
    assert find_group("4000000") == 4000000


@pytest.mark.parametrize(
    "text, owner",
    [("root", Owner(0, UNCHANGED)), ("root:root", Owner(0, 0)), (":root", Owner(UNCHANGED, 0)), ("5:6", Owner(5, 6))],
)
def test_owners(text: str, owner: Owner) -> None:
    assert find_owner(text) == owner


@pytest.mark.parametrize("text, words", [("nosuch", "no user 'nosuch'"), ("root:nosuch", "no group 'nosuch'")])
def test_unknown_names(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_owner(text)
