"""Real applications behind the real command, with curl as the client: Flask, Django, Bottle, Pyramid and Falcon.

All five do the same (tests/integration/frameworks); what their frameworks decide differently is said in the tests.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

TARGETS = {
    "flask": "tests.integration.frameworks.flask_app",
    "django": "tests.integration.frameworks.django_app:application",
    "bottle": "tests.integration.frameworks.bottle_app:app",
    "pyramid": "tests.integration.frameworks.pyramid_app:make_app()",
    "falcon": "tests.integration.frameworks.falcon_app:app",
}
CONTENT = bytes(range(256)) * 1200  # 300 KiB


@dataclass
class Answer:
    """What curl got: the last response's status and fields, and everything that came as a body."""

    status: int
    version: str
    fields: dict[str, list[str]]
    body: bytes
    heads: list[str]


class Site:
    """One framework's application, served by the command."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.file = folder / "content.bin"
        self.file.write_bytes(CONTENT)
        self.log = folder / "log"
        self.folder = folder
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hublet", TARGETS[name], "--bind", "127.0.0.1:0"],
                cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "TEST_FILE": str(self.file)},
            )  # fmt: skip
        self.url = self.wait_for_url()

    def wait_for_url(self) -> str:
        """The address in the start-up banner."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"listening on (http://[0-9.:]+)", self.log.read_text()):
                return found[1]
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    def curl(self, path: str, *options: str, stdin: bytes = b"") -> Answer:
        """Run curl, which must not find anything wrong."""
        heads, body = self.folder / "heads", self.folder / "body"
        command = [
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "10",
            "--dump-header",
            str(heads),
            "--output",
            str(body),
        ]
        body.write_bytes(b"")
        done = subprocess.run([*command, *options, self.url + path], input=stdin, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        blocks = [block for block in heads.read_bytes().decode("latin-1").split("\r\n\r\n") if block]
        status_line, *lines = blocks[-1].split("\r\n")
        fields: dict[str, list[str]] = {}
        for line in lines:
            field, _, value = line.partition(": ")
            fields.setdefault(field.lower(), []).append(value)
        version, status = status_line.split(" ")[:2]
        return Answer(int(status), version, fields, body.read_bytes(), [block.split("\r\n")[0] for block in blocks])


@pytest.fixture(scope="module", params=TARGETS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each application in turn; it must stop in order and must not have logged an error besides the one on purpose."""
    site = Site(request.param, tmp_path_factory.mktemp(request.param))
    try:
        yield site
    finally:
        site.process.terminate()
        status = site.process.wait(10)
    text = site.log.read_text()
    assert status == 0
    assert "stopped" in text
    assert set(re.findall(r"\w+ (\S+) from \S+: the application failed", text)) <= {"/error"}, text
    assert " failed with " not in text  # as the hub puts it


VERSIONS = pytest.mark.parametrize("option", ["--http1.1", "--http1.0"])


@VERSIONS
def test_hello(site: Site, option: str) -> None:
    answer = site.curl("/hello", option)
    assert (answer.status, answer.version, answer.body) == (200, "HTTP/1.1", b"Hello, World!")
    assert answer.fields["content-length"] == ["13"]
    assert answer.fields["server"] == ["hublet"]


def test_json(site: Site) -> None:
    answer = site.curl("/json?q=%C3%A9%20%26")
    assert answer.fields["content-type"][0].startswith("application/json")
    assert json.loads(answer.body) == {"hello": "world", "q": "é &"}


def test_a_form(site: Site) -> None:
    assert site.curl("/form", "--data-urlencode", "name=Zoë & co").body.decode() == "Zoë & co"


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
def test_an_upload(site: Site, size: int, expect: str) -> None:
    file = site.folder / "upload.txt"
    file.write_bytes(b"x" * size)
    answer = site.curl("/upload", "--header", expect, "--form", f"file=@{file}")
    assert answer.body == b"upload.txt %d" % size
    assert answer.heads == (["HTTP/1.1 100 Continue"] if expect != "Expect:" else []) + ["HTTP/1.1 200 OK"]


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_a_chunked_upload(site: Site, size: int) -> None:
    """Django reads by CONTENT_LENGTH alone: a chunked body is empty there, and is drained.

    Bottle decodes the chunks itself if it sees Transfer-Encoding, which gives 400 behind every server that has done so,
    and reads by CONTENT_LENGTH if not (https://github.com/bottlepy/bottle/issues/700).
    """
    body = CONTENT[:size]
    answer = site.curl("/echo", "--header", "Transfer-Encoding: chunked", "--data-binary", "@-", stdin=body)
    if site.name == "bottle":
        assert answer.status == 400 or answer.body == b""
    else:
        assert (answer.status, answer.body) == (200, b"" if site.name == "django" else body)


@VERSIONS
def test_a_stream(site: Site, option: str) -> None:
    answer = site.curl("/stream", option)
    assert answer.body == b"0\n1\n2\n3\n4\n"
    assert answer.fields.get("transfer-encoding") == (["chunked"] if option == "--http1.1" else None)
    assert "content-length" not in answer.fields


@VERSIONS
def test_a_file(site: Site, option: str) -> None:
    answer = site.curl("/file", option)
    assert answer.body == CONTENT
    assert answer.fields["content-length"] == [str(len(CONTENT))]


RANGES = {"0-9": (0, 10), "1000-200000": (1000, 200_001), "-5": (-5, None), "299990-": (299_990, None)}


@pytest.mark.parametrize("wanted", RANGES)
def test_a_part_of_a_file(site: Site, wanted: str) -> None:
    """Django's FileResponse knows no ranges; Falcon knows them for its static routes."""
    answer = site.curl("/ranges/content.bin" if site.name == "falcon" else "/file", "--range", wanted)
    if site.name == "django":
        assert (answer.status, answer.body) == (200, CONTENT)
    else:
        begin, end = RANGES[wanted]
        assert (answer.status, answer.body) == (206, CONTENT[begin:end])
        assert answer.fields["content-range"][0].endswith(f"/{len(CONTENT)}")


def test_cookies(site: Site) -> None:
    jar = str(site.folder / "jar")
    answers = [site.curl("/cookie", "--cookie", jar, "--cookie-jar", jar) for _ in range(2)]
    assert [answer.body for answer in answers] == [b"never", b"before"]
    assert len(answers[0].fields["set-cookie"]) == 2


def test_a_redirect(site: Site) -> None:
    assert site.curl("/redirect").status == 302
    answer = site.curl("/redirect", "--location")
    assert (answer.status, answer.body) == (200, b"Hello, World!")


def test_error_pages(site: Site) -> None:
    assert site.curl("/forbidden").status == 403
    assert site.curl("/missing").status == 404
    assert site.curl("/hello", "--request", "DELETE").status == (200 if site.name in ("django", "pyramid") else 405)


def test_an_exception(site: Site) -> None:
    answer = site.curl("/error")
    assert answer.status == 500
    assert b"on purpose" not in answer.body


@pytest.mark.parametrize("path", ["/hello", "/file", "/stream", "/json"])
def test_head(site: Site, path: str) -> None:
    """Falcon has no HEAD where the resource does not say so."""
    answer = site.curl(path, "--head")
    assert answer.body.count(b"\r\n\r\n") == 1  # curl counts the head as output here
    assert answer.status == (405 if site.name == "falcon" else 200)
    if path == "/hello" and site.name != "falcon":
        assert answer.fields["content-length"] == ["13"]


def test_no_content(site: Site) -> None:
    answer = site.curl("/empty")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.fields


def test_one_connection_for_many_requests(site: Site) -> None:
    paths = ["/hello", "/stream", "/error", "/empty", "/file", "/missing", "/hello"]
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n"]
    arguments: list[str] = []
    for path in paths:
        arguments += [*(["--next"] if arguments else []), *command[1:], site.url + path]
    done = subprocess.run(["curl", *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == ["200 1", "200 0", "500 0", "204 0", "200 0", "404 0", "200 0"]


def test_requests_that_wait_do_so_together(site: Site) -> None:
    with ThreadPoolExecutor(20) as pool:
        began = time.monotonic()
        command = ["curl", "--silent", "--max-time", "10", site.url + "/wait"]
        answers = list(pool.map(lambda _: subprocess.run(command, capture_output=True).stdout, range(20)))
    assert answers == [b"waited"] * 20
    assert time.monotonic() - began < 3  # one after the other takes six seconds
