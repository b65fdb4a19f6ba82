"""gRPC's own mode for gevent, which its makers offer and which cannot be left again."""

from __future__ import annotations

from grpc._cython import cygrpc
from grpc.experimental.gevent import init_gevent


def activate() -> None:
    """Enter the mode, once in a process."""
    if not cygrpc.g_gevent_activated:
        init_gevent()


def stay() -> None:
    """Remain in it: gRPC has no way back, and channels that exist rely on it."""
