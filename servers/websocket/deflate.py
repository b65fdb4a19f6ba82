"""permessage-deflate (RFC 7692): agreeing on its parameters, compressing and decompressing messages.

A message is one raw deflate stream (RFC 1951), or a part of one, that ends at a byte boundary with an empty stored
block, whose last four bytes, 00 00 ff ff, are left out on the wire. Where a side keeps its context, a message may refer
to what the messages before it held, up to the size of the side's window.

Rules of this file:

- Memory that outlives a message exists only where a context was agreed on.
- What one connection has sent is never within reach of another one's messages, in either direction.
- No call gives more bytes than it was allowed, whatever the data expand to.

All zlib calls of hublet are in here.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from ...runtime import limits

# off; every message on its own; context kept from message to message where the client allows it.
Compression = Literal["off", "message", "connection"]
# A parsed offer: the extension's name, and its parameters in order, with None for one without a value.
ExtensionOffer = tuple[str, Sequence[tuple[str, str | None]]]

NAME: Final = "permessage-deflate"
# RFC 7692 section 7.1.2.1: a decimal without leading zeros.
WINDOW_BITS: Final = re.compile("[89]|1[0-5]")
MOST_WINDOW_BITS: Final = 15
# zlib has no raw deflate with a window of 256 bytes: older versions use 512 without a word, newer ones refuse.
LEAST_WINDOW_BITS: Final = 9

# What a sender leaves out of an empty stored block at the end of its message (RFC 7692 section 7.2.1).
TAIL: Final = b"\x00\x00\xff\xff"
# The whole of an empty message: the rest of that block (RFC 7692 section 7.2.3.6).
EMPTY_MESSAGE: Final = b"\x00"
# An empty stored block that ends the stream, which only makes sense to a decompressor between two blocks.
FINAL_BLOCK: Final = b"\x01\x00\x00\xff\xff"

# JSON records, one message of 1 KiB: levels 1 to 3 take 8 µs, 4 takes 9, 6 takes 10, for 0.385, 0.379, 0.375 and 0.362
# of the size. One of 64 KiB: 0.20 ms at level 1, 0.30 at 2, 0.48 at 3, 1.1 at 6, for 0.28 to 0.24. While zlib works,
# no other connection is served, so the fastest it is.
LEVEL: Final = 1
# Shared compressor: zlib's default of 8 is no smaller in the output, and 5 % slower at either size, since each message
# clears a hash table of twice the size.
SHARED_MEMORY_LEVEL: Final = 7
# A context costs 2^(bits + 2) + 2^(memory level + 9) bytes for each connection: 32 KiB with these, 256 KiB with zlib's
# defaults, and 1 KiB messages become 0.322 of their size instead of 0.320. Less than the agreed window is always valid.
CONTEXT_WINDOW_BITS: Final = 12
CONTEXT_MEMORY_LEVEL: Final = 5

# Data go to zlib in pieces of this size, because it copies what follows a final block: a message made of final blocks
# would otherwise be copied once for each.
PIECE: Final = 16 * limits.KIB


class Compressor(Protocol):
    """What is used of a zlib compressor, whose class has no public name."""

    def compress(self, data: bytes, /) -> bytes: ...  # noqa: D102

    def flush(self, mode: int, /) -> bytes: ...  # noqa: D102


class Decompressor(Protocol):
    """What is used of a zlib decompressor, whose class has no public name."""

    @property
    def eof(self) -> bool: ...  # noqa: D102

    @property
    def unused_data(self) -> bytes: ...  # noqa: D102

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...  # noqa: D102

    def copy(self) -> Decompressor: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides may do: keep their context between messages, and look back over 2^bits bytes (8 to 15)."""

    server_context: bool
    client_context: bool
    server_window_bits: int
    client_window_bits: int


# --- Negotiation ---


def negotiate(offers: Sequence[ExtensionOffer], compression: Compression) -> tuple[Agreement | None, str]:
    """Take the first offer that can be accepted, in the client's order.

    Returns the agreement and the value of the response's Sec-WebSocket-Extensions field, or None and "" if there is
    none. Unknown extensions and offers with an unknown, repeated or invalid parameter are passed over, as RFC 7692
    section 7 asks: they are no error.
    """
    if compression == "off":
        return None, ""
    for name, parameters in offers:
        if name == NAME:
            agreement = accept(parameters, keep_context=compression == "connection")
            if agreement is not None:
                return agreement, answer(agreement, {name for name, value in parameters if value is not None})
    return None, ""


