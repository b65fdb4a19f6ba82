"""The WebSocket load generator against servers that follow a script: what it counts, and what it must not let pass."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from loadtests import compiled
from loadtests.wsload import build
from loadtests.wsload.build import BuildError, build_wsload

ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
GREETING = b"\x81\x05hello"
CLOSE = b"\x88\x02\x03\xe8"
PING = b"\x89\x04ping"

Script = Callable[["Peer"], None]


class Peer:
    """The server's end of a connection, whose handshake request has been read."""

    def __init__(self, connection: socket.socket, file: BinaryIO) -> None:
        self.file = file
        self.send = connection.sendall
        while self.file.readline().strip():
            pass

    def accept(self, *frames: bytes) -> Peer:
        """Answer the handshake, with frames in the same segment."""
        self.send(ACCEPTED + b"".join(frames))
        return self

    def receive(self) -> tuple[int, bytes]:
        """Read a frame: its first byte and its unmasked payload. Raises EOFError at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            raise EOFError
        length = head[1] & 127
        if length == 126:
            (length,) = struct.unpack(">H", self.file.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.file.read(8))
        mask, data = self.file.read(4), self.file.read(length)
        return head[0], bytes(byte ^ mask[i & 3] for i, byte in enumerate(data))

    def echo(self, change: Callable[[bytes], bytes] = bytes, slowly: bool = False) -> None:
        """Answer messages, each made other by `change` to its frame, until a Close comes."""
        while True:
            first, data = self.receive()
            if first == CLOSE[0]:
                self.send(CLOSE)
                return
            frame = change(write_frame(first, data))
            for piece in [bytes([byte]) for byte in frame] if slowly else [frame]:
                self.send(piece)


def write_frame(first: int, data: bytes) -> bytes:
    if len(data) < 126:
        return bytes([first, len(data)]) + data
    form, code = (">H", 126) if len(data) < 1 << 16 else (">Q", 127)
    return bytes([first, code]) + struct.pack(form, len(data)) + data


@pytest.fixture(scope="module")
def program() -> Path:
    return build_wsload()


Figures = dict[str, float]


class Outcome:
    """What a run of wsload printed."""

    def __init__(self, run: subprocess.CompletedProcess[str]) -> None:
        self.status = run.returncode
        self.error = run.stderr
        self.lines: list[Figures] = [json.loads(line) for line in run.stdout.splitlines()]
        self.figures: Figures = self.lines[-1] if self.lines else {}


def load(program: Path, script: Script, *arguments: str, connections: int = 1, entry: str = "") -> Outcome:
    """Run wsload against a server that runs `script`, in a thread, for each of its connections."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as file:
            try:
                script(Peer(connection, file))
            except (OSError, EOFError):
                pass  # wsload has gone

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [threading.Thread(target=serve, args=(listener,)) for _ in range(connections)]
        for thread in threads:
            thread.start()
        port = listener.getsockname()[1]
        run = subprocess.run(
            [program, "-p", str(port), "-n", str(connections), "-w", "0", "-d", "0.2", *arguments],
            capture_output=True, text=True, timeout=60, check=False, input=entry,
        )  # fmt: skip
        for thread in threads:
            thread.join(10)
    return Outcome(run)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 300_000])
@pytest.mark.parametrize("options", [(), ("-b",), ("-q", "5")], ids=["text", "binary", "several under way"])
def test_echoes_of_every_length_are_counted(program: Path, size: int, options: tuple[str, ...]) -> None:
    outcome = load(program, lambda peer: peer.accept().echo(), "-V", "-s", str(size), *options, connections=2)
    assert (outcome.status, outcome.error) == (0, "")
    figures = outcome.figures
    assert figures["msgs"] >= 2
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["max_us"]
    assert figures["conns_served"] == figures["clean_closes"] == figures["of"] == 2
    assert figures["conn_min"] <= figures["msgs"] / 2 <= figures["conn_max"]


