"""permessage-deflate: what is agreed on, the RFC's examples, other implementations, bombs, damage, and isolation."""

from __future__ import annotations

import os
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import websockets.extensions.permessage_deflate as websockets_deflate
import wsproto.extensions as wsproto_extensions
from hublet.runtime import limits
from hublet.servers.websocket import deflate
from hublet.servers.websocket.deflate import (
    EMPTY_MESSAGE,
    TAIL,
    Agreement,
    Compression,
    Deflater,
    Inflater,
    compress_alone,
    negotiate,
)
from hublet.servers.websocket.handshake import parse_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension
from wsproto.frame_protocol import Opcode as WsprotoOpcode
from wsproto.frame_protocol import RsvBits

ROOM = 1 << 24
KEPT = Agreement(True, True, 15, 15)
ALONE = Agreement(False, False, 15, 15)
WINDOWS = range(9, 16)
# A few bytes become more than a thousand times as many.
BOMB = compress_alone(bytes(100_000), 15)

messages = st.lists(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda part, count: part * count, st.binary(min_size=1, max_size=40), st.integers(0, 2000)),
        st.sampled_from([b"", b"Hello", bytes(70_000), b'{"symbol":"ABC","price":12.5}' * 30]),
    ),
    max_size=8,
)
agreements = st.builds(Agreement, st.booleans(), st.booleans(), st.sampled_from(WINDOWS), st.sampled_from(WINDOWS))
quick = settings(max_examples=30, deadline=None)


def read(inflater: Inflater, payload: bytes, room: int = ROOM) -> bytes:
    whole = inflater.inflate(payload, room)
    return whole + inflater.finish(room - len(whole))


def mirrored(agreement: Agreement) -> Agreement:
    """The agreement as seen with the roles exchanged, so that an Inflater reads what a Deflater wrote."""
    return Agreement(
        agreement.client_context, agreement.server_context, agreement.client_window_bits, agreement.server_window_bits
    )


# --- Negotiation ---


def agree(field: str, compression: Compression = "connection") -> tuple[Agreement | None, str]:
    return negotiate(parse_extensions(field), compression)


@pytest.mark.parametrize(
    "field, agreement, answer",
    [
        ("permessage-deflate", KEPT, ""),
        ("permessage-deflate; client_max_window_bits", KEPT, ""),
        (
            "permessage-deflate; client_max_window_bits=10",
            Agreement(True, True, 15, 10),
            "; client_max_window_bits=10",
        ),
        ("permessage-deflate; client_max_window_bits=8", Agreement(True, True, 15, 8), "; client_max_window_bits=8"),
        ("permessage-deflate; client_max_window_bits=15", KEPT, "; client_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=9", Agreement(True, True, 9, 15), "; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=15", KEPT, "; server_max_window_bits=15"),
        (
            "permessage-deflate; server_no_context_takeover",
            Agreement(False, True, 15, 15),
            "; server_no_context_takeover",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            Agreement(True, False, 15, 15),
            "; client_no_context_takeover",
        ),
        (
            "permessage-deflate; client_max_window_bits=11; server_max_window_bits=12; client_no_context_takeover; "
            "server_no_context_takeover",
            Agreement(False, False, 12, 11),
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; "
            "client_max_window_bits=11",
        ),
    ],
)
def test_what_is_agreed_on(field: str, agreement: Agreement, answer: str) -> None:
    assert agree(field) == (agreement, f"permessage-deflate{answer}")
    assert agree(f"x; y=z, {field}, permessage-deflate; server_max_window_bits=9") == agree(field)
    assert agree(field, "off") == (None, "")


@pytest.mark.parametrize("windows", ["", "; server_max_window_bits=10", "; client_max_window_bits=10"])
@pytest.mark.parametrize("contexts", ["", "; client_no_context_takeover", "; server_no_context_takeover"])
def test_every_message_alone(windows: str, contexts: str) -> None:
    agreement, answer = agree(f"permessage-deflate{contexts}{windows}", "message")
    assert agreement is not None
    assert not agreement.server_context
    assert not agreement.client_context
    assert answer == f"permessage-deflate; server_no_context_takeover; client_no_context_takeover{windows}"


