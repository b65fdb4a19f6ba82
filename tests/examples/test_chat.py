"""examples/chat: rooms, who is there, what was said, every bound at its limit, and that nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hublet.testing import WebSocketClient

from examples.chat import rooms
from examples.chat.app import app
from tests.conftest import Served, Serving, wait_until


@pytest.fixture
def served(serve: Serving) -> Iterator[Served]:
    yield serve(app)
    wait_until(lambda: not rooms.rooms, "no room without members")


class Person(WebSocketClient):
    """Somebody with the page open."""

    def __init__(self, served: Served, nickname: str, room: str = "tea") -> None:
        super().__init__(served.server, f"/live?{urlencode({'room': room, 'nickname': nickname})}")

    def hear(self) -> dict[str, Any]:
        """The next message, without the time."""
        text = self.receive()
        assert isinstance(text, str), (self.close_code, self.close_reason)
        heard: dict[str, Any] = json.loads(text)
        heard.pop("time", None)
        return heard

    def enter(self) -> list[str]:
        """Read what comes when one has been let in; return who is there."""
        welcome, joined = self.hear(), self.hear()
        assert (welcome["event"], joined["event"]) == ("welcome", "joined")
        members: list[str] = welcome["members"]
        return members

    def not_let_in(self) -> str:
        """The reason why not."""
        assert self.receive() is None
        assert self.close_code == rooms.NOT_LET_IN
        return self.close_reason


def said(nickname: str, text: str) -> dict[str, str]:
    return {"event": "said", "nickname": nickname, "text": text}


def test_a_conversation(served: Served) -> None:
    with Person(served, "Ann") as ann:
        assert ann.hear() == {"event": "welcome", "members": ["Ann"], "history": []}
        assert ann.hear() == {"event": "joined", "nickname": "Ann"}
        with Person(served, "Zoë") as zoe:
            assert zoe.enter() == ["Ann", "Zoë"]
            assert ann.hear() == {"event": "joined", "nickname": "Zoë"}
            zoe.send("Guten Tag 🫖")
            assert ann.hear() == zoe.hear() == said("Zoë", "Guten Tag 🫖")
            ann.send("hello")
            assert ann.hear() == zoe.hear() == said("Ann", "hello")
        assert ann.hear() == {"event": "left", "nickname": "Zoë"}


def test_rooms_hear_nothing_of_each_other(served: Served) -> None:
    with Person(served, "Ann", "tea") as ann, Person(served, "Ann", "coffee") as other:
        assert ann.enter() == other.enter() == ["Ann"]
        ann.send("tea!")
        other.send("coffee!")
        assert ann.hear() == said("Ann", "tea!")
        assert other.hear() == said("Ann", "coffee!")


def test_new_members_see_the_last_that_was_said(served: Served) -> None:
    with Person(served, "Ann") as ann:
        ann.enter()
        for number in range(rooms.HISTORY + 1):
            ann.send(str(number))
            ann.hear()
        with Person(served, "Bob") as bob:
            history = bob.hear()["history"]
    assert [each["text"] for each in history] == [str(number) for number in range(1, rooms.HISTORY + 1)]
    assert {each["nickname"] for each in history} == {"Ann"}


def test_a_room_is_gone_with_its_last_member(served: Served) -> None:
    with Person(served, "Ann") as ann:
        ann.enter()
        ann.send("a secret")
        ann.hear()
    wait_until(lambda: not rooms.rooms)
    with Person(served, "Bob") as bob:
        assert bob.hear()["history"] == []


def test_somebody_who_vanishes_has_left(served: Served) -> None:
    with Person(served, "Ann") as ann:
        ann.enter()
        bob = Person(served, "Bob")
        ann.hear()
        bob._end()  # without a close frame
        assert ann.hear() == {"event": "left", "nickname": "Bob"}


@pytest.mark.parametrize("length", [1, rooms.MAX_NAME - 1, rooms.MAX_NAME])
def test_names_of_every_allowed_length(served: Served, length: int) -> None:
    with Person(served, "n" * length, "r" * length) as person:
        assert person.enter() == ["n" * length]


@pytest.mark.parametrize("name", ["", "  ", "x" * (rooms.MAX_NAME + 1), "a\nb", "\x00", "\u202e"])
def test_other_names_are_not_let_in(served: Served, name: str) -> None:
    for field, arguments in (("nickname", (name, "tea")), ("room", ("Ann", name))):
        with Person(served, *arguments) as person:
            assert person.not_let_in() == f"The {field} must have 1 to 24 printable characters."


def test_a_nickname_is_there_once_in_a_room(served: Served) -> None:
    with Person(served, "Ann") as ann, Person(served, "Ann") as other:
        assert other.not_let_in() == "Somebody in the room has this nickname already."
        ann.enter()
        ann.send("still here")
        assert ann.hear() == said("Ann", "still here")


@pytest.mark.parametrize("length", [1, rooms.MAX_TEXT - 1, rooms.MAX_TEXT])
def test_texts_of_every_allowed_length(served: Served, length: int) -> None:
    with Person(served, "Ann") as ann:
        ann.enter()
        ann.send("ü" * length)
        assert ann.hear() == said("Ann", "ü" * length)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * (rooms.MAX_TEXT + 1), "At most 500 characters, not 501."),
        ("", "There is nothing to say."),
        (" \n", "There is nothing to say."),
        (b"bytes", "There is nothing to say."),
    ],
)
def test_other_texts_are_refused_and_not_said(served: Served, text: str | bytes, reason: str) -> None:
    with Person(served, "Ann") as ann:
        ann.enter()
        ann.send(text)
        assert ann.hear() == {"event": "refused", "reason": reason}
        ann.send("and on")
        assert ann.hear() == said("Ann", "and on")


def test_rooms_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_ROOMS", 1)
    with (
        Person(served, "Ann", "tea") as ann,
        Person(served, "Bob", "coffee") as bob,
        Person(served, "Bob", "tea") as eve,
    ):
        assert bob.not_let_in() == "All 1 rooms are in use; join one of them."
        ann.enter()
        assert eve.enter() == ["Ann", "Bob"]


def test_members_of_a_room_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_MEMBERS", 2)
    with Person(served, "Ann"), Person(served, "Bob") as bob, Person(served, "Eve") as eve:
        assert bob.enter() == ["Ann", "Bob"]
        assert eve.not_let_in() == "The room is full: 2 people are in it."


def test_every_reason_fits_into_a_close_frame() -> None:
    assert len(f"The nickname must have 1 to {rooms.MAX_NAME} printable characters.") <= 123


@pytest.mark.parametrize("query", [{}, {"room": "tea"}, {"room": "tea", "nickname": "<Ann>"}])
def test_the_page_loads_nothing_from_elsewhere(query: dict[str, str]) -> None:
    client = app.test_client()
    answer = client.get("/", query_string=query)
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
    assert "://" not in answer.text
    assert "<Ann>" not in answer.text
    assert ("chat.js" in answer.text) == (len(query) == 2)
    for part in answer.text.split('"'):
        if part.startswith("/static/"):
            assert client.get(part, buffered=True).status_code == 200


def test_the_address_of_the_websocket_is_none_of_a_page() -> None:
    assert app.test_client().get("/live").status_code == 426