def accept(parameters: Sequence[tuple[str, str | None]], keep_context: bool) -> Agreement | None:
    """Agree to one offer of permessage-deflate, or return None if it has to be declined."""
    offered = dict(parameters)
    if len(offered) < len(parameters) or not all(
        name in PARAMETERS and PARAMETERS[name](value) for name, value in parameters
    ):
        return None
    return Agreement(
        # Either side may be told to drop its context without having offered it (RFC 7692 sections 7.1.1.1, 7.1.1.2).
        server_context=keep_context and "server_no_context_takeover" not in offered,
        client_context=keep_context and "client_no_context_takeover" not in offered,
        server_window_bits=int(offered.get("server_max_window_bits") or MOST_WINDOW_BITS),
        # A client is not asked for a smaller window than its own limit: it would save at most 28 KiB of a connection's
        # context, and a client that then fails to keep to it would lose the connection.
        client_window_bits=int(offered.get("client_max_window_bits") or MOST_WINDOW_BITS),
    )


def answer(agreement: Agreement, limited: set[str]) -> str:
    """Write the response's value. `limited` are the window parameters that the offer gave a value.

    Those are repeated, the server's because it is a demand (RFC 7692 section 7.1.2.1), the client's because without an
    answer it is only a hint (section 7.1.2.2), and the decompressor's window relies on it.
    """
    parts = [NAME]
    if not agreement.server_context:
        parts.append("server_no_context_takeover")
    if not agreement.client_context:
        parts.append("client_no_context_takeover")
    if "server_max_window_bits" in limited:
        parts.append(f"server_max_window_bits={agreement.server_window_bits}")
    if "client_max_window_bits" in limited:
        parts.append(f"client_max_window_bits={agreement.client_window_bits}")
    return "; ".join(parts)


def is_absent(value: str | None) -> bool:
    """Whether a parameter that takes no value has none."""
    return value is None


def is_server_window(value: str | None) -> bool:
    """Whether a window is one that the server can keep to."""
    return value is not None and is_window(value) and int(value) >= LEAST_WINDOW_BITS


def is_client_window(value: str | None) -> bool:
    """Whether a client's window is valid; without a value it says that the client would take a limit."""
    return value is None or is_window(value)


def is_window(value: str) -> bool:
    """Whether a value is one of the numbers 8 to 15."""
    return WINDOW_BITS.fullmatch(value) is not None


# The parameters of an offer (RFC 7692 section 7.1), and whether a value is valid.
PARAMETERS: Final[dict[str, Callable[[str | None], bool]]] = {
    "server_no_context_takeover": is_absent,
    "client_no_context_takeover": is_absent,
    "server_max_window_bits": is_server_window,
    "client_max_window_bits": is_client_window,
}


# --- Decompression ---