@pytest.mark.parametrize(
    "parameters",
    [
        *("unknown", "unknown=1", "Server_No_Context_Takeover", "server_no_context_takeover=1"),
        *("client_no_context_takeover=15", "server_max_window_bits", "server_max_window_bits=8"),
        *("server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=09"),
        *("server_max_window_bits=+9", "server_max_window_bits=9.0", "server_max_window_bits=x"),
        *("client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=010"),
        *("client_max_window_bits=1", "client_max_window_bits=150", "client_max_window_bits=-9"),
        *("client_max_window_bits; client_max_window_bits", "client_max_window_bits=9; client_max_window_bits=10"),
        *("server_no_context_takeover; server_no_context_takeover", "server_max_window_bits=9; unknown"),
    ],
)
def test_what_is_declined(parameters: str) -> None:
    declined = f"permessage-deflate; {parameters}"
    for compression in ("message", "connection"):
        assert agree(declined, compression) == (None, "")
        # The next offer has its chance.
        fallback = "permessage-deflate; server_max_window_bits=10"
        assert agree(f"{declined}, {fallback}", compression) == agree(fallback, compression)


def test_other_extensions_are_passed_over() -> None:
    assert agree("x-webkit-deflate-frame, Permessage-Deflate, permessage-bzip2; server_max_window_bits=9") == (None, "")
    assert negotiate([], "connection") == (None, "")


def test_the_offers_of_autobahn() -> None:
    """Sections 12 and 13 of its suite offer these, with both client parameters in each."""
    for no_context, window in product((False, True), (0, 9, 15)):
        field = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
        field += "; server_no_context_takeover" * no_context + f"; server_max_window_bits={window}" * bool(window)
        agreement, answer = agree(field)
        assert agreement == Agreement(not no_context, False, window or 15, 15)
        assert parse_extensions(answer)[0][0] == "permessage-deflate"
        assert ("server_no_context_takeover" in answer) == no_context
        assert (f"server_max_window_bits={window}" in answer) == bool(window)
        assert "client_max_window_bits" not in answer


# --- The examples of RFC 7692 section 7.2.3 ---


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
@pytest.mark.parametrize(
    "payload, message",
    [
        ("f2 48 cd c9 c9 07 00", b"Hello"),  # 7.2.3.1
        ("00 05 00 fa ff 48 65 6c 6c 6f 00", b"Hello"),  # 7.2.3.3: a stored block
        ("f3 48 cd c9 c9 07 00 00", b"Hello"),  # 7.2.3.4: BFINAL set
        ("f2 48 05 00 00 00 ff ff ca c9 c9 07 00", b"Hello"),  # 7.2.3.5: two blocks
        ("00", b""),  # 7.2.3.6
        ("02 00", b""),
    ],
)
def test_the_examples(agreement: Agreement, payload: str, message: bytes) -> None:
    wire = bytes.fromhex(payload)
    inflater = Inflater(agreement)
    for _ in range(3):
        assert read(inflater, wire) == message
        pieces = b"".join(inflater.inflate(wire[at : at + 1], ROOM) for at in range(len(wire)))
        assert pieces + inflater.finish(ROOM) == message


def test_the_example_of_a_shared_window() -> None:
    first, second = bytes.fromhex("f2 48 cd c9 c9 07 00"), bytes.fromhex("f2 00 11 00 00")  # 7.2.3.2
    inflater = Inflater(KEPT)
    assert (read(inflater, first), read(inflater, second)) == (b"Hello", b"Hello")
    inflater = Inflater(ALONE)
    assert read(inflater, first) == b"Hello"
    with pytest.raises(ValueError, match="too far back"):
        read(inflater, second)
    assert Deflater(KEPT).compress(b"Hello") == first
    deflater = Deflater(KEPT)
    assert (deflater.compress(b"Hello"), deflater.compress(b"Hello")) == (first, second)


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
def test_an_empty_message(agreement: Agreement) -> None:
    deflater = Deflater(agreement)
    payloads = [deflater.compress(each) for each in (b"", b"a", b"", b"", b"a")]
    assert [payloads[0], *payloads[2:4], compress_alone(b"", 15)] == [EMPTY_MESSAGE] * 4
    inflater = Inflater(mirrored(agreement))
    assert [read(inflater, each) for each in payloads] == [b"", b"a", b"", b"", b"a"]


# --- Blocks that end the stream ---


