"""The command `hublet doctor`: reads its options, looks where they say, prints, and sums up in the exit status."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import gevent

from ..cli import Parser, add_option, patch_as_set
from ..loader import load_application
from ..patches.captures import find_captures
from ..patches.early_imports import explain
from ..patches.gevent_websocket import SERVERS
from ..patches.patching import CAPTURES, REGISTRY, add_third_party
from ..process import enter_directory, read_variables
from ..servers.settings_sources import OPTIONS, SourcedSettings, resolve_settings
from .findings import Findings, Held
from .import_order import try_import_orders
from .libraries import describe_libraries
from .measuring import OPERATIONS
from .pools import find_pools
from .probe import probe_all
from .self_test import self_test
from .table import Section, print_findings, print_section
from .watch import watch_command

SOUND: Final = 0
BLOCKS: Final = 1
#: The settings that decide what is loaded and patched.
SETTINGS: Final = ("patch", "no_patch", "chdir", "env", "env_file")
NOTHING_TO_PROBE: Final = (
    "--probe: neither Django's DATABASES, a SQLAlchemy engine, DATABASE_URL nor REDIS_URL names a server to measure; "
    "name one: --dsn postgresql://user:password@host/database"
)
USAGE: Final = """\
hublet doctor module:attribute [options]
       hublet doctor --self-test [--json]
       hublet doctor --watch [--json] -- command..."""
DESCRIPTION: Final = """\
Tell what of an application stops every request while it waits.

The application is loaded as `hublet module:attribute` loads it, and what it has loaded is looked up in the catalogue of
patches. With --watch, a command is run, and each line that blocked its hub is reported. The exit status is 1 if
something blocks, or if a server that was to be measured cannot be."""


def run(arguments: Sequence[str], early_imports: Sequence[str] = ()) -> int:
    """Run the command; `early_imports` are warnings that the patching gave. Returns the exit status.

    Raises SettingsError and ApplicationLoadError, as serving does.
    """
    options, command, given = parse(arguments)
    if options.watch:
        return watch(command, options.json)
    with redirect_stdout(sys.stderr):  # what the application prints is no part of the report
        findings = examine(command, options, given, early_imports)
    if options.json:
        print(json.dumps(findings.as_json(), indent=2))
    else:
        print_findings(findings)
    return BLOCKS if findings.blocking() or findings.unmeasured() else SOUND


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str], dict[str, Any]]:
    """Read the options: those of the doctor, its command or application, and the settings. Raises SystemExit."""
    parser = make_parser()
    ours, dashes, command = [*arguments], [], []
    if "--" in ours:
        index = ours.index("--")
        ours, dashes, command = ours[:index], ours[index : index + 1], ours[index + 1 :]
    options = parser.parse_args(ours)
    given = {name: value for name in SETTINGS if (value := getattr(options, name, None)) is not None}
    words = [*options.words, *command]
    if dashes and not options.watch:
        parser.error("what stands behind -- is a command for --watch")
    if not options.watch and not options.self_test and len(words) != 1:
        parser.error("one application, please: hublet doctor module:attribute")
    if options.operations < 2:
        parser.error(f"--operations {options.operations}: at least 2, since they are compared with one")
    return options, words, given


def make_parser() -> Parser:
    """Build the parser."""
    parser = Parser(
        prog="hublet doctor",
        usage=USAGE,
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--probe", action="store_true", help="measure each driver whose server the settings name")
    parser.add_argument("--dsn", action="append", default=[], metavar="URL", help="measure against this server, too")
    parser.add_argument("--self-test", action="store_true", help="measure waits against stand-ins on this machine")
    parser.add_argument("--watch", action="store_true", help="run a command and report what blocks its hub")
    parser.add_argument(
        "--operations", type=int, default=OPERATIONS, metavar="N", help=f"at once in a probe (default: {OPERATIONS})"
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    settings = parser.add_argument_group("settings, as for serving", argument_default=argparse.SUPPRESS)
    for name in SETTINGS:
        add_option(settings, OPTIONS[name])
    return parser


def examine(
    words: Sequence[str], options: argparse.Namespace, given: dict[str, Any], early_imports: Sequence[str]
) -> Findings:
    """Do what the options say, short of printing it."""
    directory = Path.cwd()
    sourced = resolve_settings(given, os.environ, directory, options.config)
    problems = [*early_imports, *patch_as_set(sourced), *sourced.warnings]
    if options.self_test:
        return Findings("the self-test", problems=problems, measured=self_test(options.operations))
    (target,) = words
    load(sourced, target, directory)
    findings = Findings(
        target,
        libraries=describe_libraries(REGISTRY),
        captures=held_captures(),
        pools=find_pools(),
        dns=dns_mode(),
        gunicorn=try_import_orders(target),
        problems=problems,
    )
    if options.probe or options.dsn:
        findings.measured = probe_all(options.dsn, options.operations)
        if not findings.measured:
            findings.problems.append(NOTHING_TO_PROBE)
    return findings


def load(sourced: SourcedSettings, target: str, directory: Path) -> None:
    """Do what the launcher does between the patching and the import of the application, and import it."""
    application_directory = str(directory / sourced.settings.chdir)
    if application_directory not in sys.path:
        sys.path.insert(0, application_directory)
    enter_directory(sourced)
    os.environ.update(read_variables(sourced))
    SERVERS.apply()  # as the server does, before the application imports what this replaces
    load_application(target)


def held_captures() -> list[Held]:
    """What was taken before the patching, and what still holds something unpatched now."""
    modules = tuple(sys.modules)
    rebound = [Held(str(each), True) for each in CAPTURES if each.rebound]
    return [*(Held(explain(each, modules), False) for each in find_captures(modules, REGISTRY.patches())), *rebound]


def dns_mode() -> str:
    """How names are resolved."""
    hub = gevent.get_hub()
    resolver = type(hub.resolver)
    name = f"{resolver.__module__}.{resolver.__qualname__}"
    if resolver.__module__ == "gevent.resolver.thread":
        return (
            f"{name}: getaddrinfo on native threads, {hub.threadpool.maxsize} at once, apart from off-loaded calls; "
            "GEVENT_RESOLVER=ares asks without threads"
        )
    return name


def watch(command: Sequence[str], as_json: bool) -> int:
    """Run a command under watch, and report."""
    add_third_party()
    status, record = watch_command(command, REGISTRY, sys.stderr.fileno() if as_json else None)
    lines = record.report()
    if as_json:
        print(json.dumps({"status": status, "lines": lines}, indent=2))
    elif not lines:
        print("nothing blocked the hub")
    else:
        rows = [
            (
                "blocks",
                f"{each['file']}:{each['line']} in {each['function']}",
                f"{each['count']}",
                f"{1000 * each['longest']:.0f} ms",
                f"{each['total']:.3f} s",
                each["source"],
                each["remedy"],
            )
            for each in lines
        ]
        columns = ("status", "line", "times", "longest", "in all", "source", "remedy")
        print_section(Section("Lines that blocked the hub", columns, rows))
    return status or (BLOCKS if lines else SOUND)
