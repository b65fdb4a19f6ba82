class ChunkedDecoder:
    finished: bool
    reason: str | None
    def feed(self, data: bytes, room: int = ...) -> tuple[bytes, int]: ...
