"""A gRPC server, run as a script with its port: echoes after 200 ms, streams, and fails on request."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc


def echo(request: bytes, context: Any) -> bytes:
    if request == b"fail":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    time.sleep(float(request) if request[:1].isdigit() else 0.2)
    return request


def count(request: bytes, context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        time.sleep(0.05)
        yield str(number).encode()


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(40))
    handlers = {"Say": grpc.unary_unary_rpc_method_handler(echo), "Count": grpc.unary_stream_rpc_method_handler(count)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
