"""What is checked of pycurl, in a patched process; the server is a greenlet of the same process."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import gevent
import pycurl
from gevent import pywsgi

from .probe import assert_raises, assert_undone, assert_yields, killed_inside

BIG = b"0123456789" * 300_000


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/slow":
        gevent.sleep(0.2)
    elif path == "/never":
        gevent.sleep(30)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/big":
        return [BIG]
    if path == "/port":
        return [environ["REMOTE_PORT"].encode()]
    return [environ["wsgi.input"].read() or b"hello"]


@contextmanager
def address() -> Iterator[str]:
    server = pywsgi.WSGIServer(("127.0.0.1", 0), application, log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop(0)


def fetch(url: str, curl: Any = None, **options: Any) -> bytes:
    """Make a request, with a handle of its own if none is given."""
    curl, body, is_ours = curl or pycurl.Curl(), io.BytesIO(), curl is None
    curl.setopt(curl.URL, url)
    curl.setopt(curl.WRITEFUNCTION, body.write)
    for name, value in options.items():
        curl.setopt(getattr(curl, name), value)
    try:
        curl.perform()
        assert curl.getinfo(curl.RESPONSE_CODE) == 200
    finally:
        if is_ours:
            curl.close()
    return body.getvalue()


def check_requests() -> None:
    with address() as base:
        assert_yields(lambda: fetch(base + "/slow"))


def check_bodies() -> None:
    with address() as base:
        assert fetch(base + "/big") == BIG
        sent = b"x" * 500_000
        assert fetch(base + "/echo", POSTFIELDS=sent, HTTPHEADER=["Expect:"]) == sent
        with closing(pycurl.Curl()) as curl:
            curl.setopt(curl.URL, base)
            with closing(curl.duphandle()) as duplicate:
                assert (curl.perform_rb(), duplicate.perform_rs()) == (b"hello", "hello")


def check_connections_are_used_again() -> None:
    with address() as base, closing(pycurl.Curl()) as curl:
        assert len({fetch(base + "/port", curl) for _ in range(5)}) == 1


def check_callbacks_run_in_the_caller() -> None:
    """And may let other greenlets run."""
    seen = []

    def progress(*_: object) -> int:
        seen.append(gevent.getcurrent())
        gevent.sleep(0.001)
        return 0

    with address() as base:
        assert fetch(base + "/big", NOPROGRESS=False, XFERINFOFUNCTION=progress) == BIG
    assert set(seen) == {gevent.getcurrent()}


def check_errors() -> None:
    with address() as base:
        error = assert_raises(pycurl.error, lambda: fetch(base + "/never", TIMEOUT_MS=100))
        assert error.args[0] == pycurl.E_OPERATION_TIMEDOUT, error
        error = assert_raises(pycurl.error, lambda: fetch("http://127.0.0.1:1/"))
        assert error.args[0] == pycurl.E_COULDNT_CONNECT, error
        error = assert_raises(pycurl.error, lambda: fetch("http://no-such-host.invalid/"))
        assert error.args[0] == pycurl.E_COULDNT_RESOLVE_HOST, error
        error = assert_raises(pycurl.error, lambda: fetch(base, WRITEFUNCTION=lambda _: 0))
        assert error.args[0] == pycurl.E_WRITE_ERROR, error


def check_a_handle_is_usable_after_a_kill() -> None:
    with address() as base, closing(pycurl.Curl()) as curl:
        assert killed_inside(lambda: fetch(base + "/never", curl)) < 1
        assert fetch(base, curl) == b"hello"


def check_connecting_only() -> None:
    with address() as base, closing(pycurl.Curl()) as curl:
        curl.setopt(curl.URL, base)
        curl.setopt(curl.CONNECT_ONLY, 1)
        curl.perform()
        assert curl.getinfo(curl.ACTIVESOCKET) >= 0
        curl.reset()
        assert fetch(base, curl) == b"hello"


def check_multi_handles() -> None:
    """As an application drives them."""

    def operation() -> None:
        with address() as base, closing(pycurl.CurlMulti()) as multi, closing(pycurl.Curl()) as curl:
            curl.setopt(curl.URL, base + "/slow")
            curl.setopt(curl.WRITEFUNCTION, lambda _: None)
            multi.add_handle(curl)
            running = 1
            while running:
                _, running = multi.perform()
                if running:
                    multi.select(1.0)
            assert multi.info_read()[1] == [curl]
            multi.remove_handle(curl)

    assert_yields(operation)


def check_multi_handles_that_close_theirs() -> None:
    with pycurl.CurlMulti(close_handles=True) as multi, pycurl.Curl() as other:
        multi.add_handle(curl := pycurl.Curl())
        multi.add_handle(other)
        multi.remove_handle(other)
        multi.close()
        assert curl.closed
        assert not other.closed
    assert_raises(TypeError, lambda: pycurl.CurlMulti(True))
    assert_raises(TypeError, lambda: pycurl.Curl(1))


def check_a_pause_ended_by_another_greenlet() -> None:
    body: list[bytes] = []

    with address() as base, pycurl.Curl() as curl:

        def write(data: bytes) -> Any:
            if not body:
                body.append(b"")
                gevent.spawn_later(0.05, curl.unpause)
                return pycurl.WRITEFUNC_PAUSE
            body.append(data)
            return None

        with gevent.Timeout(5):
            fetch(base + "/big", curl, WRITEFUNCTION=write)
    assert b"".join(body) == BIG


def check_without_a_hub() -> None:
    with address() as base:
        assert gevent.get_hub().threadpool.apply(fetch, (base,)) == b"hello"


def check_undo() -> None:
    assert_undone("pycurl", pycurl)
