"""nginx in front of a hublet process, with the configuration that docs/websocket.rst shows."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from loadtests.private.process import free_port
from tests.test_websocket_docs import BLOCKS

from .served_process import PATIENCE, ServedProcess, wait_until

(DOCUMENTED,) = (block for language, _, block in BLOCKS if language == "nginx")
READ_TIMEOUT = 1  # seconds, the least that nginx takes
PATH = f"{os.environ['PATH']}:/usr/sbin"  # Debian keeps nginx where only root's PATH leads

CONFIGURATION = """
daemon off;
user {user} {group};
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr info;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_read_timeout {read_timeout}s;
    {documented}
}}
"""


@contextmanager
def proxy(folder: Path, behind: ServedProcess) -> Iterator[str]:
    """Run nginx in front of a process; its authority."""
    port = free_port()
    documented = DOCUMENTED.replace("listen 80;", f"listen 127.0.0.1:{port};").replace(
        "http://127.0.0.1:8000", f"http://{behind.authority}"
    )
    configuration = CONFIGURATION.format(
        user=pwd.getpwuid(os.getuid()).pw_name,
        group=grp.getgrgid(os.getgid()).gr_name,
        folder=folder,
        read_timeout=READ_TIMEOUT,
        documented=documented,
    )
    (folder / "nginx.conf").write_text(configuration)
    log = folder / "nginx.log"
    with log.open("wb") as output:
        nginx = subprocess.Popen(
            ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, "PATH": PATH},
        )  # fmt: skip
    try:
        wait_until(lambda: "start worker process" in log.read_text() or nginx.poll() is not None, log.read_text)
        assert nginx.poll() is None, log.read_text()
        yield f"127.0.0.1:{port}"
    finally:
        nginx.terminate()
        nginx.wait(PATIENCE)


class Site:
    """A hublet process that pings often, and nginx in front of it."""

    def __init__(self, served: ServedProcess, authority: str) -> None:
        self.served = served
        self.authority = authority

    def dial(self, path: str, **options: Any) -> Any:
        """A connection by way of nginx, as a context manager; it sends no pings of its own."""
        return connect(f"ws://{self.authority}{path}", ping_interval=None, open_timeout=PATIENCE, **options)


@contextmanager
def site_with(folder: Path, ping_interval: float) -> Iterator[Site]:
    served = ServedProcess(
        folder, "tests.integration.websocket_apps.proxied:app", "--websocket-ping-interval", str(ping_interval)
    )
    try:
        with proxy(folder, served) as authority:
            yield Site(served, authority)
        served.stop()
    finally:
        served.kill()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_with(tmp_path_factory.mktemp("nginx"), READ_TIMEOUT / 4) as site:
        yield site


def test_an_echo(site: Site) -> None:
    with site.dial("/echo") as client:
        for message in ("hello", "x" * 200_000, b"\x00\xff"):
            client.send(message)
            assert client.recv(PATIENCE) == message


def test_plain_requests_beside_it(site: Site) -> None:
    with connect(f"ws://{site.authority}/echo"):
        assert site.served.get() == "plain"


def test_pages_of_the_proxys_own_origin_may_connect(site: Site) -> None:
    """Which takes the Host field of the browser's request, with its port."""
    with site.dial("/echo", origin=f"http://{site.authority}") as client:
        client.send("hello")
        assert client.recv(PATIENCE) == "hello"


def test_pages_of_another_origin_may_not(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused, site.dial("/echo", origin=f"http://{site.served.authority}"):
        pass
    assert refused.value.response.status_code == 403


def test_the_servers_close_code_arrives(site: Site) -> None:
    with site.dial("/close") as client, pytest.raises(ConnectionClosed) as closed:
        client.recv(PATIENCE)
    assert closed.value.rcvd
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "for a reason")


def test_the_clients_close_code_arrives(site: Site) -> None:
    with site.dial("/report") as client:
        client.close(4000, "enough of it")
    wait_until(lambda: "closed with 4000 enough of it" in site.served.log, lambda: site.served.log)


def test_pings_keep_an_idle_connection_open(site: Site) -> None:
    with site.dial(f"/patient?{1.5 * READ_TIMEOUT}") as client:
        assert client.recv(PATIENCE) == "after all"


def test_without_pings_the_proxy_closes_an_idle_connection(tmp_path: Path) -> None:
    """So that the test before this one shows something."""
    with site_with(tmp_path, 60) as site, site.dial("/echo") as client, pytest.raises(ConnectionClosed) as closed:
        client.recv(PATIENCE)
    assert closed.value.rcvd is None
