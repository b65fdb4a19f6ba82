"""Addresses, listening sockets, and their way into a child process."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hublet.runtime.errors import ListenError
from hublet.servers import listeners
from hublet.servers.listeners import (
    check_listener,
    hand_down,
    inherit,
    is_heir,
    listener_url,
    open_listener,
    open_listeners,
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with open_listener("127.0.0.1:0", 16) as opened:
        yield opened


def test_a_listener_listens(listener: socket.socket) -> None:
    assert listener.getblocking() is False
    assert listener.get_inheritable() is False
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert listener_url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    with socket.create_connection(listener.getsockname(), timeout=10):
        pass


def test_a_tuple_is_an_address_too(listener: socket.socket) -> None:
    with open_listener(("127.0.0.1", 0), 1) as opened:
        assert opened.getsockname()[1] > 0


def test_ipv6_is_separate_from_ipv4() -> None:
    with open_listener("[::1]:0", 1) as opened:
        port = opened.getsockname()[1]
        assert opened.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert listener_url(opened) == f"http://[::1]:{port}"
    with open_listener("[::]:0", 1) as six, open_listener(("0.0.0.0", six.getsockname()[1]), 1) as four:
        assert six.getsockname()[1] == four.getsockname()[1]


def test_a_name_means_its_ipv4_address() -> None:
    with open_listener("localhost:0", 1) as opened:
        assert opened.getsockname()[0] == "127.0.0.1"


def test_a_port_in_use(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(ListenError, match=rf"port {port} is in use.*(ss|lsof) .*{port}.*--bind"):
        open_listener(f"127.0.0.1:{port}", 1)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ListenError, match="no interface of this machine has the address 192.0.2.1"):
        open_listener("192.0.2.1:0", 1)


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "x" * 70])
def test_a_name_that_cannot_be_resolved(name: str) -> None:
    with pytest.raises(ListenError, match=r"cannot be resolved .*127\.0\.0\.1"):
        open_listener(f"{name}:0", 1)


@pytest.mark.parametrize(
    "number, port, words",
    [
        (errno.EACCES, 80, "CAP_NET_BIND_SERVICE"),
        (errno.EACCES, 8000, "denied"),
        (errno.EAFNOSUPPORT, 8000, "no IPv6"),
        (errno.ENOBUFS, 8000, "buffer"),
    ],
)
def test_what_the_kernel_refuses(monkeypatch: pytest.MonkeyPatch, number: int, port: int, words: str) -> None:
    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(ListenError, match=words):
        open_listener(("127.0.0.1", port), 1)


def test_several_are_opened_or_none(listener: socket.socket) -> None:
    opened = open_listeners(("127.0.0.1:0", "[::1]:0"), 1)
    assert list(opened) == ["127.0.0.1:0", "[::1]:0"]
    for each in opened.values():
        each.close()
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(ListenError):
        open_listeners(("127.0.0.1:0", f"127.0.0.1:{listener.getsockname()[1]}"), 1)
    with pytest.raises(ListenError, match="twice"):
        open_listeners(("127.0.0.1:0", "127.0.0.1:0"), 1)
    assert set(os.listdir("/dev/fd")) == before


def test_inherited_ones_are_used_and_others_closed(listener: socket.socket) -> None:
    other = open_listener("127.0.0.1:0", 1)
    opened = open_listeners(("name:1", "[::1]:0"), 1, {"name:1": listener, "gone:2": other})
    assert opened["name:1"] is listener
    assert other.fileno() == -1
    opened["[::1]:0"].close()


def test_a_child_process_inherits_the_listener(listener: socket.socket) -> None:
    variables, descriptors = hand_down({"127.0.0.1:0": listener})
    assert is_heir(variables)
    script = """if True:
        import os
        from hublet.servers.listeners import inherit, is_heir
        assert is_heir()
        (bind, listener), = inherit().items()
        print(bind, listener.getsockname()[1], listener.get_inheritable(), listener.getblocking(), is_heir())
        listener.setblocking(True)
        listener.accept()[0].sendall(b"from the child")
    """
    child = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, **variables}, pass_fds=descriptors, stdout=subprocess.PIPE
    )
    with child, socket.create_connection(listener.getsockname(), timeout=10) as client:
        assert child.stdout is not None
        port = listener.getsockname()[1]
        assert child.stdout.readline().decode() == f"127.0.0.1:0 {port} False False False\n"
        assert client.recv(100) == b"from the child"


def test_nothing_is_inherited_without_a_parent() -> None:
    assert not is_heir({})
    assert inherit({}) == {}


def test_the_variable_goes_with_the_inheritance(listener: socket.socket) -> None:
    environ = {listeners.INHERITED_VARIABLE: json.dumps({"x:1": os.dup(listener.fileno())})}
    inherit(environ)["x:1"].close()
    assert environ == {}


def test_an_inherited_descriptor(listener: socket.socket) -> None:
    number = os.dup(listener.fileno())
    os.set_inheritable(number, True)
    bind = f"fd://{number}"
    check_listener(bind, 1)
    with open_listener(bind, 1) as adopted:
        assert (adopted.fileno(), adopted.get_inheritable(), adopted.getblocking()) == (number, False, False)
        assert listener_url(adopted) == listener_url(listener)


def test_what_is_no_inherited_listener() -> None:
    before = set(os.listdir("/dev/fd"))
    with open(os.devnull) as file, socket.socket() as unbound, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        for number, words in (
            (9999, "was not started with this descriptor"),
            (file.fileno(), "or it is no socket"),
            (unbound.fileno(), "no listening stream socket"),
            (datagram.fileno(), "no listening stream socket"),
        ):
            for attempt in (open_listener, check_listener):
                with pytest.raises(ListenError, match=words):
                    attempt(f"fd://{number}", 1)
    assert set(os.listdir("/dev/fd")) == before


def test_a_check_leaves_a_port_free(listener: socket.socket) -> None:
    with pytest.raises(ListenError, match="in use"):
        check_listener(f"127.0.0.1:{listener.getsockname()[1]}", 1)
    with open_listener("127.0.0.1:0", 1) as opened:
        port = opened.getsockname()[1]
    check_listener(f"127.0.0.1:{port}", 1)
    open_listener(f"127.0.0.1:{port}", 1).close()
