"""What is checked of grpcio, in a patched process."""

from __future__ import annotations

from typing import Any

import grpc
import hublet

from .probe import assert_raises, assert_yields, killed_inside


def saying(port: int) -> tuple[Any, Any]:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    return channel, channel.unary_unary("/Echo/Say")


def check_calls(port: int) -> None:
    channel, say = saying(port)
    with channel:
        assert_yields(lambda: say(b"hello"))


def check_channels(port: int) -> None:
    """A channel each: connecting too."""

    def operation() -> None:
        channel, say = saying(port)
        with channel:
            assert say(b"hello") == b"hello"

    assert_yields(operation)


def check_streams(port: int) -> None:
    channel, _ = saying(port)
    with channel:
        count = channel.unary_stream("/Echo/Count")
        assert_yields(lambda: [*count(b"4")])
        assert [*count(b"3")] == [b"0", b"1", b"2"]


def check_errors_deadlines_and_kills(port: int) -> None:
    channel, say = saying(port)
    with channel:
        error: Any = assert_raises(grpc.RpcError, lambda: say(b"fail"))
        assert error.code() is grpc.StatusCode.NOT_FOUND
        error = assert_raises(grpc.RpcError, lambda: say(b"5", timeout=0.1))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert killed_inside(lambda: say(b"5")) < 1
        assert say(b"after") == b"after"


def check_futures(port: int) -> None:
    channel, say = saying(port)
    with channel:
        future = say.future(b"later")
        assert future.result(timeout=10) == b"later"


def check_patching_again(port: int) -> None:
    """The mode stays when the patches are taken back; calls go on, also when they are applied again."""
    channel, say = saying(port)
    with channel:
        assert hublet.patch_all() == ()
        assert say(b"0.001") == b"0.001"
