"""The error log: whole records that nothing can forge, and a `wsgi.errors` that keeps lines apart."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
import traceback
from collections.abc import Iterator
from wsgiref.validate import ErrorWrapper

import gevent
import pytest
from hublet.servers.error_log import ErrorStream, LineHandler, error_logging, keep_loggers_enabled

RECORD = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4} \[(?P<pid>\d+)\] (?P<level>[A-Z]+) (?P<message>.*)\n", re.DOTALL
)


@pytest.fixture
def written() -> Iterator[list[bytes]]:
    pieces: list[bytes] = []
    with error_logging("info", pieces.append):
        yield pieces


@pytest.fixture
def log() -> logging.Logger:
    return logging.getLogger("hublet.test")


def fields(piece: bytes) -> dict[str, str]:
    match = RECORD.fullmatch(piece.decode())
    assert match is not None, piece
    return match.groupdict()


def test_a_record_has_time_process_level_and_message(written: list[bytes], log: logging.Logger) -> None:
    log.warning("port %d", 80)
    assert fields(written[0]) == {"pid": str(os.getpid()), "level": "WARNING", "message": "port 80"}


def test_the_level_is_kept(written: list[bytes], log: logging.Logger) -> None:
    log.debug("no")
    log.info("yes")
    assert len(written) == 1


def test_a_traceback_is_one_piece(written: list[bytes], log: logging.Logger) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("it failed")
    (piece,) = written
    message = fields(piece)["message"]
    assert message.startswith("it failed\n    Traceback (most recent call last):\n")
    assert message.endswith("ValueError: first\n    second")


def test_a_quoted_peer_forges_no_record_and_no_escape_sequence(written: list[bytes], log: logging.Logger) -> None:
    log.info("GET /%s", "a\n2026-01-01 00:00:00.000 +0000 [1] INFO forged\r\x1b[2J\x85\u2028\x00")
    message = fields(written[0])["message"]
    assert message == r"GET /a" + "\n    2026-01-01 00:00:00.000 +0000 [1] INFO forged" + r"\x0d\x1b[2J\x85\x2028\x00"


def test_a_message_that_cannot_be_formatted_does_not_fail_its_caller(
    written: list[bytes], log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.info("%d", "x")
    log.info("surrogate \ud800")
    assert [fields(piece)["message"] for piece in written] == [r"surrogate \ud800"]


def test_filters_are_asked(written: list[bytes], log: logging.Logger) -> None:
    (handler,) = (each for each in logging.getLogger("hublet").handlers if isinstance(each, LineHandler))
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    log.info("secret")
    log.info("public")
    assert [fields(piece)["message"] for piece in written] == ["public"]


def test_everything_is_put_back() -> None:
    logger = logging.getLogger("hublet")
    before = logger.level, logger.propagate, list(logger.handlers)
    with error_logging("debug", lambda piece: None):
        assert logger.level == logging.DEBUG
        assert not logger.propagate
    assert (logger.level, logger.propagate, logger.handlers) == before


def test_a_program_that_handles_the_logger_itself_keeps_it() -> None:
    logger = logging.getLogger("hublet")
    own = logging.NullHandler()
    logger.addHandler(own)
    try:
        with error_logging("debug", lambda piece: None):
            assert logger.handlers == [own]
            assert logger.level == logging.NOTSET
    finally:
        logger.removeHandler(own)


def test_an_application_that_configures_logging_does_not_silence_it(written: list[bytes], log: logging.Logger) -> None:
    others = {
        name: each for name, each in logging.Logger.manager.loggerDict.items() if isinstance(each, logging.Logger)
    }
    disabled = {name: each.disabled for name, each in others.items()}
    try:
        logging.config.dictConfig({"version": 1})
        log.info("silenced")
        keep_loggers_enabled()
        log.info("heard")
    finally:
        for name, each in others.items():
            each.disabled = disabled[name]
    assert [fields(piece)["message"] for piece in written] == ["heard"]


def test_the_handler_waits_for_no_lock() -> None:
    handler = LineHandler(lambda piece: None)
    assert handler.lock is None
    handler.close()


@pytest.fixture
def pieces() -> list[bytes]:
    return []


@pytest.fixture
def stream(pieces: list[bytes]) -> ErrorStream:
    return ErrorStream(pieces.append)


def test_lines_are_written_whole_and_at_once(stream: ErrorStream, pieces: list[bytes]) -> None:
    print("one", "two", file=stream)
    assert pieces == [b"one two\n"]
    assert stream.write("three\nfo") == 8
    assert pieces == [b"one two\n", b"three\n"]
    stream.write("ur\n")
    assert pieces[2:] == [b"four\n"]


def test_flush_ends_an_unfinished_line(stream: ErrorStream, pieces: list[bytes]) -> None:
    stream.write("half")
    assert pieces == []
    stream.flush()
    stream.flush()
    assert pieces == [b"half\n"]


def test_writelines(stream: ErrorStream, pieces: list[bytes]) -> None:
    stream.writelines(["a\n", "b", "\n"])
    assert b"".join(pieces) == b"a\nb\n"


def test_any_text_can_be_written(stream: ErrorStream, pieces: list[bytes]) -> None:
    stream.write("ü \ud800\n")
    assert pieces == ["ü \\ud800\n".encode()]


def test_bytes_are_refused(stream: ErrorStream) -> None:
    with pytest.raises(TypeError, match="str, not bytes"):
        stream.write(b"x")  # type: ignore[arg-type]


def test_a_traceback_arrives_whole(stream: ErrorStream, pieces: list[bytes]) -> None:
    with pytest.raises(ValueError, match="x") as caught:
        raise ValueError("x")
    traceback.print_exception(caught.value, file=stream)
    assert b"".join(pieces).decode() == "".join(traceback.format_exception(caught.value))


def test_lines_of_greenlets_are_not_mixed(stream: ErrorStream, pieces: list[bytes]) -> None:
    def log(name: str) -> None:
        for _ in range(3):
            stream.write(name * 3)
            gevent.sleep(0)
            stream.write(name * 3 + "\n")

    gevent.joinall([gevent.spawn(log, name) for name in "abc"], raise_error=True)
    lines = b"".join(pieces).decode().splitlines()
    assert all(len(set(line)) == 1 for line in lines)
    assert "".join(sorted("".join(lines))) == "a" * 18 + "b" * 18 + "c" * 18


def test_an_unfinished_line_is_bounded(stream: ErrorStream, pieces: list[bytes]) -> None:
    for _ in range(100):
        stream.write("x" * 1000)
    stream.flush()
    assert sum(len(piece.rstrip(b"\n")) for piece in pieces) == 100_000
    assert max(map(len, pieces)) < 10_000


def test_an_application_cannot_close_it(stream: ErrorStream, pieces: list[bytes]) -> None:
    stream.close()
    assert not stream.closed
    assert stream.writable()
    print("still there", file=stream)
    assert pieces == [b"still there\n"]


def test_the_validator_is_content(stream: ErrorStream, pieces: list[bytes]) -> None:
    errors = ErrorWrapper(stream)
    errors.write("a\n")
    errors.writelines(["b\n"])
    errors.flush()
    assert b"".join(pieces) == b"a\nb\n"


def test_json_records(log: logging.Logger) -> None:
    pieces: list[bytes] = []
    with error_logging("info", pieces.append, "json"):
        log.warning("port %d\n\x1b[2J\u2028", 80)
        try:
            raise ValueError("no price")
        except ValueError:
            log.exception("it failed")
    first, second = (json.loads(piece) for piece in pieces)
    assert all(piece.count(b"\n") == 1 and piece.isascii() for piece in pieces)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "warning",
        "logger": "hublet.test",
        "pid": os.getpid(),
        "message": "port 80\n\x1b[2J\u2028",
    }
    assert second["traceback"].endswith("ValueError: no price")


@pytest.mark.parametrize("level, severity", [("critical", 2), ("error", 3), ("warning", 4), ("info", 6), ("debug", 7)])
def test_syslog_records_begin_with_their_severity(log: logging.Logger, level: str, severity: int) -> None:
    pieces: list[bytes] = []
    with error_logging("debug", pieces.append, "syslog"):
        getattr(log, level)("a\nb\x1b")
    assert pieces == [f"<{severity}>a\n    b\\x1b\n".encode()]


def test_in_a_json_log_every_line_of_wsgi_errors_is_an_object(pieces: list[bytes]) -> None:
    stream = ErrorStream(pieces.append, "json")
    stream.write("one\ntwo %s\nthr")
    stream.flush()
    stream.report(logging.LogRecord("hublet.server", logging.WARNING, "", 0, "four", (), None))
    lines = [json.loads(piece) for piece in pieces]
    assert [line["message"] for line in lines] == ["one", "two %s", "thr", "four"]
    assert [line["logger"] for line in lines] == ["wsgi.errors"] * 3 + ["hublet.server"]


def test_opening_anew_is_passed_on(pieces: list[bytes]) -> None:
    asked: list[bool] = []
    ErrorStream(pieces.append, reopen=lambda: asked.append(True)).reopen()
    ErrorStream(pieces.append).reopen()
    assert asked == [True]