def finished(message: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(message) + compressor.flush()


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
@pytest.mark.parametrize("end", [b"", b"\x00"])
def test_data_behind_a_final_block(agreement: Agreement, end: bytes) -> None:
    inflater = Inflater(agreement)
    payload = finished(b"a" * 1000) + finished(b"b") + finished(os.urandom(0)) + finished(b"c" * 50_000) + end
    for cut_at in (0, 1, len(payload) // 2, len(payload) - 1):
        parts = [inflater.inflate(payload[:cut_at], ROOM), inflater.inflate(payload[cut_at:], ROOM)]
        assert b"".join([*parts, inflater.finish(ROOM)]) == b"a" * 1000 + b"b" + b"c" * 50_000
    assert read(inflater, compress_alone(b"and on", 15)) == b"and on"


def test_the_room_counts_across_final_blocks() -> None:
    payload = finished(b"a" * 100) * 3
    assert len(read(Inflater(KEPT), payload, 300)) == 300
    assert len(Inflater(KEPT).inflate(payload, 299)) == 300
    assert len(Inflater(KEPT).inflate(payload, 150)) == 151


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
def test_the_limit_of_final_blocks(agreement: Agreement) -> None:
    empty = finished(b"")
    inflater = Inflater(agreement)
    for count in (limits.MAX_FINAL_BLOCKS - 1, limits.MAX_FINAL_BLOCKS):
        assert read(inflater, empty * count) == b""
    for _ in range(limits.MAX_FINAL_BLOCKS):
        assert inflater.inflate(empty, ROOM) == b""
    with pytest.raises(ValueError, match=f"more than {limits.MAX_FINAL_BLOCKS} final"):
        inflater.inflate(empty, ROOM)


# --- Other implementations ---


class WebsocketsClient:
    """A client's compression by `websockets`."""

    def __init__(self, contexts: tuple[bool, bool], server_window: int, client_window: int) -> None:
        server, client = contexts
        self._factory = websockets_deflate.ClientPerMessageDeflateFactory(
            server_no_context_takeover=not server,
            client_no_context_takeover=not client,
            server_max_window_bits=server_window,
            client_max_window_bits=client_window,
        )
        self.offer = build_extension([(self._factory.name, list(self._factory.get_request_params()))])

    def accept(self, answer: str) -> None:
        ((_, parameters),) = parse_extension(answer)
        self._extension = self._factory.process_response_params(parameters, [])

    def compress(self, message: bytes) -> bytes:
        return bytes(self._extension.encode(Frame(Opcode.BINARY, message)).data)

    def decompress(self, payload: bytes) -> bytes:
        return bytes(self._extension.decode(Frame(Opcode.BINARY, payload, rsv1=True)).data)


class WsprotoClient:
    """A client's compression by `wsproto`."""

    def __init__(self, contexts: tuple[bool, bool], server_window: int, client_window: int) -> None:
        server, client = contexts
        self._extension = wsproto_extensions.PerMessageDeflate(
            client_no_context_takeover=not client,
            client_max_window_bits=client_window,
            server_no_context_takeover=not server,
            server_max_window_bits=server_window,
        )
        self._side: Any = SimpleNamespace(client=True)
        self.offer = f"permessage-deflate; {self._extension.offer()}"

    def accept(self, answer: str) -> None:
        self._extension.finalize(answer)

    def compress(self, message: bytes) -> bytes:
        none = RsvBits(False, False, False)
        return self._extension.frame_outbound(self._side, WsprotoOpcode.BINARY, none, message, True)[1]

    def decompress(self, payload: bytes) -> bytes:
        extension = self._extension
        extension.frame_inbound_header(self._side, WsprotoOpcode.BINARY, RsvBits(True, False, False), len(payload))
        parts = [
            extension.frame_inbound_payload_data(self._side, payload),
            extension.frame_inbound_complete(self._side, True),
        ]
        assert all(isinstance(each, bytes) for each in parts)
        return b"".join(each for each in parts if isinstance(each, bytes))


Client = Callable[[tuple[bool, bool], int, int], WebsocketsClient | WsprotoClient]


def talk(client: WebsocketsClient | WsprotoClient, compression: Compression, texts: list[bytes]) -> None:
    agreement, answer = agree(client.offer, compression)
    assert agreement is not None
    client.accept(answer)
    inflater, deflater = Inflater(agreement), Deflater(agreement)
    for text in texts:
        assert client.decompress(deflater.compress(text)) == text
        assert read(inflater, client.compress(text)) == text


@pytest.mark.parametrize("client", [WebsocketsClient, WsprotoClient])
@pytest.mark.parametrize("compression", ["message", "connection"])
def test_every_combination_is_understood(client: Client, compression: Compression) -> None:
    record = b'{"symbol":"ABC","price":12.5}'
    texts = [record, b"", record * 10, os.urandom(600) + record, record * 3000, os.urandom(40_000), record]
    for *contexts, server_window, client_window in product((True, False), (True, False), WINDOWS, WINDOWS):
        # Every pair of contexts with every window of either side; the windows do not know of each other.
        if 15 in (server_window, client_window):
            talk(client((contexts[0], contexts[1]), server_window, client_window), compression, texts)


@pytest.mark.parametrize("client", [WebsocketsClient, WsprotoClient])
@quick
@given(agreement=agreements, compression=st.sampled_from(["message", "connection"]), texts=messages)
def test_any_messages_are_understood(
    client: Client, agreement: Agreement, compression: Compression, texts: list[bytes]
) -> None:
    contexts = (agreement.server_context, agreement.client_context)
    talk(client(contexts, agreement.server_window_bits, agreement.client_window_bits), compression, texts)


@quick
@given(agreement=agreements, texts=messages, size=st.integers(1, 300), forget_at=st.integers(0, 8))
def test_messages_survive_any_cut(agreement: Agreement, texts: list[bytes], size: int, forget_at: int) -> None:
    deflater, inflater = Deflater(agreement), Inflater(mirrored(agreement))
    for number, text in enumerate(texts):
        if number == forget_at:
            deflater.forget()
        payload = deflater.compress(text)
        whole = b"".join(inflater.inflate(payload[at : at + size], len(text)) for at in range(0, len(payload), size))
        assert whole + inflater.finish(0) == text


# --- Bombs and damage ---


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
def test_no_more_than_the_room(agreement: Agreement) -> None:
    assert len(BOMB) < 1000
    assert len(Inflater(agreement).inflate(BOMB, 99_999)) == 100_000
    assert len(read(Inflater(agreement), BOMB, 100_000)) == 100_000
    assert len(read(Inflater(agreement), BOMB, 100_001)) == 100_000
    for room in (0, 1, 50_000, 99_998):
        assert len(Inflater(agreement).inflate(BOMB, room)) == room + 1
    assert read(Inflater(agreement), EMPTY_MESSAGE, 0) == b""


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
def test_a_bomb_costs_no_memory(agreement: Agreement) -> None:
    bomb = compress_alone(bytes(50_000_000), 15)
    tracemalloc.start()
    try:
        assert len(Inflater(agreement).inflate(bomb, 1000)) == 1001
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_the_end_of_a_message_has_a_room_too() -> None:
    payload = bytes.fromhex("00 04 00 fb ff")  # a stored block whose four bytes are those that the sender leaves out
    for room, size in ((0, 1), (2, 3), (3, 4), (4, 4)):
        inflater = Inflater(KEPT)
        assert inflater.inflate(payload, room) == b""
        assert len(inflater.finish(room)) == size


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
@pytest.mark.parametrize("level", [1, 9])
def test_a_truncated_message(agreement: Agreement, level: int) -> None:
    compressor = zlib.compressobj(level, wbits=-15)
    text = bytes(range(256)) + b"Hello, Hello, Hello!" * 20 + bytes(1000)
    payload = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
    for size in range(len(payload)):
        inflater = Inflater(agreement)
        with pytest.raises(ValueError, match="invalid deflate data"):
            read(inflater, payload[:size])
    assert read(Inflater(agreement), payload) == text


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
@pytest.mark.parametrize(
    "payload",
    [
        "",
        "07",  # the reserved block type
        "00 05 00 fa fe 48",  # lengths that do not agree
        "f2 00 11 00 00",  # a reference to what was never there
        "f2 48 cd c9 c9 07 00 00 00 ff ff",  # the tail sent along
        "f3 48 cd c9 c9 07",  # a final block cut short
        "f3 48 cd c9 c9 07 00 07",
        "f3 48 cd c9 c9 07 00 00 00",
    ],
)
def test_damage(agreement: Agreement, payload: str) -> None:
    with pytest.raises(ValueError, match="invalid deflate data"):
        read(Inflater(agreement), bytes.fromhex(payload))


@quick
@given(agreement=agreements, payload=st.binary(max_size=300), room=st.integers(0, 5000))
def test_any_bytes_are_decompressed_or_refused(agreement: Agreement, payload: bytes, room: int) -> None:
    inflater = Inflater(agreement)
    try:
        whole = inflater.inflate(payload, room)
        if len(whole) <= room:
            whole += inflater.finish(room - len(whole))
    except ValueError:
        return
    assert len(whole) <= room + 1


def test_a_client_that_uses_512_bytes_where_256_were_agreed_on() -> None:
    far = os.urandom(256)
    compressor = zlib.compressobj(wbits=-9)
    payload = (compressor.compress(far + b"x" * 20 + far) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
    assert read(Inflater(Agreement(True, True, 15, 8)), payload) == far + b"x" * 20 + far


# --- Isolation ---


def fresh(data: bytes, window_bits: int) -> bytes:
    compressor = zlib.compressobj(deflate.LEVEL, zlib.DEFLATED, -window_bits, deflate.SHARED_MEMORY_LEVEL)
    return (compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH))[: -len(TAIL)]


@quick
@given(window_bits=st.sampled_from(WINDOWS), texts=messages)
def test_the_shared_compressor_remembers_nothing(window_bits: int, texts: list[bytes]) -> None:
    secret = b"the password is swordfish"
    for text in [secret, *texts, secret]:
        payload = compress_alone(text, window_bits)
        assert payload == (fresh(text, window_bits) if text else EMPTY_MESSAGE)
        assert read(Inflater(Agreement(True, True, window_bits, window_bits)), payload) == text


class Failing:
    """A compressor that runs out of memory at one of its two steps, having seen the data."""

    def __init__(self, real: Any, step: str) -> None:
        self._real = real
        self._step = step

    def compress(self, data: bytes) -> bytes:
        head: bytes = self._real.compress(data)
        if self._step == "compress":
            raise MemoryError
        return head

    def flush(self, mode: int) -> bytes:
        raise MemoryError


@pytest.mark.parametrize("step", ["compress", "flush"])
def test_a_failed_compressor_is_replaced(step: str) -> None:
    compress_alone(b"before", 15)
    deflate.RESTING[15] = Failing(deflate.RESTING[15], step)
    with pytest.raises(MemoryError):
        compress_alone(b"swordfish" * 10, 15)
    assert compress_alone(b"swordfish" * 10, 15) == fresh(b"swordfish" * 10, 15)


@pytest.mark.parametrize("step", ["compress", "flush"])
def test_a_failed_context_is_dropped(step: str) -> None:
    deflater, inflater = Deflater(KEPT), Inflater(KEPT)
    read(inflater, deflater.compress(b"before"))
    deflater._context = Failing(deflater._context, step)
    with pytest.raises(MemoryError):
        deflater.compress(b"never sent" * 10)
    assert read(inflater, deflater.compress(b"never sent" * 10)) == b"never sent" * 10


def test_threads_do_not_share_a_compressor_at_work() -> None:
    texts = [os.urandom(3000) * 4 for _ in range(4)]
    wrong: list[str] = []

    def work(text: bytes) -> None:
        wrong.extend("payload" for _ in range(100) if read(Inflater(ALONE), compress_alone(text, 15)) != text)

    threads = [threading.Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_broadcast_between_messages_of_a_context() -> None:
    deflater, inflater = Deflater(KEPT), Inflater(KEPT)
    assert read(inflater, deflater.compress(b"Hello, world")) == b"Hello, world"
    assert read(inflater, compress_alone(b"to everybody", 15)) == b"to everybody"
    deflater.forget()
    assert read(inflater, deflater.compress(b"Hello, world")) == b"Hello, world"


def test_a_context_makes_messages_smaller() -> None:
    record = os.urandom(300)
    kept, alone = Deflater(KEPT), Deflater(ALONE)
    assert len(kept.compress(record)) > 300
    assert len(kept.compress(record)) < 30
    assert len(alone.compress(record)) == len(alone.compress(record)) > 300
    kept.forget()
    assert len(kept.compress(record)) > 300


# --- Memory ---


def growth(work: Callable[[], object]) -> int:
    """The bytes that are allocated during `work` and still are behind it; zlib's own are among them."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = work()
        after = tracemalloc.get_traced_memory()[0]
        del result
        return after - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("agreement", [KEPT, ALONE])
def test_thousands_of_messages(agreement: Agreement) -> None:
    deflater, inflater = Deflater(agreement), Inflater(mirrored(agreement))
    restarting = Inflater(agreement)
    text = os.urandom(500)

    def work() -> None:
        for _ in range(2000):
            assert read(inflater, deflater.compress(text)) == text
            assert read(restarting, finished(b"")) == b""

    for _ in range(3):
        read(inflater, deflater.compress(text))
    assert growth(work) < 2_000


def idle_connections(agreement: Agreement) -> list[tuple[Deflater, Inflater]]:
    connections = [(Deflater(agreement), Inflater(mirrored(agreement))) for _ in range(100)]
    for deflater, inflater in connections:
        assert read(inflater, deflater.compress(b"Hello" * 100)) == b"Hello" * 100
    return connections


def test_an_idle_connection_without_context_holds_nothing() -> None:
    compress_alone(b"there is a compressor now", 15)
    assert growth(lambda: idle_connections(ALONE)) < 100 * 400


def test_an_idle_connection_with_context_holds_little() -> None:
    least, most = 100 * 32 * limits.KIB, 100 * 90 * limits.KIB
    assert least < growth(lambda: idle_connections(KEPT)) < most
