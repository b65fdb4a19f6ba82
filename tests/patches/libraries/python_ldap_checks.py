"""What is checked of python-ldap, in a patched process."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import gevent
import ldap
import ldap.ldapobject
import ldap.modlist

from loadtests.bench.libraries.ticker import measured
from loadtests.private.slow_proxy import slow_proxy

from .probe import ATTEMPTS, assert_ends_when_killed, assert_raises, assert_undone, assert_yields

ADMIN = ("cn=admin,dc=test", "secret")


@contextmanager
def connection(port: int) -> Iterator[Any]:
    made = ldap.initialize(f"ldap://127.0.0.1:{port}")
    try:
        yield made
    finally:
        made.unbind_s()


def fill(port: int) -> None:
    with connection(port) as directory:
        directory.simple_bind_s(*ADMIN)
        with_class = {"objectClass": [b"organization", b"dcObject"], "o": [b"test"], "dc": [b"test"]}
        try:
            directory.add_s("dc=test", ldap.modlist.addModlist(with_class))
            for number in range(20):
                entry = {"objectClass": [b"organizationalUnit"], "ou": [f"unit{number}".encode()]}
                directory.add_s(f"ou=unit{number},dc=test", ldap.modlist.addModlist(entry))
        except ldap.ALREADY_EXISTS:
            pass


def check_binding_and_searching(port: int) -> None:
    fill(port)
    with slow_proxy(port) as slow:

        def operation() -> None:
            with connection(slow) as directory:
                directory.simple_bind_s(*ADMIN)
                assert len(directory.search_s("dc=test", ldap.SCOPE_ONELEVEL)) == 20

        assert_yields(operation)


def check_one_connection_of_several_greenlets(port: int) -> None:
    fill(port)
    with connection(port) as directory:

        def search(number: int) -> Any:
            ((_, entry),) = directory.search_s("dc=test", ldap.SCOPE_SUBTREE, f"(ou=unit{number})")
            return entry["ou"]

        with measured() as all_of_them:
            tasks = [gevent.spawn(search, number) for number in range(20)]
            assert [each.get(timeout=10) for each in tasks] == [[f"unit{number}".encode()] for number in range(20)]
        assert all_of_them.elapsed < 2


def check_changes(port: int) -> None:
    fill(port)
    with connection(port) as directory:
        directory.simple_bind_s(*ADMIN)
        directory.modify_s("ou=unit1,dc=test", [(ldap.MOD_REPLACE, "description", b"changed")])
        assert directory.compare_s("ou=unit1,dc=test", "description", b"changed")
        assert not directory.compare_s("ou=unit1,dc=test", "description", b"other")
        assert directory.whoami_s() == "dn:cn=admin,dc=test"


def check_errors_and_time_limits(port: int) -> None:
    with connection(port) as directory:
        assert_raises(ldap.INVALID_CREDENTIALS, lambda: directory.simple_bind_s("cn=admin,dc=test", "wrong"))
        assert_raises(ldap.NO_SUCH_OBJECT, lambda: directory.search_s("dc=nowhere", ldap.SCOPE_BASE))
    with slow_proxy(port) as slow, connection(slow) as directory:
        for _ in range(ATTEMPTS):
            message = directory.simple_bind(*ADMIN)
            assert directory.result(message, timeout=0) == (None, None)
            with measured() as waiting:
                assert_raises(ldap.TIMEOUT, partial(directory.result, message, timeout=0.05))
            assert directory.result(message)[0] == ldap.RES_BIND
            if waiting.elapsed < 0.15:
                break
        else:
            raise AssertionError(f"a time limit of 0.05 s passes late, in each of {ATTEMPTS} attempts; {waiting}")
    with connection(1) as directory:
        assert_raises(ldap.SERVER_DOWN, lambda: directory.simple_bind_s(*ADMIN))


def check_extended_operations(port: int) -> None:
    """Their answers are asked for with controls, which the library decodes."""
    fill(port)
    with slow_proxy(port) as slow, connection(slow) as directory:
        directory.simple_bind_s(*ADMIN)
        error = assert_raises(ldap.LDAPError, lambda: directory.passwd_s("ou=none,dc=test", None, "new"))
        assert type(error).__module__ == "ldap", error


def check_pickling(port: int) -> None:
    """Of the class that reconnects: its state is that of the library."""
    directory = ldap.ldapobject.ReconnectLDAPObject(f"ldap://127.0.0.1:{port}")
    directory.simple_bind_s(*ADMIN)
    again = pickle.loads(pickle.dumps(directory))
    assert again.whoami_s() == "dn:cn=admin,dc=test"
    assert not [name for name in directory.__getstate__() if "hublet" in name]


def check_kill(port: int) -> None:
    fill(port)
    with slow_proxy(port) as slow, connection(slow) as directory:
        directory.simple_bind_s(*ADMIN)
        assert_ends_when_killed(lambda: directory.search_s("dc=test", ldap.SCOPE_SUBTREE), within=0.15)
        assert directory.search_s("dc=test", ldap.SCOPE_BASE)[0][0] == "dc=test"


def check_without_a_hub(port: int) -> None:
    def use() -> Any:
        with connection(port) as directory:
            directory.simple_bind_s(*ADMIN)
            return directory.whoami_s()

    assert gevent.get_hub().threadpool.apply(use) == "dn:cn=admin,dc=test"


def check_undo(port: int) -> None:
    assert_undone("python-ldap", ldap.ldapobject.SimpleLDAPObject)
    with connection(port) as directory:
        directory.simple_bind_s(*ADMIN)
