"""Load tests over TLS: the server that the command starts, one that runs already, and certificates that are refused."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hublet.loadtest.tls import CertificateProblem, ClientTls, check_files, check_server, speaks_tls

from loadtests.private.process import free_port
from tests.integration.served_process import ServedProcess
from tests.servers.tls.authority import Authority

from .conftest import TARGET, Loadtest

EVERY = ("page", "json", "upload", "download", "events", "websocket", "push", "publish", "socketio")
VISITS = tuple(word for kind in EVERY for word in ("--visit", kind))
SHORT = ("--users", "9", "--shape", "steady", "--time", "2", "--max-p99", "5s")
COUNTED = {
    "GET /", "GET /json", "POST /upload", "GET /download", "GET /events", "EVENT /events", "CONNECT /echo", "WS /echo",
    "CONNECT /push", "PUSH /push", "PUBLISH /push", "CONNECT /socket.io", "SOCKET.IO echo",
}  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls"))
    made.issue("server", "127.0.0.1")
    made.issue("other", "example.com")
    made.issue("client", client=True)
    return made


def files(authority: Authority, name: str) -> tuple[str, str]:
    return str(authority.folder / f"{name}.pem"), str(authority.folder / f"{name}.key")


def server_options(authority: Authority, name: str = "server") -> tuple[str, ...]:
    certificate, key = files(authority, name)
    return ("--certfile", certificate, "--keyfile", key)


@pytest.fixture
def tls_target(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """The URL of a server that runs already."""
    served = ServedProcess(tmp_path, TARGET, "--grace", "2", *server_options(authority))
    try:
        yield f"https://{served.authority}"
        served.stop()
    finally:
        served.kill()


def test_every_kind_of_user_on_a_server_with_tls(loadtest: Loadtest, authority: Authority) -> None:
    """Its certificate is for another host, and nobody knows its authority."""
    done = loadtest(TARGET, *VISITS, *SHORT, "--", *server_options(authority, "other"))
    assert done.status == 0, done.output + done.errors
    assert {name for name, each in done.by_name().items() if each["requests"] and not each["failures"]} == COUNTED
    assert "Unverified" not in done.errors


def test_the_variables_of_the_server_turn_tls_on_as_well(loadtest: Loadtest, authority: Authority) -> None:
    certificate, key = files(authority, "server")
    done = loadtest(TARGET, *SHORT, HUBLET_CERTFILE=certificate, HUBLET_KEYFILE=key)
    assert (done.status, done.report["total"]["failures"]) == (0, 0), done.output


@pytest.mark.parametrize("trust", ["cacert", "insecure"])
def test_a_server_that_runs_already(loadtest: Loadtest, tls_target: str, authority: Authority, trust: str) -> None:
    option = ("--cacert", authority.certificate) if trust == "cacert" else ("--insecure",)
    done = loadtest("--host", tls_target, *option, *VISITS, *SHORT)
    assert done.status == 0, done.output + done.errors
    assert {name for name, each in done.by_name().items() if each["requests"] and not each["failures"]} == COUNTED


def test_a_refused_certificate_is_said_before_the_load(
    loadtest: Loadtest, tls_target: str, authority: Authority
) -> None:
    done = loadtest("--host", tls_target, *SHORT)
    assert done.status == 2
    assert done.errors == (
        f"hublet loadtest: the certificate of {tls_target} is refused: unable to get local issuer certificate; give "
        "--cacert FILE with the certificate of its authority (one that is signed by itself is its own), or --insecure "
        "to accept any\n"
    )
    assert not (done.folder / "report.html").exists()
    # Another host's certificate, from a known authority.
    done = loadtest("--host", tls_target.replace("127.0.0.1", "localhost"), "--cacert", authority.certificate, *SHORT)
    assert done.status == 2
    assert "is refused: Hostname mismatch, certificate is not valid for 'localhost'" in done.errors


def test_a_locustfile_is_held_to_the_same(
    loadtest: Loadtest, tls_target: str, authority: Authority, tmp_path: Path
) -> None:
    """Locust's own FastHttpUser would accept any certificate: here of a host that the first look did not see."""
    (tmp_path / "users.py").write_text(
        "from locust import FastHttpUser, constant, task\n"
        "class Plain(FastHttpUser):\n"
        "    wait_time = constant(0.1)\n"
        "    @task\n"
        "    def get(self):\n"
        "        self.client.get('/')\n"
        f"        self.client.get('{tls_target.replace('127.0.0.1', 'localhost')}/', name='elsewhere')\n"
    )
    arguments = ("--locustfile", str(tmp_path / "users.py"), "--host", tls_target, *SHORT)
    done = loadtest(*arguments, "--cacert", authority.certificate)
    counted = done.by_name()
    assert counted["GET /"]["failures"] == 0 < counted["GET /"]["requests"]
    assert counted["GET elsewhere"]["failures"] == counted["GET elsewhere"]["requests"] > 0
    assert any("Hostname mismatch" in each["error"] for each in done.report["errors"])
    done = loadtest(*arguments, "--insecure")
    assert done.report["total"]["failures"] == 0


def test_a_server_that_wants_a_certificate(loadtest: Loadtest, authority: Authority) -> None:
    wanting = (*server_options(authority), "--client-certificates", "required", "--ca-certs", authority.certificate)
    certificate, key = files(authority, "client")
    done = loadtest(TARGET, *VISITS, *SHORT, "--cert", certificate, "--key", key, "--", *wanting)
    assert done.status == 0, done.output + done.errors
    assert {name for name, each in done.by_name().items() if each["requests"] and not each["failures"]} == COUNTED
    done = loadtest(TARGET, *SHORT, "--", *wanting)
    assert (done.status, done.report["total"]["failures"]) == (1, done.report["total"]["requests"])
    assert any("CERTIFICATE_REQUIRED" in each["error"] for each in done.report["errors"]), done.report["errors"]


def test_a_server_without_tls(tmp_path: Path) -> None:
    served = ServedProcess(tmp_path, TARGET)
    try:
        with pytest.raises(CertificateProblem, match="it does not speak TLS: use http://"):
            check_server(f"https://{served.authority}", ClientTls())
        assert not speaks_tls("127.0.0.1", served.port)
        check_server(f"http://{served.authority}", ClientTls())
        served.stop()
    finally:
        served.kill()


def test_a_server_that_is_not_there_is_for_the_report() -> None:
    check_server(f"https://127.0.0.1:{free_port()}", ClientTls())


def test_old_tls_is_tls(authority: Authority) -> None:
    """A server that turns the client away with an alert speaks TLS all the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files(authority, "server"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")  # none of those that a client of today takes
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection, pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            assert speaks_tls("127.0.0.1", listener.getsockname()[1])
        finally:
            thread.join(10)


def test_files_that_cannot_be_used(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(CertificateProblem, match="--cacert .*missing cannot be used: No such file or directory"):
        check_files(ClientTls(cacert=str(tmp_path / "missing")))
    with pytest.raises(CertificateProblem, match="--cacert .*text cannot be used: .*; it takes PEM files"):
        check_files(ClientTls(cacert=str(tmp_path / "text")))
    certificate, _ = files(authority, "client")
    with pytest.raises(CertificateProblem, match="--cert .*client.pem and .*other.key cannot be used: .*MISMATCH"):
        check_files(ClientTls(cert=certificate, key=files(authority, "other")[1]))
    check_files(ClientTls(cacert=authority.certificate, cert=certificate, key=files(authority, "client")[1]))
