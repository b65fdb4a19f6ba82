"""The variable is taken out of the environment, and the pipe is for this process only."""

from __future__ import annotations

import os

from hublet.runtime.lifeline import LIFELINE_VARIABLE, inherit_lifeline


def test_it_is_inherited_once() -> None:
    reader, writer = os.pipe()
    try:
        os.set_inheritable(reader, True)
        environ = {LIFELINE_VARIABLE: str(reader), "PATH": "/bin"}
        assert inherit_lifeline(environ) == reader
        assert environ == {"PATH": "/bin"}
        assert not os.get_inheritable(reader)
        assert inherit_lifeline(environ) is None
    finally:
        os.close(reader)
        os.close(writer)
