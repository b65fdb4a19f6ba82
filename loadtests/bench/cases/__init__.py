"""What is measured. `CASES` is the comparison's table of contents, in the order of the report."""

from __future__ import annotations

from typing import Final

from .case import Case
from .hello import BROWSER, FLASK, HELLO
from .idle import IDLE
from .transfer import DOWNLOAD, UPLOAD
from .waiting import WAITING

CASES: Final[tuple[Case, ...]] = (HELLO, BROWSER, FLASK, WAITING, IDLE, DOWNLOAD, UPLOAD)
