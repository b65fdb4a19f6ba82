"""The rooms, and the WebSocket by which a person is in one.

The query of the WebSocket's URL names the room and the nickname. What a member sends is text, to be said in the room.
The server's messages are JSON objects, whose `event` is one of

    welcome     to the new member alone: `members` who are there, and the `history` of what was said
    joined      `nickname` has come
    left        `nickname` has gone
    said        `nickname` says `text`, at the `time` (seconds since the epoch)
    refused     to the sender alone: the `reason` why the text was not said

Who cannot be let in is told by a close frame with the code 4000 and the reason. Everything has a bound; a room is
there as long as somebody is in it. Callbacks run on one thread and do not wait between reading and writing what they
share, so there is nothing to lock; a server with several workers has the rooms of each for itself.
"""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Any, Final
from urllib.parse import parse_qs

import hublet
from geventwebsocket import WebSocketApplication

MAX_NAME: Final = 24  # characters, of a room or a nickname
MAX_TEXT: Final = 500  # characters
MAX_ROOMS: Final = 100
MAX_MEMBERS: Final = 100  # in a room
HISTORY: Final = 50  # messages of a room that new members are shown
NOT_LET_IN: Final = 4000  # close code, of those that RFC 6455 section 7.4.2 leaves to applications


class NotLetIn(Exception):
    """Why somebody cannot be let in: at most 123 bytes, as much as a close frame holds."""


class Room:
    """People who hear each other, by nickname, and what was said last."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)

    def tell(self, event: str, **content: Any) -> None:
        """Send a message to everybody: encoded once, and without waiting for the slowest."""
        hublet.broadcast(self.members.values(), message(event, **content))

    def say(self, nickname: str, text: str) -> None:
        """Have a member say something, and remember it."""
        said = {"nickname": nickname, "text": text, "time": round(time.time(), 3)}
        self.history.append(said)
        self.tell("said", **said)


rooms: dict[str, Room] = {}


def message(event: str, **content: Any) -> str:
    """Write one message."""
    return json.dumps({"event": event, **content}, ensure_ascii=False, separators=(",", ":"))


def read_name(query: dict[str, list[str]], field: str) -> str:
    """Read a name from a query. Raises NotLetIn for one that is missing, too long or not fit to be shown."""
    name = query.get(field, [""])[0].strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise NotLetIn(f"The {field} must have 1 to {MAX_NAME} printable characters.")
    return name


def enter(room_name: str, member: Member) -> Room:
    """Let somebody into a room, which is made if need be. Raises NotLetIn."""
    room = rooms.get(room_name)
    if room is None:
        if len(rooms) >= MAX_ROOMS:
            raise NotLetIn(f"All {MAX_ROOMS} rooms are in use; join one of them.")
        room = Room()
    if len(room.members) >= MAX_MEMBERS:
        raise NotLetIn(f"The room is full: {MAX_MEMBERS} people are in it.")
    if member.nickname in room.members:
        raise NotLetIn("Somebody in the room has this nickname already.")
    rooms[room_name] = room
    room.members[member.nickname] = member
    return room


class Member(WebSocketApplication):
    """Somebody in a room."""

    room: Room | None = None

    def on_open(self) -> None:
        """Let them in, or say why not."""
        query = parse_qs(self.ws.environ["QUERY_STRING"])
        try:
            self.room_name, self.nickname = read_name(query, "room"), read_name(query, "nickname")
            self.room = enter(self.room_name, self)
        except NotLetIn as reason:
            self.ws.close(NOT_LET_IN, str(reason))
            return
        # Not by `send`: where the peer is gone already that would raise, and without `on_open` there is no `on_close`.
        welcome = message("welcome", members=sorted(self.room.members), history=list(self.room.history))
        hublet.broadcast([self], welcome)
        self.room.tell("joined", nickname=self.nickname)

    def on_message(self, text: str | bytearray | None) -> None:
        """Say it in the room. None is how gevent-websocket says that nothing more comes."""
        if text is None or self.room is None:
            return
        if not isinstance(text, str) or not text.strip():
            self.ws.send(message("refused", reason="There is nothing to say."))
        elif len(text) > MAX_TEXT:
            self.ws.send(message("refused", reason=f"At most {MAX_TEXT} characters, not {len(text):,}."))
        else:
            self.room.say(self.nickname, text.strip())

    def on_close(self, reason: str | None) -> None:
        """Leave the room; the last one takes it along."""
        if self.room is None:
            return
        del self.room.members[self.nickname]
        if self.room.members:
            self.room.tell("left", nickname=self.nickname)
        else:
            del rooms[self.room_name]
