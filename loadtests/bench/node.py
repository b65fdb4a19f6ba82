"""Node and its package ws, which is installed into the build folder when it is first needed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = ROOT / "build" / "node" / "node_modules"
PACKAGE: Final = "ws@^8.18"
INSTALL_SECONDS: Final = 120


class NodeError(Exception):
    """Node cannot be used here. The text says what is missing, or what npm said."""


def install_ws(modules: Path = MODULES) -> Path:
    """Install the package unless it is there, and return the folder that NODE_PATH must name. Raises NodeError."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        raise NodeError(f"{' and '.join(missing)} not installed; on Debian and Ubuntu: apt-get install nodejs npm")
    if ws_version(modules) is None:
        modules.parent.mkdir(parents=True, exist_ok=True)
        run = subprocess.run(
            ["npm", "install", "--prefix", str(modules.parent), "--no-audit", "--no-fund", "--loglevel=error", PACKAGE],
            capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False,
        )  # fmt: skip
        if run.returncode:
            raise NodeError(f"npm cannot install {PACKAGE}: {run.stderr.strip() or run.stdout.strip()}")
    return modules


def ws_version(modules: Path = MODULES) -> str | None:
    """The version of the package that is installed, or None."""
    try:
        version: str = json.loads((modules / "ws" / "package.json").read_text())["version"]
    except FileNotFoundError:
        return None
    return version
