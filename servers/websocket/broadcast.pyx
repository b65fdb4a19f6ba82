"""One message to many WebSockets: encoded and compressed once, sent to all, waiting for none."""

from cpython.bytes cimport PyBytes_GET_SIZE

from .frames cimport OP_BINARY, OP_TEXT
from .sender cimport OPEN, Flusher
from .session cimport Session

from ...runtime import limits
from .deflate import compress_alone
from .frames import encode_frame
from .websocket import WebSocket

cdef Py_ssize_t DEFLATE_FROM = limits.DEFLATE_FROM
cdef enum:
    TRY_AGAIN_LATER = 1013  # the IANA registry of close codes


def broadcast(connections, message, *, binary=None, slow="drop"):
    """Send one message to many WebSockets, or objects that have one as `ws`; returns to how many it went.

    It never waits. A connection that is closed, or whose handshake has not been completed, is passed over. So is one
    whose peer is slow, so that `websocket_buffer` bytes wait for it already: with `slow="drop"` that message is not sent
    to it, with `slow="close"` it is closed (1013). A str is sent as text, anything like bytes as binary, or as `binary`
    says. Broadcasts reach every connection in the order of the calls.

    Raises TypeError for what is no message or no connection, ValueError for text that is not UTF-8 and another `slow`.
    """
    cdef Session session
    cdef Flusher flusher = None
    cdef bytes payload, frame
    cdef dict compressed = {}
    cdef int opcode, delivered = 0
    cdef bint text = isinstance(message, str) if binary is None else not binary
    if slow not in ("drop", "close"):
        raise ValueError(f'slow = {slow!r}: must be "drop" or "close"')
    payload = message.encode() if isinstance(message, str) else bytes(memoryview(message))
    if text and not isinstance(message, str):
        payload.decode()
    opcode = OP_TEXT if text else OP_BINARY
    plain = encode_frame(opcode, payload)
    everybody = list(connections)
    for each in everybody:
        websocket = each if isinstance(each, WebSocket) else getattr(each, "ws", None)
        if not isinstance(websocket, WebSocket):
            raise TypeError(f"broadcast: {each!r} is no WebSocket and has none as `ws`")
        session = websocket._session
        if session is None or session.state != OPEN:
            continue
        if session.flusher is not flusher:
            flusher = session.flusher
            # Of the last broadcast, if it has not gone out to all: one who broadcasts faster than that has to do a share.
            flusher.flush_some(len(everybody) // 8)
        frame = plain
        if session.deflater is not None and PyBytes_GET_SIZE(payload) >= DEFLATE_FROM:
            window_bits = session.deflater.window_bits
            frame = compressed.get(window_bits)
            if frame is None:
                frame = encode_frame(opcode, compress_alone(payload, window_bits), rsv1=True)
                compressed[window_bits] = frame
            session.deflater.forget()  # what the peer has seen now is not in its history
        if session.put_shared(frame):
            delivered += 1
        elif slow == "close":
            session.begin_close(TRY_AGAIN_LATER, "the connection is too slow")
    return delivered
