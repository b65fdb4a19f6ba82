"""Shared objects are read as they are on this machine, and put down to the packages that loaded them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hublet.doctor.shared_objects import (
    HARMLESS,
    SharedObject,
    find_suspects,
    loaded_files,
    read_shared_object,
    suspects_among,
)

SOURCE = """
#include <sys/socket.h>
#include <poll.h>
int wait_for(int descriptor) { struct pollfd one = {descriptor, POLLIN, 0}; return poll(&one, 1, -1); }
int reach(int descriptor) { return connect(descriptor, 0, 0); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("elf")
    (directory / "driver.c").write_text(SOURCE)
    made = directory / "libdriver.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", made, directory / "driver.c", "-lm"], check=True)
    return made


def test_what_it_calls_and_needs(library: Path) -> None:
    found = read_shared_object(str(library))
    assert found is not None
    assert found.waits == ("connect", "poll")
    assert any(each.startswith("libc.so") for each in found.needed)


@pytest.mark.parametrize("size", [0, 3, 40, 64, 700])
def test_what_is_cut_off_is_no_shared_object(library: Path, tmp_path: Path, size: int) -> None:
    cut = tmp_path / "cut.so"
    cut.write_bytes(library.read_bytes()[:size])
    assert read_shared_object(str(cut)) is None


def test_a_file_that_is_gone_is_none() -> None:
    assert read_shared_object("/no/such/file.so") is None


def test_this_process_has_loaded_some_and_none_of_its_own_is_suspected() -> None:
    assert any("gevent" in each for each in loaded_files())
    assert {each.package for each in find_suspects()} & {"gevent", "greenlet", "hublet"} == set()


def objects(**found: tuple[str, set[str], tuple[str, ...]]) -> dict[str, SharedObject]:
    return {
        path.rpartition("/")[2]: SharedObject(path, frozenset(needed), waits) for path, needed, waits in found.values()
    }


def test_a_library_is_put_down_to_the_package_that_needs_it() -> None:
    site = "/venv/lib/python3.11/site-packages"
    found = suspects_among(
        objects(
            extension=(f"{site}/driver/_driver.so", {"libwire.so.1"}, ()),
            bundled=(f"{site}/driver_binary.libs/libwire.so.1", {"libdeep.so"}, ("connect", "poll")),
            deep=(f"{site}/driver_binary.libs/libdeep.so", set(), ("recv",)),
            quiet=(f"{site}/numbers/_numbers.so", {"libm.so.6"}, ()),
            through_system=(f"{site}/other.so", {"libsystem.so"}, ()),
            system=("/usr/lib/libsystem.so", {"libcrypto.so.3"}, ("getaddrinfo",)),
            harmless=("/usr/lib/libcrypto.so.3", set(), ("connect",)),
            tls=(f"{site}/tls/_tls.so", {"libcrypto.so.3"}, ()),
            unused=("/usr/lib/libunused.so", set(), ("connect",)),
        )
    )
    assert [(each.package, each.file, each.symbols) for each in found] == [
        ("driver", "libwire.so.1", ("connect", "poll")),
        ("other", "libsystem.so", ("getaddrinfo",)),
    ]
    assert "libcrypto" in HARMLESS