class Inflater:
    """Decompresses the messages of one connection.

    For each message, `inflate` takes the data as they come, then `finish` is called once. After more than `room` bytes
    or a ValueError the connection has to be failed, and the inflater must not be used again.
    """

    __slots__ = ("_final_blocks", "_keep_context", "_stream", "_window_bits")

    def __init__(self, agreement: Agreement) -> None:
        self._keep_context = agreement.client_context
        # A client that asks zlib for a window of 8 bits gets 9 in its older versions. More than agreed is always valid.
        self._window_bits = max(agreement.client_window_bits, LEAST_WINDOW_BITS)
        # None: between two streams. With a window of 32 KiB it holds 39 KiB.
        self._stream: Decompressor | None = None
        self._final_blocks = 0  # of this message

    def inflate(self, data: bytes, room: int) -> bytes:
        """Decompress a part of a message; `room` is how many more bytes the message may have, 0 or more.

        Returns all that can be told from the data, but at most `room` + 1 bytes: if there are more than `room`, the
        message is too large and the rest is lost. Raises ValueError if the data are not valid.
        """
        parts = []
        view = memoryview(data)
        while view:
            if self._stream is None:
                self._stream = zlib.decompressobj(-self._window_bits)
            piece = view[:PIECE]
            try:
                part = self._stream.decompress(piece, room + 1)
            except zlib.error as error:
                raise ValueError(f"invalid deflate data: {error}") from None
            parts.append(part)
            room -= len(part)
            if room < 0:
                break
            # Less came than was asked for, so zlib has taken the whole piece, or the stream has ended within it.
            used = len(piece)
            if self._stream.eof:
                used -= len(self._stream.unused_data)
                self._end_stream()
            view = view[used:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self, room: int) -> bytes:
        """Decompress the tail that the sender has left out (RFC 7692 section 7.2.2), at most to `room` + 1 bytes.

        It gives nothing, unless the message ended four bytes short of the end of a stored block: then the tail is its
        content, as the RFC has it. Raises ValueError if the message ends within a block.
        """
        # Section 7.2.3.5 of RFC 7692 asks for an empty block behind a final one. Some peers leave it out, and nothing
        # is in doubt then.
        ended = self._stream is None and self._final_blocks > 0
        rest = b"" if ended else self.inflate(TAIL, room)
        if len(rest) <= room:
            self._check_end()
            self._final_blocks = 0
            if not self._keep_context:
                self._stream = None
        return rest

    def _end_stream(self) -> None:
        """Be ready for data behind a final block (RFC 7692 section 7.2.3.5): a new stream, which has no past."""
        self._stream = None
        self._final_blocks += 1
        if self._final_blocks > limits.MAX_FINAL_BLOCKS:
            raise ValueError(f"more than {limits.MAX_FINAL_BLOCKS} final deflate blocks in one message")

    def _check_end(self) -> None:
        """Raise ValueError unless the stream is between two blocks, or has ended.

        zlib does not say where it stands, so it is given a block that ends the stream, which it takes for nothing else
        only there. Where the stream goes on, a copy is asked: 1 µs.
        """
        if self._stream is None:
            return
        probe = self._stream.copy() if self._keep_context else self._stream
        try:
            ends = probe.decompress(FINAL_BLOCK, 1) == b"" and probe.eof and not probe.unused_data
        except zlib.error:
            ends = False
        if not ends:
            raise ValueError("invalid deflate data: the message ends within a block")


# --- Compression ---


class Deflater:
    """Compresses the messages of one connection; the payload that it returns goes out with RSV1 set on its first frame.

    Messages must be sent in the order of the calls, and every one of them, or `forget` be called.
    """

    __slots__ = ("_context", "_keep_context", "window_bits")

    def __init__(self, agreement: Agreement) -> None:
        self._keep_context = agreement.server_context
        self.window_bits = agreement.server_window_bits
        self._context: Compressor | None = None

    def compress(self, data: bytes) -> bytes:
        """Compress one whole message. After an exception the next message refers to nothing before it."""
        if not data:
            return EMPTY_MESSAGE
        if not self._keep_context:
            return compress_alone(data, self.window_bits)
        # The connection has no compressor while it is at work: one that fails half-way has seen what the peer has not.
        context, self._context = self._context, None
        if context is None:
            bits = min(self.window_bits, CONTEXT_WINDOW_BITS)
            context = zlib.compressobj(LEVEL, zlib.DEFLATED, -bits, CONTEXT_MEMORY_LEVEL)
        payload = cut(context.compress(data) + context.flush(zlib.Z_SYNC_FLUSH))
        self._context = context
        return payload

    def forget(self) -> None:
        """Drop the context, so that the next message refers to nothing before it.

        Needed whenever the peer's window is not what was compressed here: after a payload that was not sent, and after
        one that came from `compress_alone`, which the peer's window holds and this compressor does not.
        """
        self._context = None


# Compressors at rest, by window bits. With a new one for each message, 1 KiB takes 26 to 50 µs instead of 8: that takes
# 192 KiB, which malloc, unless its heap happens to have the room, gets from the kernel and gives back each time. A
# compressor is taken out while it is used, so that no other thread can get hold of it, and put back only after a flush
# that clears what it has seen.
RESTING: Final[dict[int, Compressor]] = {}


def compress_alone(data: bytes, window_bits: int) -> bytes:
    """Compress one whole message that refers to nothing before it, so that it can be sent to many connections.

    `window_bits` is the least of theirs. A connection that keeps its own context has to `forget` it.
    """
    if not data:
        return EMPTY_MESSAGE
    compressor = RESTING.pop(window_bits, None)
    if compressor is None:
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -window_bits, SHARED_MEMORY_LEVEL)
    payload = cut(compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH))
    RESTING[window_bits] = compressor
    return payload


def cut(flushed: bytes) -> bytes:
    """Take the tail off a flushed message (RFC 7692 section 7.2.1)."""
    return flushed[: -len(TAIL)]
