from typing import Any

class Head:
    environ: dict[str, Any]
    size: int
    minor: int
    content_length: int
    chunked: bool
    keep_alive: bool
    expect_continue: bool
    upgrade: bool
    is_head: bool
    forwarded: bool

class HeadParser:
    dropped_fields: int
    status: int
    reason: str
    def __init__(
        self,
        base_environ: dict[str, object],
        max_request_line: int = ...,
        max_header_size: int = ...,
        max_header_fields: int = ...,
        max_field_size: int = ...,
    ) -> None: ...
    def parse(self, data: bytes) -> Head | None: ...
