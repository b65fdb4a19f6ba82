"""The request greenlet: what applications do with `gevent.getcurrent()`, while their request runs and after it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import pytest
from gevent import GreenletExit, get_hub, getcurrent
from gevent.event import Event
from gevent.pool import Group
from gevent.util import format_run_info
from hublet.runtime.request_greenlet import RequestGreenlet

from tests.conftest import GET, Response, Served, Serving, wait_until


class Held:
    """An application whose requests wait for `go_on`. `greenlets` has theirs, `raised` what ended them early."""

    def __init__(self, inside: Callable[[Any], object] = lambda greenlet: None) -> None:
        self.inside = inside
        self.go_on = Event()
        self.greenlets: list[Any] = []
        self.raised: list[BaseException] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        greenlet = getcurrent()
        self.greenlets.append(greenlet)
        self.inside(greenlet)
        try:
            self.go_on.wait()
        except BaseException as error:
            self.raised.append(error)
            raise
        start_response("200 OK", [])
        return [b"done"]


def begin(served: Served, app: Held) -> Any:
    """Make a request, and return its greenlet while it waits."""
    served.connect().send(GET)
    served.until(in_flight=1)
    return app.greenlets[0]


def finish(served: Served, app: Held) -> Response:
    """Let the request end, and return its response."""
    app.go_on.set()
    return served.clients[0].response()


def test_it_is_a_greenlet_under_the_hub(serve: Serving) -> None:
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    assert isinstance(greenlet, RequestGreenlet)
    assert (greenlet.parent, greenlet.dead, bool(greenlet), greenlet.ready()) == (get_hub(), False, True, False)
    finish(served, app)
    assert (greenlet.dead, bool(greenlet), greenlet.ready()) == (True, False, True)


def test_nothing_keeps_it_after_its_request(serve: Serving) -> None:
    app = Held()
    served = serve(app)
    reference = weakref.ref(begin(served, app))
    finish(served, app)
    app.greenlets.clear()
    gevent.idle()
    assert reference() is None


# Links.


def test_rawlinks_are_called_in_order_in_the_hub(serve: Serving) -> None:
    calls: list[Any] = []
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    for number in range(3):
        greenlet.rawlink(lambda source, number=number: calls.append((number, source, getcurrent())))
    assert not calls
    finish(served, app)
    wait_until(lambda: len(calls) == 3)
    assert calls == [(number, greenlet, get_hub()) for number in range(3)]


def test_a_link_is_called_in_a_greenlet_of_its_own(serve: Serving) -> None:
    calls: list[Any] = []

    def callback(source: Any) -> None:
        gevent.sleep(0)
        calls.append((source, getcurrent()))

    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    greenlet.link(callback)
    finish(served, app)
    wait_until(lambda: calls)
    assert calls[0][0] is greenlet
    assert calls[0][1] not in (greenlet, get_hub())


@pytest.mark.parametrize("method", ["link", "rawlink"])
def test_linking_after_the_end_calls_soon(serve: Serving, method: str) -> None:
    calls: list[Any] = []
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    finish(served, app)
    getattr(greenlet, method)(calls.append)
    assert not calls
    wait_until(lambda: calls == [greenlet])


@pytest.mark.parametrize("method", ["link", "rawlink"])
def test_unlink_takes_a_link_back(serve: Serving, method: str) -> None:
    calls: list[Any] = []
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    greenlet.unlink(calls.append)  # was never there
    getattr(greenlet, method)(calls.append)
    greenlet.unlink(calls.append)
    greenlet.unlink(print)
    finish(served, app)
    gevent.idle()
    assert not calls


@pytest.mark.parametrize("method", ["link", "rawlink"])
def test_only_a_callable_can_be_linked(method: str) -> None:
    with pytest.raises(TypeError, match="callable"):
        getattr(RequestGreenlet(), method)(5)


def test_a_link_that_fails_is_reported_and_the_others_are_called(serve: Serving) -> None:
    calls: list[Any] = []

    def fail(source: Any) -> None:
        raise ValueError("in a link")

    app = Held(lambda greenlet: [greenlet.rawlink(fail), greenlet.rawlink(calls.append)])
    served = serve(app)
    greenlet = begin(served, app)
    assert finish(served, app).status == 200
    wait_until(lambda: calls == [greenlet])
    assert "ValueError: in a link" in serve.hub_errors()


# Waiting for its end.


def test_join_returns_at_the_end(serve: Serving) -> None:
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    joining = gevent.spawn(greenlet.join)
    greenlet.join(0.01)
    assert not greenlet.ready()
    assert not joining.ready()
    finish(served, app)
    joining.join(1)
    assert joining.ready()
    greenlet.join()


def wait_one_by_one(greenlets: list[Any], timeout: float | None = None) -> list[Any]:
    return list(gevent.iwait(greenlets, timeout))


@pytest.mark.parametrize("wait", [gevent.joinall, gevent.wait, wait_one_by_one])
def test_gevents_own_waits_take_it(serve: Serving, wait: Callable[..., Any]) -> None:
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    assert not wait([greenlet], timeout=0.01)
    other = gevent.spawn(gevent.sleep, 0)
    waiting = gevent.spawn(wait, [greenlet, other])
    gevent.idle()
    assert not waiting.ready()
    finish(served, app)
    waiting.join(1)
    assert set(waiting.value) == {greenlet, other}
    assert wait([greenlet]) == [greenlet]


def test_a_group_takes_it(serve: Serving) -> None:
    group = Group()
    app = Held(group.add)
    served = serve(app)
    greenlet = begin(served, app)
    assert greenlet in group
    finish(served, app)
    assert group.join(1) is not False
    assert greenlet not in group


# Killing it.


def kill_and_wait(greenlet: Any) -> None:
    greenlet.kill()
    assert greenlet.ready()


def kill_later(greenlet: Any) -> None:
    greenlet.kill(block=False)
    assert not greenlet.ready()


def kill_for_a_moment(greenlet: Any) -> None:
    greenlet.kill(timeout=0.5)


def kill_all(greenlet: Any) -> None:
    gevent.killall([greenlet])


def kill_all_later(greenlet: Any) -> None:
    gevent.killall([greenlet], block=False)


KILLS = [kill_and_wait, kill_later, kill_for_a_moment, gevent.kill, kill_all, kill_all_later]


@pytest.mark.parametrize("kill", KILLS)
def test_kill_raises_greenlet_exit_in_the_request(serve: Serving, kill: Callable[[Any], None]) -> None:
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    kill(greenlet)
    assert served.clients[0].response().status == 500
    assert [type(error) for error in app.raised] == [GreenletExit]
    wait_until(greenlet.ready)
    app.go_on.set()
    assert served.clients[0].get().status == 200


class Stop(Exception):
    pass


@pytest.mark.parametrize("exception", [Stop, Stop("why")], ids=repr)
def test_kill_with_an_exception(serve: Serving, exception: Any) -> None:
    app = Held()
    served = serve(app)
    begin(served, app).kill(exception)
    assert served.clients[0].response().status == 500
    assert isinstance(app.raised[0], Stop)


def test_a_request_may_survive_being_killed(serve: Serving) -> None:
    def survive(greenlet: Any) -> None:
        with pytest.raises(GreenletExit):
            gevent.sleep(10)

    app = Held(survive)
    served = serve(app)
    greenlet = begin(served, app)
    greenlet.kill(timeout=0.01)
    assert not greenlet.ready()
    assert finish(served, app).status == 200


def test_a_request_may_kill_itself(serve: Serving) -> None:
    app = Held(lambda greenlet: greenlet.kill())
    served = serve(app)
    assert served.get().status == 500
    assert "GreenletExit" in served.log


@pytest.mark.parametrize("kill", [kill_and_wait, kill_for_a_moment, gevent.kill, kill_all, kill_all_later])
def test_killing_it_after_its_end_does_nothing(serve: Serving, kill: Callable[[Any], None]) -> None:
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    finish(served, app)
    kill(greenlet)
    gevent.idle()
    assert served.clients[0].get().status == 200
    assert serve.hub_errors() == ""


@pytest.mark.parametrize("exception", [Stop, GreenletExit, gevent.Timeout])
def test_throwing_into_it_after_its_end_does_nothing(serve: Serving, exception: type[BaseException]) -> None:
    """As with gevent.Greenlet. A timer that was never cancelled does just this, from the hub."""
    app = Held()
    served = serve(app)
    greenlet = begin(served, app)
    finish(served, app)
    get_hub().loop.run_callback(greenlet.throw, exception)
    gevent.idle()
    assert serve.hub_errors() == ""
    assert served.clients[0].get().status == 200


# What else code asks of it.


def test_every_request_has_an_ident_of_its_own(serve: Serving) -> None:
    app = Held()
    served = serve(app)
    for _ in range(20):
        served.connect().send(GET)
    served.until(in_flight=20)
    idents = [greenlet.minimal_ident for greenlet in app.greenlets]
    assert len(set(idents)) == 20
    assert idents == [greenlet.minimal_ident for greenlet in app.greenlets]
    assert all(isinstance(ident, int) for ident in idents)
    assert [greenlet.name for greenlet in app.greenlets] == [f"RequestGreenlet-{ident}" for ident in idents]
    app.go_on.set()
    for client in served.clients:
        assert client.response().status == 200


def test_idents_are_given_back(serve: Serving) -> None:
    idents: set[int] = set()
    app = Held(lambda greenlet: idents.add(greenlet.minimal_ident))
    app.go_on.set()
    client = serve(app).connect()
    for _ in range(100):
        client.get()
        app.greenlets.clear()
    gc.collect()
    assert len(idents) < 20


def test_a_debugger_may_look_at_it(serve: Serving) -> None:
    """While it runs, and when somebody still holds it after its end."""
    app = Held()
    served = serve(app)
    begin(served, app)
    assert any("RequestGreenlet" in line or "ConnectionGreenlet" in line for line in format_run_info())
    finish(served, app)
    assert format_run_info()
