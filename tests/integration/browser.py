"""Headless Chromium, driven over its debugging protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from .served_process import PATIENCE, wait_until

# No services of its maker, no use of the graphics card or of /dev/shm, and no sandbox, which root cannot have.
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]


class Browser:
    """One browser with one page, without anybody's settings; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "chromium.log"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                ["chromium", *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        port_file = folder / "profile" / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text().count("\n") == 1, lambda: self.log.read_text())
        port, path = port_file.read_text().split("\n")
        self.connection = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, open_timeout=PATIENCE)
        self.protocol = self.connection.__enter__()
        self.number = 0
        self.session: str | None = None
        target = next(each for each in self.do("Target.getTargets")["targetInfos"] if each["type"] == "page")
        self.session = self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.connection.__exit__(None, None, None)
        finally:
            self.popen.terminate()
            self.popen.wait(PATIENCE)

    def do(self, method: str, **parameters: Any) -> Any:
        """Have a command of the protocol carried out; return its result."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        self.protocol.send(json.dumps(command | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.protocol.recv(PATIENCE))
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        result = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url: str) -> None:
        """Go to a page."""
        assert "errorText" not in self.do("Page.navigate", url=url)

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true on the page."""
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(f"(() => {{ try {{ return !!({expression}) }} catch {{ return false }} }})()"):
            assert time.monotonic() < deadline, f"{expression}; the page: {self.evaluate('document.body.innerText')}"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """The text of an element, as an expression."""
        return f"document.querySelector({json.dumps(selector)}).textContent.trim()"