def test_handshake_and_frames_may_come_byte_by_byte(program: Path) -> None:
    def script(peer: Peer) -> None:
        for byte in ACCEPTED:
            peer.send(bytes([byte]))
        peer.echo(slowly=True)

    outcome = load(program, script, "-V", "-s", "200")
    assert (outcome.status, outcome.error) == (0, "")


def test_frames_may_come_with_the_handshake_and_pings_are_answered(program: Path) -> None:
    seen: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.accept(PING)
        seen.append(peer.receive())
        peer.send(GREETING * 3)
        peer.echo()

    outcome = load(program, script, "-k", "-s", "5")
    assert (outcome.status, outcome.error) == (0, "")
    assert (seen, outcome.figures["pings"]) == ([(0x8A, b"ping")], 1)
    assert outcome.lines[0]["opened"] == 1


def test_fragments_make_one_message(program: Path) -> None:
    firsts: list[int] = []
    pongs: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.accept()
        while True:
            parts = [peer.receive() for _ in range(3)]
            firsts.extend(first for first, _ in parts)
            peer.send(write_frame(0x01, parts[0][1]) + PING + write_frame(0x80, parts[1][1] + parts[2][1]))
            pongs.append(peer.receive())

    outcome = load(program, script, "-V", "-F", "3", "-s", "100")
    assert (firsts[:6], pongs[0]) == ([0x01, 0x00, 0x80] * 2, (0x8A, b"ping"))
    assert (outcome.figures["failed"], outcome.figures["bad"]) == (0, 0)
    assert outcome.figures["msgs"] > 0


WRONG_ECHOES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a byte differs": (lambda frame: frame[:-1] + b"~", "an echo differs"),
    "a byte is missing": (lambda frame: bytes([frame[0], frame[1] - 1]) + frame[2:-1], "an echo of 31 bytes"),
    "a byte too many": (lambda frame: bytes([frame[0], frame[1] + 1]) + frame[2:] + b"x", "longer than the message"),
    "binary for text": (lambda frame: b"\x82" + frame[1:], "another opcode: 2"),
    "twice": (lambda frame: frame * 2, "a message that answers none"),
    "masked": (lambda frame: bytes([frame[0], frame[1] | 0x80]) + frame[2:], "masked"),
    "reserved bits": (lambda frame: bytes([frame[0] | 0x10]) + frame[1:], "reserved bits"),
    "compressed unasked": (lambda frame: bytes([frame[0] | 0x40]) + frame[1:], "wrong there: c1"),
    "a continuation of nothing": (lambda frame: b"\x80" + frame[1:], "wrong there: 80"),
    "a message in a message": (lambda frame: b"\x01\x00" + frame, "wrong there: 81"),
    "an unknown opcode": (lambda frame: b"\x83" + frame[1:], "wrong there: 83"),
    "a ping in fragments": (lambda frame: b"\x09\x00", "wrong control frame"),
    "a long ping": (lambda frame: b"\x89\x7e\x00\x7e", "wrong control frame: 89 of 126 bytes"),
    "a Close": (lambda frame: b"\x88\x02\x03\xf1", "the server closed: 1009"),
    "an endless length": (lambda frame: b"\x81\x7f" + b"\xff" * 8, "longer than the message"),
}


@pytest.mark.parametrize("name", WRONG_ECHOES)
def test_a_wrong_echo_is_never_let_pass(program: Path, name: str) -> None:
    change, message = WRONG_ECHOES[name]
    outcome = load(program, lambda peer: peer.accept().echo(change))
    assert outcome.status == 1
    assert message in outcome.error
    assert outcome.figures["bad"] + outcome.figures["failed"] + outcome.figures["closed_by_server"] > 0


