"""The load board: whose turn it is to accept."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hublet.servers.gunicorn.places import Places
from hublet.servers.load_board import PLACES, TOLERANCE, LoadBoard, make_board


@pytest.fixture
def board() -> Iterator[LoadBoard]:
    descriptor = make_board()
    yield LoadBoard(descriptor)
    os.close(descriptor)


def test_one_that_is_alone_takes_everything(board: LoadBoard) -> None:
    board.post(0, 1000)
    assert board.share(0) is None


@pytest.mark.parametrize(
    ("own", "other", "share"),
    [(0, 0, 1), (1, 0, 0), (0, 1, 2), (1, 1, 1), (2, 1, 0), (5, 0, 0), (TOLERANCE, TOLERANCE, 2), (0, 80, 91)],
)
def test_the_share_is_what_is_missing_to_the_least_loaded(board: LoadBoard, own: int, other: int, share: int) -> None:
    board.post(3, own)
    board.post(7, other)
    board.post(8, other + 5)
    assert board.share(3) == share


def test_one_that_has_left_does_not_count(board: LoadBoard) -> None:
    board.post(0, 9)
    board.post(1, 0)
    board.clear(1)
    assert board.share(0) is None


@pytest.mark.parametrize(("place", "is_counted"), [(PLACES - 2, True), (PLACES - 1, True), (PLACES, False)])
def test_a_worker_for_whom_there_is_no_place_accepts_whatever_comes(
    board: LoadBoard, place: int, is_counted: bool
) -> None:
    board.post(0, 5)
    board.post(place, 9)
    assert board.share(place) == (0 if is_counted else None)
    assert board.share(0) == (6 if is_counted else None)
    board.clear(place)
    assert board.share(0) is None


def test_more_workers_of_gunicorn_than_places() -> None:
    """The first free place is taken again."""
    places = Places()
    assert [places.take() for _ in range(PLACES + 2)] == list(range(PLACES + 2))
    for place in (PLACES, 3):
        places.free(place)
    assert [places.take(), places.take()] == [3, PLACES]


def test_every_process_sees_the_same_board() -> None:
    descriptor = make_board()
    try:
        one, two = LoadBoard(descriptor), LoadBoard(descriptor)
        one.post(PLACES - 1, 4)
        two.post(0, 0)
        assert two.share(0) == 5
    finally:
        os.close(descriptor)
