"""What is known about libraries, as data: a file for each field. Nothing here imports a library, or code of a patch."""

from __future__ import annotations

from typing import Final

from ..replacement import Patch
from . import asynchronous, cooperative, cpu, databases, messaging, networking, stdlib

CATALOGUE: Final[tuple[Patch, ...]] = (
    *stdlib.PATCHES,
    *cpu.PATCHES,
    *databases.PATCHES,
    *networking.PATCHES,
    *messaging.PATCHES,
    *asynchronous.PATCHES,
    *cooperative.PATCHES,
)
