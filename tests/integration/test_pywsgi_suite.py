"""gevent's own tests of `pywsgi.WSGIServer`, run against `hublet.WSGIServer`: they pass, but for the table below.

The table is what someone who comes from pywsgi may notice. Each entry says how the suite's test fails, so that it
cannot hide a failure of another kind, and why hublet differs. A test that begins to pass must leave the table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

# What the suite skips of itself ("Not sure"), once in each class that inherits it.
SKIPPED_BY_THE_SUITE = "test_006_reject_long_urls"


class Difference(NamedTuple):
    """How a test of the suite fails, by the beginning of the failure's text, and the reason a user can accept."""

    failure: str
    because: str


NO_HOST = Difference(
    "AssertionError: Unexpected code: 400 (expected 200)",
    "its HTTP/1.1 request has no Host field: RFC 9112 section 3.2 demands 400",
)
UPGRADE = Difference(
    "AssertionError: Unexpected code: 500 (expected 101)",
    'its application sends 101 and a Connection field: hop-by-hop fields belong to the server (PEP 3333, "Other HTTP '
    'Features"), and so does the change of protocol that they announce',
)
HANDSHAKE = Difference(
    "AssertionError: Unexpected code: 400 (expected 101)",
    "it asks for a WebSocket without the fields of the handshake (RFC 6455 section 4.2.1)",
)
ERROR_LOG = Difference(
    "AssertionError: unexpectedly None : Error must not be none",
    "it wants the application's exception in the hub's `handle_error`: hublet writes it to the error log, with method, "
    "path and client; what the peer sees has been found right before",
)
NO_BODY_YET = Difference(
    "AssertionError: ([], False)",
    "it wants an empty response in chunks: hublet sends no head before the first byte or the end, and at the end it "
    "knows that Content-Length is 0",
)
WORDING = Difference(
    'AssertionError: "',
    "`start_response` raises ValueError as in pywsgi, with another text: it names the field, the value and the rule",
)

DIFFERENCES: dict[str, Difference] = {
    # The request is refused, or is given another meaning, where RFC 9112 lets or makes a server be strict.
    "TestMultiLineHeader.test_multiline_116": Difference(
        "AssertionError: Unexpected code: 400 (expected 200)",
        "its request folds a field line: refused with 400 (RFC 9112 section 5.2), where pywsgi joins the lines",
    ),
    "ChunkedInputTests.test_short_read": NO_HOST,
    "ChunkedInputTests.test_short_read_with_content_length": NO_HOST,
    "ChunkedInputTests.test_short_read_with_zero_content_length": NO_HOST,
    "ChunkedInputTests.test_chunked_readline": NO_HOST,
    "ChunkedInputTests.test_dirt": NO_HOST,
    "ChunkedInputTests.test_close_before_finished": Difference(
        "AssertionError: unexpectedly None : Error must not be none",
        NO_HOST.because + "; the application never runs, so that its reading cannot fail",
    ),
    "TestNonLatin1HeaderFromApplication.test": Difference(
        "AssertionError: Unexpected code: 400 (expected 500)", NO_HOST.because
    ),
    "TestNonLatin1UnicodeHeaderFromApplication.test": Difference(
        "AssertionError: Unexpected code: 400 (expected 500)", NO_HOST.because
    ),
    "MultipleCookieHeadersTest.test": Difference(
        "AssertionError: Unexpected code: 500 (expected 200)",
        'it wants Cookie2 joined by "; " as Cookie is: RFC 6265 section 9.3 made that field obsolete, so it is an '
        'ordinary one, joined by ","',
    ),
    "Expect100ContinueTests.test_continue": Difference(
        "AssertionError: Unexpected code: 200 (expected 100)",
        "its client announces a body with `Expect: 100-continue` and sends it without waiting: a server that has "
        "received some of the body may leave the interim response out (RFC 9110 section 10.1.1), and hublet does",
    ),
    # The response: hublet sends what the protocol allows, and raises where PEP 3333 says so.
    "TestEmptyYield.test_err": NO_BODY_YET,
    "TestEmptyWrite.test_err": NO_BODY_YET,
    "TestBody304.test_err": Difference(
        'AssertionError: "Unexpected code: 304 (expected 200)',
        "it wants an AssertionError for the body of a 304 response: hublet sends the 304 and leaves the body out",
    ),
    "TestWrite304.test_err": Difference(
        'AssertionError: "Unexpected code: 500 (expected 200)',
        "it wants an AssertionError from `write` in a 304 response: hublet leaves out such a body when it is made of "
        "bytes; this one is a str, for which `write` raises TypeError",
    ),
    "TestContentLength304.test_err": Difference(
        "AssertionError: Unexpected code: 500 (expected 200)",
        "it wants an AssertionError for Content-Length in a 304 response: RFC 9110 section 8.6 allows it, as the size "
        "that the response to a GET would have had",
    ),
    "TestConnectionUpgrades.test_connection_upgrade": UPGRADE,
    "TestConnectionUpgrades.test_upgrade_websocket": HANDSHAKE,
    "TestHTTPResponseSplitting.test_newline_in_status": WORDING,
    "TestHTTPResponseSplitting.test_newline_in_header_name": WORDING,
    "TestHTTPResponseSplitting.test_newline_in_header_value": WORDING,
    "TestErrorInApplication.test": ERROR_LOG,
    "TestError_after_start_response.test": ERROR_LOG,
    "TestErrorAfterChunk.test": ERROR_LOG,
    # Parts of pywsgi that have no counterpart.
    "TestHandlerSubclass.test": Difference(
        "TypeError: handler_class has no meaning here",
        "it reads the socket in a subclass of WSGIHandler: in hublet a connection is compiled code without hooks",
    ),
    "TestEnviron.test_environ_is_secure_by_default": Difference(
        "AssertionError: Unexpected code: 500 (expected 200)",
        "it sets `environ_class`: PEP 3333 wants a builtin dict, and hublet makes no other",
    ),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    path = tmp_path_factory.mktemp("pywsgi") / "verdicts.json"
    run = subprocess.run(
        [sys.executable, "-m", "tests.integration.pywsgi.runner", str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found: dict[str, dict[str, str]] = json.loads(path.read_text())
    return found


def test_suite_runs_and_skips_only_what_it_skips_for_pywsgi(verdicts: dict[str, dict[str, str]]) -> None:
    skipped = {name for name, each in verdicts.items() if each["verdict"] == "skipped"}
    assert {name.split(".")[1] for name in skipped} == {SKIPPED_BY_THE_SUITE}
    assert len(verdicts) - len(skipped) >= 100


def test_failing_tests_are_those_of_the_table(verdicts: dict[str, dict[str, str]]) -> None:
    failed = {name: each for name, each in verdicts.items() if each["verdict"] == "failed"}
    unexplained = [
        f"{name}\n{each['traceback']}{each['failure']}\n"
        for name, each in failed.items()
        if name not in DIFFERENCES or not each["failure"].startswith(DIFFERENCES[name].failure)
    ]
    assert not unexplained, "these fail in a way that the table does not have:\n\n" + "\n".join(unexplained)
    assert set(DIFFERENCES) <= set(failed), "these no longer fail, or are gone: take them out of the table"
