"""Methods of types that are written in C can be replaced and put back, in a process of its own."""

from __future__ import annotations

import collections
import io
from pathlib import Path
from typing import Any

import pytest
from hublet.patches.builtin_types import is_builtin, put

from tests.patches.test_captures import run_python

SCRIPT = """
import io, json, sys
from hublet.patches.builtin_types import put

class Heir(io.FileIO): pass

def said(kind):
    with kind(sys.executable) as file:
        return file.tell()

names, original = list(vars(io.FileIO)), vars(io.FileIO)["tell"]
before = [said(io.FileIO), said(Heir)]
put(io.FileIO, "tell", lambda self: "elsewhere")
replaced = [said(io.FileIO), said(Heir)]  # what the interpreter remembers of the type is forgotten
put(io.FileIO, "tell", original)
print(json.dumps([before, replaced, [said(io.FileIO), said(Heir)], list(vars(io.FileIO)) == names]))
"""


def test_a_method_is_replaced_and_put_back(tmp_path: Path) -> None:
    assert run_python(tmp_path, SCRIPT) == [[0, 0], ["elsewhere", "elsewhere"], [0, 0], True]


@pytest.mark.parametrize(
    "holder, builtin",
    [(io.FileIO, True), (int, True), (Path, False), (collections.UserDict, False), (io, False), (len, False)],
)
def test_which_holders_are_meant(holder: Any, builtin: bool) -> None:
    assert is_builtin(holder) is builtin


def test_nothing_is_added() -> None:
    with pytest.raises(KeyError, match="no_such_method"):
        put(io.FileIO, "no_such_method", len)
    assert not hasattr(io.FileIO, "no_such_method")
