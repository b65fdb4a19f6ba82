"""The block of README.rst: what it says of the data, and that the committed one is what the committed data give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.bench.quotes import (
    BEGIN,
    DOCUMENTS,
    END,
    Cases,
    read_cases,
    update_documents,
    with_block,
    write_block,
    write_costs,
)


def case(title: str, more_is_better: bool = True, **figures: float | None) -> dict[str, object]:
    """A case of the data file; a server without a figure has dropped requests."""
    servers = {
        name.replace("_", " "): {"summary": {"it": figure or 9e9}, "failures": [] if figure else ["read 1"]}
        for name, figure in figures.items()
    }
    return {"title": title, "primary": "it", "more_is_better": more_is_better, "servers": servers}


CASES: Cases = {
    "hello": case("Hello", hublet=1000, bjoern=1200.4, cheroot=None),
    "flask-json": case("Flask", hublet=500),
    "upload": case("Upload", hublet=3, gunicorn_gevent=2),
    "idle": case("Idle", more_is_better=False, hublet=300, bjoern=150),
    "tls": case("TLS", hublet_tls=None, granian_tls=4),
    "workers": case("Two workers", hublet_2_workers=2, hublet=1),
}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_committed_block_is_what_the_committed_data_give(path: Path) -> None:
    document = path.read_text(encoding="utf-8")
    assert document == with_block(document, DOCUMENTS[path](read_cases()))


def test_each_library_has_a_row_with_what_was_measured_of_it() -> None:
    costs = {"plain_us": 38.04, "gevent_us": 40.0, "hublet_us": 1234.5, "at_once_us": 30.0, "times": 1.5}
    waits = {"hublet_stall_ms": 9.6, "gevent_stall_ms": 4001.0}
    calls = {"alone_us": 22.46, "at_once_us": 4.0}
    cases: Cases = {
        "library-costs": {"servers": {name: {"summary": costs, "failures": []} for name in ("psycopg2", "apsw")}},
        "library-stalls": {"servers": {"psycopg2": {"summary": waits, "failures": []}}},
        "offloading": {"servers": {"hublet.offload": {"summary": calls, "failures": []}}},
    }
    lines = write_costs(cases).splitlines()
    assert lines[3].split() == ["psycopg2", "38.0", "40.0", "1,234.5", "30.0", "4,001", "10"]
    assert lines[4].split()[-2:] == ["\\-", "\\-"]
    assert lines[-1] == "A call on a native thread: hublet.offload: 22.5 us in sequence, 4.0 us each at once."
    assert write_costs({}) == "``make compare`` has not measured them yet.\n"


def test_what_is_lost_comes_first() -> None:
    assert write_block(CASES).splitlines()[0] == (
        "**Not first:** Hello (0.83 x bjoern); Idle (0.50 x bjoern); TLS (hublet tls failed)."
    )
    assert write_block({"upload": CASES["upload"]}).startswith("hublet is first in every case.\n")


def test_the_table_is_in_the_order_of_the_first_case_and_names_who_failed() -> None:
    lines = write_block(CASES).splitlines()
    assert [line.split() for line in lines[5:8]] == [
        ["bjoern", "1,200", "\\-"], ["**hublet**", "1,000", "500"], ["cheroot", "failed", "\\-"],
    ]  # fmt: skip


def test_other_cases_are_ratios_to_the_best_of_the_others() -> None:
    block = write_block(CASES)
    assert "- Upload: 1.50 x (gunicorn gevent)\n- Idle: 0.50 x (bjoern)\n" in block
    assert "- TLS" not in block
    assert "Two workers" not in block  # nobody else takes part


def test_each_style_of_hublet_has_its_ratio() -> None:
    echo = case("Echo", hublet_callback=90, hublet_blocking=150, Node_ws=100, picows=80)
    block = write_block({"ws-echo-32": echo})
    assert "- Echo: callback 0.90 x, blocking 1.50 x (Node ws)\n" in block
    assert block.startswith("**Not first:** Echo (callback 0.90 x Node ws).\n")


def test_what_libraries_cost_is_said_with_the_least_and_the_most() -> None:
    costs = {name: {"summary": {"times": times}, "failures": []} for name, times in (("redis", 1.1), ("mariadb", 3.25))}
    stalls = {"redis": {"summary": {"hublet_stall_ms": 9.6, "gevent_stall_ms": 4001.0}, "failures": []}}
    block = write_block(
        {
            "library-costs": {"title": "", "primary": "times", "more_is_better": False, "servers": costs},
            "library-stalls": {"title": "", "primary": "hublet_stall_ms", "more_is_better": False, "servers": stalls},
        }
    )
    assert (
        "- Patched libraries: a small operation takes 1.10 x (redis) to 3.25 x (mariadb) as long as in plain Python; "
        "20 that wait stop the others for at most 10 ms, with gevent alone for 4,001 ms\n"
    ) in block.replace("\n  ", " ")


def test_only_the_block_is_changed(tmp_path: Path) -> None:
    readme, data = tmp_path / "README.rst", tmp_path / "data.json"
    readme.write_text(f"Before\n\n{BEGIN}old\n{END}\nAfter\n")
    data.write_text(json.dumps({"cases": CASES}))
    update_documents(data, {readme: write_block})
    assert readme.read_text() == f"Before\n\n{BEGIN}\n{write_block(CASES)}\n{END}\nAfter\n"
    with pytest.raises(ValueError, match="has no"):
        with_block("nothing", "block")
