"""The access log's two formats: what tools parse, what is missing, and what a peer tries to forge."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any, Literal

import pytest
from hublet.servers.access_log import LOST_REPORTS, AccessLog

STARTED = 1_760_000_000.25
ENVIRON = {
    "REMOTE_ADDR": "192.0.2.7",
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/caf%C3%A9/list?page=2",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/caf\xc3\xa9/list",
    "QUERY_STRING": "page=2",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_REFERER": "https://example.com/",
    "HTTP_USER_AGENT": "curl/8.0",
}
COMBINED = re.compile(
    r'(?P<client>\S+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}|-) (?P<sent>\d+|-) '
    r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)" (?P<ttfb>\d+) (?P<total>\d+)\n'
)
HOSTILE = ['"', "\\", "\n", "\r", "\x00", "\x1b[31m", "\x7f", "\x85", "\xff", '" 200 1 "-" "-" 0 0\n1.2.3.4 - - [']


def record(
    format: Literal["combined", "json"],
    changes: dict[str, Any] | None = None,
    environ: dict[str, Any] | None = None,
    status: str = "200 OK",
    sent: int = 1234,
    started: float = STARTED,
) -> bytes:
    lines: list[bytes] = []
    whole = {**(ENVIRON if environ is None else environ), **(changes or {})}
    AccessLog(format, lines.append).record(whole, status, sent, started, 0.000123, 1.5)
    (line,) = lines
    return line


def combined(*arguments: Any, **options: Any) -> dict[str, str]:
    match = COMBINED.fullmatch(record("combined", *arguments, **options).decode("ascii"))
    assert match is not None
    return match.groupdict()


def parsed(*arguments: Any, **options: Any) -> dict[str, Any]:
    line = record("json", *arguments, **options)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    return found


def test_combined() -> None:
    assert combined() == {
        "client": "192.0.2.7",
        "user": "-",
        "time": time.strftime("%d/Oct/2025:%H:%M:%S %z", time.localtime(STARTED)),
        "request": "GET /caf%C3%A9/list?page=2 HTTP/1.1",
        "status": "200",
        "sent": "1234",
        "referer": "https://example.com/",
        "agent": "curl/8.0",
        "ttfb": "123",
        "total": "1500000",
    }


def test_json() -> None:
    assert parsed() == {
        "time": "2025-10-09T08:53:20.250Z",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/café/list",
        "query": "page=2",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 1234,
        "ttfb": 0.000123,
        "total": 1.5,
        "referer": "https://example.com/",
        "user_agent": "curl/8.0",
    }


def test_a_request_that_was_never_parsed() -> None:
    line = combined(environ={"REMOTE_ADDR": "::1"}, status="400 Bad Request", sent=0)
    assert [line[name] for name in ("client", "request", "status", "sent", "referer", "agent")] == [
        *("::1", "-", "400", "-", "-", "-")
    ]
    fields = parsed(environ={"REMOTE_ADDR": "::1"}, status="400 Bad Request", sent=0)
    assert (fields["client"], fields["status"], fields["bytes"]) == ("::1", 400, 0)
    assert [fields[name] for name in ("method", "path", "query", "protocol", "referer", "user_agent")] == [None] * 6


def test_a_peer_of_a_unix_socket() -> None:
    assert combined({"REMOTE_ADDR": ""})["client"] == "unix:"
    assert parsed({"REMOTE_ADDR": ""})["client"] == "unix:"


def test_a_peer_that_nobody_knows() -> None:
    assert combined(environ={})["client"] == "-"
    assert parsed(environ={})["client"] is None


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("name", ["RAW_URI", "HTTP_REFERER", "HTTP_USER_AGENT", "REQUEST_METHOD", "REMOTE_USER"])
def test_nothing_that_a_peer_sends_leaves_its_field(name: str, hostile: str) -> None:
    line = combined({name: f"a{hostile}b"})
    field = {"HTTP_REFERER": "referer", "HTTP_USER_AGENT": "agent", "REMOTE_USER": "user"}.get(name, "request")
    text = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), line[field])
    assert f"a{hostile}b" in text
    assert line["status"] == "200"


@pytest.mark.parametrize("hostile", [*HOSTILE, "\u2028"])
def test_json_gives_back_what_was_sent(hostile: str) -> None:
    line = record("json", {"HTTP_USER_AGENT": hostile})
    assert json.loads(line)["user_agent"] == hostile.replace("\x85", "\ufffd").replace("\xff", "\ufffd")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])


@pytest.mark.parametrize("value", [None, 5, object(), "ü€\ud800", ""])
def test_what_an_application_leaves_in_its_environ(value: object) -> None:
    changes = dict.fromkeys(("HTTP_REFERER", "HTTP_USER_AGENT", "REMOTE_USER", "SCRIPT_NAME"), value)
    combined(changes)
    parsed(changes)


def test_a_client_that_vanished_before_any_response_has_no_status() -> None:
    assert combined(status="-", sent=0)["status"] == "-"
    assert parsed(status="-", sent=0)["status"] is None


@pytest.mark.parametrize("name, key", [("HTTP_REFERER", "referer"), ("HTTP_USER_AGENT", "user_agent")])
def test_json_decodes_fields_as_utf8(name: str, key: str) -> None:
    assert parsed({name: "caf\xc3\xa9"})[key] == "café"
    assert parsed({name: "caf\xe9"})[key] == "caf\ufffd"


def test_characters_that_no_wire_has_are_written_as_utf8() -> None:
    assert combined({"HTTP_USER_AGENT": "€"})["agent"] == r"\xe2\x82\xac"


def test_the_user() -> None:
    assert combined({"REMOTE_USER": "ann b"})["user"] == r"ann\x20b"


def test_a_mounted_application_has_the_whole_path() -> None:
    assert parsed({"SCRIPT_NAME": "/shop", "PATH_INFO": "/list"})["path"] == "/shop/list"
    assert parsed({"PATH_INFO": "/\xff"})["path"] == "/\ufffd"


def test_requests_of_other_seconds_have_their_own_time() -> None:
    lines: list[bytes] = []
    log = AccessLog("json", lines.append)
    for started in (STARTED, STARTED + 0.5, STARTED - 10, STARTED):
        log.record(ENVIRON, "200 OK", 0, started, 0, 0)
    times = [datetime.fromisoformat(json.loads(line)["time"]).timestamp() for line in lines]
    assert times == [STARTED, STARTED + 0.5, STARTED - 10, STARTED]


@pytest.mark.parametrize("zone, offset", [("UTC0", "+0000"), ("EST5", "-0500"), ("IST-5:30", "+0530")])
def test_the_local_time_has_its_offset(monkeypatch: pytest.MonkeyPatch, zone: str, offset: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        stamp = combined()["time"]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert stamp.endswith(offset)
    assert datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z").timestamp() == int(STARTED)


def test_what_is_written_for_lost_lines_fits_the_format() -> None:
    assert json.loads(LOST_REPORTS["json"](3)) == {"lost": 3}
    assert LOST_REPORTS["combined"](3).startswith(b"hublet: 3 log lines were lost")
