"""`hublet loadtest` as its users run it: real locust, real servers, and counts that agree with the server's own."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hublet.loadtest.command import main
from hublet.loadtest.visits import load_users

from loadtests.private.postgresql import postgresql
from loadtests.private.process import free_port
from tests.conftest import ROOT
from tests.integration.browser import Browser
from tests.integration.served_process import ServedProcess, wait_until

from .conftest import TARGET, Loadtest, command, module

SHORT = ("--shape", "steady", "--time", "3")


def test_what_was_sent_was_served_and_the_page_shows_it(loadtest: Loadtest, tmp_path: Path) -> None:
    done = loadtest(TARGET, "--users", "4", *SHORT, "--visit", "page", "--visit", "page=/block")
    report = done.report
    assert report["total"]["requests"] == report["server"]["requests"] > 10
    assert done.by_name()["GET /"]["requests"] + done.by_name()["GET /block"]["requests"] == report["total"]["requests"]
    assert report["total"]["failures"] == 0
    assert done.output.startswith("held: " if done.status == 0 else "did not hold: ")
    assert "hub lag" in done.errors

    # What blocked the hub has a name.
    (blocker, *_) = report["blockers"]
    assert (blocker["function"], Path(blocker["file"]).name) == ("block", "target.py")
    assert blocker["longest"] > 0.14
    assert "target.py" in report["verdict"]["text"]

    with (done.folder / "timeline.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["requests"]) for row in rows) == report["total"]["requests"]
    assert max(float(row["server_lag"]) for row in rows) > 0.1

    with Browser(tmp_path) as browser:
        browser.open((done.folder / "report.html").as_uri())
        browser.wait_for("document.querySelectorAll('svg.plot').length === 9")
        lines = "[...document.querySelectorAll('svg.plot polyline')]"
        names = browser.evaluate(f"{lines}.map((each) => each.dataset.series)")
        assert {"50 % of the requests", "99 % of the requests", "requests", "in flight", "longest lag"} <= set(names)
        assert {"page=/", "page=/block"} <= set(names)
        assert browser.evaluate(f"Math.min(...{lines}.map((each) => each.points.numberOfItems))") >= 2
        # Lines that are not flat: there is data in them.
        heights = f"Object.fromEntries({lines}.map((each) => [each.dataset.series, each.getBBox().height]))"
        drawn = browser.evaluate(heights)
        assert min(drawn[name] for name in ("requests", "longest lag")) > 1
        assert browser.evaluate("[...document.querySelectorAll('svg.plot')].every((each) => each.ariaLabel)")
        assert browser.evaluate("document.querySelector('main').innerText.includes('target.py')")
        assert browser.evaluate("performance.getEntriesByType('resource').length") == 0


def test_every_kind_of_user(loadtest: Loadtest, target: ServedProcess) -> None:
    visits = ["page", "json", "wait", "wait=/query", "wait=/upstream", "upload", "download"]
    visits += ["events", "websocket", "push", "publish", "socketio"]
    upstream = f"http://{target.authority}/sleep"
    with postgresql() as database:
        done = loadtest(
            *(TARGET, "--users", "24", *SHORT, "--max-p99", "5s"),
            *(word for visit in visits for word in ("--visit", visit)),
            LOADTEST_DATABASE=database.dsn,
            LOADTEST_UPSTREAM=upstream,
        )
    counted = done.by_name()
    assert {name for name, each in counted.items() if each["requests"] and not each["failures"]} == {
        "GET /", "GET /json", "GET /sleep", "GET /query", "GET /upstream", "POST /upload", "GET /download",
        "GET /events", "EVENT /events", "CONNECT /echo", "WS /echo", "CONNECT /push", "PUSH /push", "PUBLISH /push",
        "CONNECT /socket.io", "SOCKET.IO echo",
    }, (done.output, done.report["errors"])  # fmt: skip
    assert done.status == 0, done.output
    assert counted["GET /sleep"]["mean"] >= 0.05
    assert counted["GET /download"]["mean_length"] == 2**20
    assert counted["WS /echo"]["mean_length"] == 32
    # Each subscriber gets what each publisher has sent: two of both.
    published, pushed = counted["PUBLISH /push"]["requests"], counted["PUSH /push"]["requests"]
    assert published <= pushed <= 2 * published + 2
    assert 0 <= counted["PUSH /push"]["mean"] < 1


def test_the_knee_of_an_application_with_a_known_capacity(loadtest: Loadtest) -> None:
    """Four at a time, 50 ms each: 80 a second; with 12 users each waits for three rounds, 150 ms."""
    done = loadtest(
        *(TARGET, "--visit", "page=/capacity", "--shape", "knee", "--users", "64", "--stage", "1s", "--time", "60"),
        *("--max-p99", "170ms"),
    )
    points = done.report["knee"]
    assert [each["p99"] <= 0.17 for each in points] == [not each["broken"] for each in points]
    good = max((each for each in points if each["p99"] <= 0.17), key=lambda each: each["users"])
    assert 8 <= good["users"] <= 12
    assert 65 < good["rate"] < 85
    assert max(each["rate"] for each in points) < 90
    assert done.output.startswith(f"last good point: {good['users']} users, ")
    assert "first bad point: " in done.output
    assert "broken there: page=/capacity: a p99 of " in done.output
    assert done.status == 0


def test_an_application_that_raises(loadtest: Loadtest) -> None:
    done = loadtest(TARGET, "--users", "2", "--shape", "steady", "--time", "1", "--visit", "page=/fail")
    assert done.status == 1
    assert done.output.startswith("did not hold: ")
    assert "page=/fail: 100.00% errors are over 1.00%" in done.output
    assert "first: page=/fail: 100.00% errors after " in done.output
    assert "500" in done.report["errors"][0]["error"]


def test_a_server_that_is_not_there(loadtest: Loadtest) -> None:
    done = loadtest(
        *("--host", f"http://127.0.0.1:{free_port()}", "--users", "2", "--shape", "steady", "--time", "1"),
        *("--visit", "page", "--visit", "websocket"),
    )
    assert done.status == 1
    assert "100.00% errors" in done.output
    assert all("refused" in each["error"] for each in done.report["errors"])
    assert done.report["total"]["requests"] < 50  # it did not spin


def test_an_application_that_cannot_be_loaded(loadtest: Loadtest) -> None:
    done = loadtest("loadtests.nothing:app")
    assert done.status == 1
    assert "the server ended with status 1; the end of its log:" in done.errors
    assert "cannot load the application 'loadtests.nothing:app'" in done.errors


def test_a_server_that_ends_under_load_has_a_report(loadtest: Loadtest, tmp_path: Path) -> None:
    path = module(
        tmp_path,
        "crashing",
        "import itertools, os\n"
        "number = itertools.count()\n"
        "def app(environ, start_response):\n"
        "    if next(number) == 200:\n"
        "        os.write(2, b'out of luck\\n')\n"
        "        os._exit(9)\n"
        "    start_response('200 OK', [('Content-Length', '2')])\n"
        "    return [b'ok']\n",
    )
    done = loadtest("crashing:app", "--users", "2", *SHORT, "--max-errors", "100%", PYTHONPATH=path)
    assert done.status == 1
    assert done.output.startswith("did not hold: the server ended with status 9 under load; the end of its log:\n")
    assert "out of luck" in done.output
    assert not done.report["verdict"]["held"]
    assert done.report["samples"]


def test_a_wrong_option_of_the_server(loadtest: Loadtest) -> None:
    done = loadtest(TARGET, "--", "--max-in-flite", "3")
    assert done.status == 1
    assert "there is no option --max-in-flite; did you mean --max-in-flight?" in done.errors


def test_one_master_and_two_workers_with_one_locustfile(
    loadtest: Loadtest, target: ServedProcess, tmp_path: Path
) -> None:
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(
        "from hublet.loadtest.users import JsonUser\n"
        "from locust import constant\n"
        "class Reader(JsonUser):\n"
        "    path = '/json'\n"
        "    wait_time = constant(0.01)\n"
    )
    port = str(free_port())
    several = ("--locustfile", str(locustfile), "--host", f"http://{target.authority}", "--master-port", port)
    workers = [
        subprocess.Popen(command("--worker", *several), cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        done = loadtest(
            *("--master", "--expect-workers", "2", *several, "--users", "4", *SHORT),
            *("--statistics", str(tmp_path / "statistics.jsonl")),
        )
        assert done.status == 0, done.errors
        assert [worker.wait(30) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    report = done.report
    last = json.loads((tmp_path / "statistics.jsonl").read_text().splitlines()[-1])
    assert report["total"]["requests"] == last["requests"] > 50
    assert (done.by_name()["GET /json"]["user"], report["workers"]) == ("Reader", {"known": 2, "lost": []})
    assert sum(each["requests"] for each in report["samples"]) == report["total"]["requests"]


def test_locusts_own_page(target: ServedProcess, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("--host", f"http://{target.authority}", "--web", "--web-port", str(port), "--out", str(tmp_path))
    process = subprocess.Popen(command(*arguments), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert f"locust's page: http://127.0.0.1:{port}/" in process.stderr.readline()

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
                    return b"Locust" in response.read()
            except (ConnectionError, urllib.error.URLError):
                return False

        wait_until(answers, lambda: "locust's page does not answer")
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize(
    "arguments, problem",
    [
        ((), "give either an application, module:attribute, or --host URL"),
        (("app:app", "--host", "http://x:1"), "give either an application"),
        (("--host", "ftp://x"), "must be an address such as http://127.0.0.1:8000"),
        (("app:app", "--users", "0"), "must be a whole number from 1 on"),
        (("app:app", "--time", "soon"), "must be a time up to a week, such as 30s, 500ms or 5m"),
        (("app:app", "--time", "0"), "must be a time up to a week"),
        (("app:app", "--time", "169h"), "must be a time up to a week"),
        (("app:app", "--max-errors", "2"), "must be a part of all requests, such as 0.01 or 1%"),
        (("app:app", "--max-p99", "page=soon"), "'soon' must be a time up to a week"),
        (("app:app", "--max-p99", "=1s"), "must be a bound, or KEY=BOUND"),
        (("app:app", "--max-p99", "json=1s"), "a bound for 'json', but no such user or request; there are page, "),
        (("app:app", "--insecure", "--cacert", "x"), "--insecure accepts any certificate"),
        (("app:app", "--key", "x"), "--key belongs to a certificate"),
        (("--host", "http://x:1", "--insecure"), "--insecure is for https, and http://x:1 is not"),
        (("app:app", "--visit", "robot"), "there is no kind of user 'robot'; there are page, json, wait"),
        (("app:app", "--visit", "page=about"), "must be KIND, KIND=/path or KIND=/path*WEIGHT"),
        (("app:app", "--shape", "circle"), "invalid choice: 'circle'"),
        (("app:app", "--locustfile", "x.py", "--visit", "page"), "give one of them"),
        (("--worker", "app:app"), "--worker makes load for a master only"),
        (("--host", "http://x:1", "--", "--workers", "2"), "options after -- are for the server that this command"),
        (("app:app", "--web", "--shape", "knee"), "leave out --web"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("hublet loadtest: ")
    assert problem in errors


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)
    assert main(["app:app"]) == 2
    assert capsys.readouterr().err == "hublet loadtest: needs locust: pip install 'hublet[loadtest]'\n"


def test_a_locustfile_without_users(loadtest: Loadtest, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("from locust import User\n")
    done = loadtest("--host", "http://127.0.0.1:1", "--locustfile", str(tmp_path / "empty.py"))
    assert done.status == 2
    assert "has no user: a class derived from locust's User" in done.errors


def test_a_locustfile_that_is_not_there(tmp_path: Path) -> None:
    for name in ("missing.py", "text.txt"):
        with pytest.raises(ValueError, match="cannot be read: it must be a Python file"):
            load_users(tmp_path / name)


def test_every_kind_is_judged_and_none_hides_another(loadtest: Loadtest) -> None:
    """Fast pages, and `/sleep`, which takes 50 ms: one bound for all does not do."""
    visits = ("--visit", "page*5", "--visit", "wait", "--users", "6", *SHORT, "--max-p99", "1s")
    done = loadtest(TARGET, *visits, "--max-p99", "wait=20ms")
    assert done.status == 1
    assert "  wait=/sleep: a p99 of " in done.output
    assert "is over 20 ms" in done.output
    assert "  first: wait=/sleep: a p99 of " in done.output
    counted = done.by_name()
    assert (counted["GET /"]["held"], counted["GET /sleep"]["held"]) == (True, False)
    assert (counted["GET /"]["max_p99"], counted["GET /sleep"]["max_p99"]) == (1.0, 0.02)
    assert counted["GET /sleep"]["p50"] >= 0.05 > 0.02
    with (done.folder / "requests.csv").open(newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert (rows["wait=/sleep"]["held"], rows["page=/"]["requests"]) == ("False", str(counted["GET /"]["requests"]))
    with (done.folder / "timeline-requests.csv").open(newline="") as file:
        times = list(csv.DictReader(file))
    assert (
        sum(int(row["requests"]) for row in times if row["user"] == "wait=/sleep") == counted["GET /sleep"]["requests"]
    )
    assert {row["name"] for row in times} == {"/", "/sleep"}

    assert loadtest(TARGET, *visits, "--max-p99", "GET /sleep=2s").status == 0


def test_what_was_not_asked_for_has_no_verdict(loadtest: Loadtest) -> None:
    done = loadtest(TARGET, "--visit", "page*9", "--visit", "json", "--users", "1", *SHORT, "--max-p99", "POST /=1s")
    assert done.status == 1
    assert done.output.startswith("no verdict: nobody made the visit json=/json: 1 users are too few for all\n")
    assert "no verdict: there was no request that the bound for 'POST /' is for" in done.output
    assert "of what was counted: held: " in done.output


def test_messages_without_a_time_are_intervals(loadtest: Loadtest, tmp_path: Path) -> None:
    path = module(
        tmp_path,
        "ticks",
        "import json, time\n"
        "from geventwebsocket import WebSocketApplication\n"
        "import gevent, hublet\n"
        "def events(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/event-stream')])\n"
        "    future = environ['PATH_INFO'] == '/future'\n"
        "    while True:\n"
        "        yield b': keep-alive\\n\\n'\n"
        "        time.sleep(0.1)\n"
        "        late = b'data: {\"sent\": %f}\\n\\n' % (time.time() * 1000)\n"
        "        yield late if future else b'id: 1\\ndata: tick\\n\\n'\n"
        "class Ticks(WebSocketApplication):\n"
        "    def on_open(self):\n"
        "        gevent.spawn(self.tick)\n"
        "    def tick(self):\n"
        "        while not self.ws.closed:\n"
        "            gevent.sleep(0.1)\n"
        "            self.ws.send('tick')\n"
        "app = hublet.websockets({'/ticks': Ticks}, events)\n",
    )
    visits = ("--visit", "events", "--visit", "push=/ticks", "--users", "2")
    done = loadtest("ticks:app", *visits, *SHORT, "--max-p99", "90ms", PYTHONPATH=path)
    counted = done.by_name()
    assert set(counted) == {"GET /events", "INTERVAL /events", "CONNECT /ticks", "INTERVAL /ticks"}
    for name in ("INTERVAL /events", "INTERVAL /ticks"):
        assert 10 <= counted[name]["requests"] <= 31  # comments are none
        assert counted[name]["p50"] >= 0.1
        assert (counted[name]["max_p99"], counted[name]["held"]) == (None, True)
    assert done.report["total"]["timed"] == 2
    assert "messages do not say when they were `sent`" in done.output

    done = loadtest("ticks:app", "--visit", "events=/future", "--users", "1", *SHORT, PYTHONPATH=path)
    assert done.status == 1
    assert "EVENT /future failed" in done.output
    assert "sent in the future: `sent` is in seconds since the epoch" in done.output


def test_who_hears_nothing_has_no_verdict(loadtest: Loadtest, tmp_path: Path) -> None:
    path = module(
        tmp_path,
        "quiet",
        "import time\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/event-stream')])\n"
        "    while True:\n"
        "        yield b': keep-alive\\n\\n'\n"
        "        time.sleep(0.1)\n",
    )
    done = loadtest("quiet:app", "--visit", "events", "--users", "2", *SHORT, PYTHONPATH=path)
    assert done.status == 1
    assert done.output.startswith("no verdict: the server has sent no message to events=/events in all the time\n")
    assert "of what was counted: held: " in done.output
    assert not done.report["verdict"]["held"]


def test_a_body_without_length_that_is_cut_short(loadtest: Loadtest, tmp_path: Path) -> None:
    path = module(
        tmp_path,
        "torn",
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    yield b'x' * 1000\n"
        "    raise RuntimeError\n",
    )
    done = loadtest("torn:app", "--visit", "download", "--users", "2", *SHORT, PYTHONPATH=path)
    assert done.status == 1
    assert done.output.startswith("did not hold: "), done.output
    assert "GET /download failed " in done.output
    assert "times: cut short after " in done.output
    assert "Traceback" not in done.errors


def test_a_knee_that_nobody_had_time_to_look_for(loadtest: Loadtest) -> None:
    done = loadtest(TARGET, "--shape", "knee", "--users", "4", "--time", "2", "--stage", "60s")
    assert done.status == 1
    assert done.output.startswith("no verdict: the time was up before the first stage had enough answers: ")


@pytest.mark.parametrize("what", ["--web", "--master"])
def test_a_port_that_is_taken(loadtest: Loadtest, what: str) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        done = loadtest("--host", "http://127.0.0.1:1", what, f"{what}-port", str(port))
    assert done.status == 2
    problem = f"port {port} cannot be had (Address already in use): name another one with {what}-port"
    assert done.errors == f"hublet loadtest: {problem}\n"
