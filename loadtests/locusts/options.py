"""The options of `hublet loadtest`."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from .plans import SHAPES
from .visits import KINDS, parse_visit

USAGE_ERROR: Final = 2
UNITS: Final = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
MOST_SECONDS: Final = 7 * 86400

EPILOG: Final = f"""\
users: {", ".join(f"{kind} ({path})" for kind, (_, _, path) in KINDS.items())}
What follows -- is for the server: hublet loadtest app:app --users 50 -- --workers 2 --max-in-flight 100
Exit status: 0 the application held, 1 it did not, 2 the command cannot be used like this.
"""


class Parser(argparse.ArgumentParser):
    """argparse's, with errors in one line that says what to do."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(
            USAGE_ERROR, f"hublet loadtest: {message}\nhublet: `hublet loadtest --help` shows what can be given\n"
        )


def seconds(text: str) -> float:
    """Read a time: 30, 30s, 500ms, 5m or 2h. Raises ValueError."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)(ms|s|m|h|)", text)
    value = float(match[1]) * UNITS[match[2]] if match else math.nan
    if not 0 < value <= MOST_SECONDS:
        raise ValueError(f"{text!r} must be a time up to a week, such as 30s, 500ms or 5m")
    return value


def count(text: str) -> int:
    """Read a number from 1 on. Raises ValueError."""
    if not re.fullmatch(r"[1-9][0-9]{0,6}", text):
        raise ValueError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def ratio(text: str) -> float:
    """Read a part: 0.01 or 1%. Raises ValueError."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)(%?)", text)
    value = float(match[1]) / (100 if match[2] else 1) if match else math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} must be a part of all requests, such as 0.01 or 1%")
    return value


def pause(text: str) -> float:
    """Read a time that may be 0. Raises ValueError."""
    return 0.0 if re.fullmatch(r"0+(\.0*)?(ms|s)?", text) else seconds(text)


def address(text: str) -> str:
    """Read the address of a server. Raises ValueError."""
    if not re.fullmatch(r"https?://[^/\s]+/?", text):
        raise ValueError(f"{text!r} must be an address such as http://127.0.0.1:8000")
    return text.rstrip("/")


def checked(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have argparse show the text of a ValueError."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def make_parser() -> Parser:
    """Build the parser."""
    parser = Parser(
        prog="hublet loadtest",
        usage="hublet loadtest [application] [options] [-- server options]",
        description="Put load on a WSGI application, and say whether it held and what broke first.",
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30),
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("application", nargs="?", help="module:attribute, served on a free port; none with --host or --worker")
    load = parser.add_argument_group("load")
    add = load.add_argument
    add("--users", type=checked(count), default=50, metavar="N", help="users at the peak (default: 50)")
    add("--shape", choices=SHAPES, default="ramp", help="how their number changes (default: ramp)")
    add("--time", type=checked(seconds), default=30.0, metavar="TIME", help="how long at the most (default: 30s)")
    add("--stage", type=checked(seconds), default=5.0, metavar="TIME", help="of each step of knee (default: 5s)")
    text = "KIND, KIND=/path or KIND=/path*WEIGHT; may be repeated (default: page=/)"
    add("--visit", type=checked(parse_visit), action="append", default=[], metavar="VISIT", help=text)
    add("--pause", type=checked(pause), default=0.0, metavar="TIME", help="of a user between requests (default: 0)")
    add("--locustfile", type=Path, metavar="FILE", help="users of your own, in place of --visit")
    add("--host", type=checked(address), metavar="URL", help="test a server that runs already")
    text = "the --statistics-file of that server, for its side of the report"
    add("--statistics", type=Path, metavar="FILE", help=text)
    verdict = parser.add_argument_group("verdict")
    add = verdict.add_argument
    add("--max-p99", type=checked(seconds), default=0.5, metavar="TIME", help="of response times (default: 500ms)")
    add("--max-errors", type=checked(ratio), default=0.01, metavar="PART", help="of all requests (default: 1%%)")
    text = "folder for report.html, report.json, timeline.csv and requests.csv (default: loadtest)"
    add("--out", type=Path, default=Path("loadtest"), metavar="DIR", help=text)
    several = parser.add_argument_group("locust's own page, and several machines")
    add = several.add_argument
    add("--web", action="store_true", help="open locust's own page instead of running at once")
    add("--web-port", type=checked(count), default=8089, metavar="PORT", help="of that page (default: 8089)")
    add("--master", action="store_true", help="have workers make the load, and collect what they count")
    add("--worker", action="store_true", help="make load for a master, with the same --visit or --locustfile")
    add("--expect-workers", type=checked(count), default=1, metavar="N", help="to wait for (default: 1)")
    add("--master-host", default="127.0.0.1", metavar="HOST", help="where the master is (default: 127.0.0.1)")
    add("--master-port", type=checked(count), default=5557, metavar="PORT", help="and its port (default: 5557)")
    return parser


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; `server_options` is what follows --. Raises SystemExit."""
    parser = make_parser()
    own, _, server = (
        (arguments, "", ())
        if "--" not in arguments
        else (arguments[: (at := list(arguments).index("--"))], "--", arguments[at + 1 :])
    )
    options = parser.parse_args(own)
    options.server_options = list(server)
    if options.worker and (options.master or options.web or options.application):
        parser.error("--worker makes load for a master only: it takes neither --master, --web nor an application")
    if not options.worker and bool(options.application) == bool(options.host):
        parser.error("give either an application, module:attribute, or --host URL")
    if options.locustfile and options.visit:
        parser.error("--locustfile and --visit both say what users do: give one of them")
    if options.server_options and not options.application:
        parser.error("options after -- are for the server that this command starts: there is none with --host")
    if options.web and options.shape == "knee":
        parser.error("--shape knee needs no page: leave out --web")
    options.visit = options.visit or [parse_visit("page=/")]
    return options
