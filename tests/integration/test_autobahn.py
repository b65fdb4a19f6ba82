"""hublet passes every case of the Autobahn WebSocket Testsuite; `make autobahn` has the longer runs of it."""

from __future__ import annotations

import pytest

from tests.autobahn.server import echo_server
from tests.autobahn.suite import ALL_CASES, build_suite, run_suite

# Instead of 1,000 messages of each case that compresses: what they would find beyond these is left to `make autobahn`.
MESSAGES = 20


@pytest.fixture(scope="module", autouse=True)
def suite() -> None:
    build_suite()


# Each style and each way of compression once: they do not meet in any code.
@pytest.mark.parametrize("style, compression", [("callback", "connection"), ("blocking", "message")])
def test_every_case_is_accepted(style: str, compression: str) -> None:
    with echo_server(compression) as port:
        report = run_suite(f"ws://127.0.0.1:{port}/{style}", count=MESSAGES)
    assert report.complaints() == []
    assert len(report.verdicts) == ALL_CASES
