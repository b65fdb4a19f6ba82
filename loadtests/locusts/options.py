"""The options of `hublet loadtest`."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from .bounds import Bound, Bounds, parse_bound
from .plans import SHAPES
from .tls import ClientTls
from .visits import KINDS, Visit, parse_visit

USAGE_ERROR: Final = 2
UNITS: Final = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
MOST_SECONDS: Final = 7 * 86400
MAX_P99: Final = 0.5
MAX_ERRORS: Final = 0.01

EPILOG: Final = f"""\
users: {", ".join(f"{kind} ({path})" for kind, (_, _, path) in KINDS.items())}
What follows -- is for the server: hublet loadtest app:app --users 50 -- --workers 2 --max-in-flight 100
Exit status: 0 the application held, 1 it did not or there is no verdict, 2 the command cannot be used like this,
130 a signal ended it.
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
    tls = parser.add_argument_group("TLS of the users, as curl names it")
    add = tls.add_argument
    add("--insecure", action="store_true", help="accept any certificate of the server of --host")
    add("--cacert", default="", metavar="FILE", help="PEM file with the authorities to trust, in place of the system's")
    add("--cert", default="", metavar="FILE", help="PEM file with a certificate of the users' own")
    add("--key", default="", metavar="FILE", help="PEM file with its key (default: it is in --cert)")
    verdict = parser.add_argument_group("verdict")
    add = verdict.add_argument
    text = "of response times, for each kind of request; KEY: a kind of user, a visit or a request; may be repeated"
    bound = checked(parse_bound(seconds))
    add("--max-p99", type=bound, action="append", default=[], metavar="[KEY=]TIME", help=f"{text} (default: 500ms)")
    text = "of the requests of each kind"
    bound = checked(parse_bound(ratio))
    add("--max-errors", type=bound, action="append", default=[], metavar="[KEY=]PART", help=f"{text} (default: 1%%)")
    text = "folder for report.html, its figures, and the server's log (default: loadtest)"
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
    if options.insecure and options.cacert:
        parser.error("--insecure accepts any certificate, so --cacert would do nothing: give one of them")
    if options.key and not options.cert:
        parser.error("--key belongs to a certificate: give --cert too")
    if options.insecure and options.host and not options.host.startswith("https:"):
        parser.error(f"--insecure is for https, and {options.host} is not")
    options.tls = ClientTls(options.insecure, options.cacert, options.cert, options.key)
    options.visit = options.visit or [parse_visit("page=/")]
    options.bounds = Bounds(Bound.of(MAX_P99, options.max_p99), Bound.of(MAX_ERRORS, options.max_errors))
    if not options.locustfile:
        check_keys(parser, options.bounds, options.visit)
    return options


def check_keys(parser: Parser, bounds: Bounds, visits: Sequence[Visit]) -> None:
    """End with status 2 if a bound is for users that there are not. Names with a method are looked at in the end."""
    known = dict.fromkeys(key for visit in visits for key in (visit.kind, visit.label, visit.path))
    if "socketio" in known:
        known["echo"] = None  # the name of its event
    for key in {**bounds.p99.special, **bounds.errors.special}:
        if key not in known and " " not in key:
            parser.error(f"there is a bound for {key!r}, but no such user or request; there are {', '.join(known)}")
