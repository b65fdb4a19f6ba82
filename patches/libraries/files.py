"""Copies of files, and the line that a user types: calls of the standard library that are made elsewhere as a whole."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

from ...runtime.offload import offload


def is_plain(file: Any) -> bool:
    """Whether an object is what `open` returns for bytes of a file, so that a native thread may use it."""
    return type(file) in (io.FileIO, io.BufferedReader, io.BufferedWriter, io.BufferedRandom) and (
        type(getattr(file, "raw", file)) is io.FileIO
    )


def copying(original: Callable[..., None]) -> Callable[..., None]:
    """What takes the place of shutil.copyfileobj: between files elsewhere, with other objects as before."""

    def copyfileobj(fsrc: Any, fdst: Any, length: int = 0) -> None:
        if is_plain(fsrc) and is_plain(fdst):
            offload(original, fsrc, fdst, length)
        else:
            original(fsrc, fdst, length)

    return copyfileobj


def asking(original: Callable[..., str]) -> Callable[..., str]:
    """What takes the place of input: elsewhere where the real standard streams are in place."""

    def input(prompt: object = "", /) -> str:
        if sys.stdin is sys.__stdin__ and sys.stdout is sys.__stdout__:
            return offload(original, prompt)
        return original(prompt)

    return input