REFUSALS: dict[str, tuple[bytes, str]] = {
    "another status": (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refused: HTTP/1.1 403 Forbidden"),
    "a wrong key": (ACCEPTED.replace(b"s3pP", b"xxxx"), "refused: HTTP/1.1 101"),
    "the key in a frame": (ACCEPTED.replace(b"s3pP", b"xxxx") + ACCEPTED, "refused: HTTP/1.1 101"),
    "an endless head": (b"x" * 5000, "a response head of more than 4096 bytes"),
    "half a head": (ACCEPTED[:40], "closed within the handshake: HTTP/1.1 101"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_handshake_is_a_failure_that_shows_the_answer(program: Path, name: str) -> None:
    answer, message = REFUSALS[name]
    outcome = load(program, lambda peer: peer.send(answer))
    assert outcome.status == 1
    assert message in outcome.error
    assert outcome.figures["failed"] == 1


def test_a_declined_compression_is_a_failure(program: Path) -> None:
    outcome = load(program, lambda peer: peer.accept().echo(), "-z")
    assert outcome.status == 1
    assert "declined permessage-deflate" in outcome.error


def test_nobody_listening_is_a_failure(program: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        run = subprocess.run(
            [program, "-p", str(unheard.getsockname()[1]), "-n", "3"], capture_output=True, text=True, check=False
        )
    assert run.returncode == 1
    assert "connect: Connection refused" in run.stderr
    assert json.loads(run.stdout)["failed"] == 3


def test_a_server_that_answers_nothing_is_a_failure(program: Path) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        while True:
            peer.receive()

    outcome = load(program, script)
    assert outcome.status == 1
    assert "no message came while measuring" in outcome.error


def test_a_connection_that_is_lost_while_others_open_does_not_stop_the_opening(program: Path) -> None:
    outcome = load(program, lambda peer: peer.accept(CLOSE).echo(), connections=3)
    assert outcome.status == 1
    assert outcome.figures["closed_by_server"] == 3
    assert "the server closed: 1000" in outcome.error


def test_idle_connections_are_held_until_the_input_ends_each_after_one_echo(program: Path) -> None:
    received: list[int] = []

    def script(peer: Peer) -> None:
        first, data = peer.accept().receive()
        received.append(len(data))
        peer.send(write_frame(first, data))
        peer.echo()

    outcome = load(program, script, "-i", "-g", "-e", "-d", "50", connections=3)
    assert (outcome.status, outcome.error, received) == (0, "", [32, 32, 32])
    assert outcome.lines[0] == {"opened": 3, "failed": 0, "open_seconds": outcome.lines[0]["open_seconds"]}
    assert outcome.figures["clean_closes"] == 3


def test_what_is_pushed_must_have_the_size_that_is_asked_for(program: Path) -> None:
    outcome = load(program, lambda peer: peer.accept(GREETING).echo(), "-k", "-s", "6")
    assert (outcome.status, outcome.figures["bad"]) == (1, 1)
    assert "a message of 5 bytes" in outcome.error


@pytest.mark.parametrize(
    "arguments", [(), ("-p", "0"), ("-p", "80", "-n", "x"), ("-p", "80", "-i", "-k"), ("-p", "80", "-H", "x"), ("-x",)]
)
def test_a_wrong_usage_is_refused(program: Path, arguments: tuple[str, ...]) -> None:
    run = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert "wsload" in run.stderr


def test_it_is_compiled_once_and_again_after_a_change(tmp_path: Path, program: Path) -> None:
    made = build_wsload(tmp_path / "new" / "wsload")
    assert os.access(made, os.X_OK)
    first = made.stat().st_ino
    assert build_wsload(made).stat().st_ino == first
    os.utime(made, (0, 0))
    assert build_wsload(made).stat().st_mtime > 0
    assert [each.name for each in made.parent.iterdir()] == ["wsload"]


def test_a_missing_compiler_is_said_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "COMPILER", "no-such-compiler")
    with pytest.raises(BuildError, match="no-such-compiler to be compiled, which is not installed; on Debian"):
        build_wsload(tmp_path / "wsload")


def test_a_source_that_does_not_compile_shows_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "wsload.c"
    source.write_text("int main(void) { return nothing; }\n")
    monkeypatch.setattr(build, "SOURCE", source)
    with pytest.raises(BuildError, match="nothing"):
        build_wsload(tmp_path / "made")
    assert not (tmp_path / "made").exists()
