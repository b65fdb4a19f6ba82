"""The command line: `hublet [serve|check] module:attribute [options]`, its options made from the fields of Settings."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import gevent

from .check import check
from .gunicorn_file import NO_FILE, converted, read_gunicorn_file
from .gunicorn_hooks import hooks_of
from .patches.patching import patch_libraries
from .patches.registry import UnknownPatch
from .patches.replacement import resolved
from .process import with_passed_sockets
from .reloader import run_reloader, settings_of_child
from .runtime.errors import ApplicationLoadError, ListenError, SettingsError
from .runtime.lifeline import inherit_lifeline
from .runtime.offload import POOL
from .servers.gunicorn.names import BY_NAME, NAMES
from .servers.listeners import inherit
from .servers.settings_sources import (
    CONFIG_FILE,
    CONFIG_VARIABLE,
    OPTIONS,
    Layer,
    Option,
    SourcedSettings,
    find_file,
    options_by_group,
    resolve_settings,
)
from .servers.supervisor.channel import inherit_ends
from .serving import run_target
from .supervising import TRIAL_VARIABLE, run_supervisor
from .version import __version__

USAGE_ERROR: Final = 2
FAILURE: Final = 1
INTERRUPTED: Final = 130  # as shells report a process that SIGINT ended
COMMANDS: Final = ("serve", "check")
# Before the names of gunicorn's settings among the parser's results.
RENAMED: Final = "gunicorn:"
# Those of gunicorn's options that may be repeated.
REPEATED: Final = ("bind", "raw_env")
#: Commands with options of their own: functions that take the arguments and the patching's warnings, and return the
#: exit status. They are named, since they are imported only where they are asked for.
TOOLS: Final = {"doctor": "hublet.doctor.command:run", "loadtest": "hublet.loadtest.command:main"}
# What only a supervisor can do.
OF_WORKERS: Final = ("max_requests", "max_rss", "worker_timeout")
METAVARS: Final = {"count": "N", "size": "SIZE", "number": "SECONDS", "list": "TEXT", "text": "TEXT"}

DESCRIPTION: Final = "Serve a WSGI application with thousands of requests in flight on one thread."
TARGET_HELP: Final = """\
commands:
  serve                     serve the application; may be left out
  check                     look at the settings, the addresses, the files and the application, and serve nothing
  doctor                    tell what of the application stops every request while it waits: `hublet doctor --help`
  loadtest                  put load on the application and write a report; see `hublet loadtest --help`

application:
  module                    its attribute `application`, or else `app`
  module:attribute          that attribute; it may be dotted
  module:factory()          what the factory returns; literal arguments may be given: module:factory('test', debug=True)
"""
EPILOG: Final = f"""\
Sizes are bytes, or have a unit: 8K, 64KiB, 1M, 2G. Each option can also be given as a variable, HUBLET_MAX_BODY for
--max-body, or in a TOML file: the one that --config or {CONFIG_VARIABLE} names, or ./{CONFIG_FILE}.
The strongest first: option, variable, file.
"""


class Parser(argparse.ArgumentParser):
    """argparse's, with errors in one line that says what to do."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(USAGE_ERROR, f"hublet: {message}\nhublet: `hublet --help` shows what can be given\n")


def main(arguments: Sequence[str], early_imports: Sequence[str] = ()) -> int:
    """Run the command; `early_imports` are warnings that the patching gave. Returns the exit status."""
    try:
        return run_command(arguments, early_imports)
    except SettingsError as error:
        print(f"hublet: {error}", file=sys.stderr)
        return USAGE_ERROR
    except (ApplicationLoadError, ListenError) as error:
        print(f"hublet: {error}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def run_command(arguments: Sequence[str], early_imports: Sequence[str]) -> int:
    """Read the command line and the other sources of settings, and serve."""
    if arguments and arguments[0] in TOOLS:
        tool = resolved(TOOLS[arguments[0]])
        return int(tool(arguments[1:], early_imports))
    command, target, config, given = parse_command_line(arguments)
    directory = Path.cwd()
    location, renamed = given.pop("from_gunicorn", None), take_renamed(given)
    gunicorn_file = NO_FILE
    if location is not None:
        if str(directory) not in sys.path:
            sys.path.insert(0, str(directory))
        gunicorn_file = read_gunicorn_file(location, directory, os.environ)
    target = target or gunicorn_file.target or missing_application()
    sourced = resolve_settings(given, os.environ, directory, config, gunicorn_file.layer, renamed)
    if TRIAL_VARIABLE in os.environ:
        return 0
    lifeline, ends = inherit_lifeline(), inherit_ends()
    inherited = inherit()
    sourced = with_passed_sockets(sourced, inherited)
    application_directory = str(directory / sourced.settings.chdir)
    if application_directory not in sys.path:
        sys.path.insert(0, application_directory)
    gunicorn_file.extend_path()
    if ends is None:  # otherwise the supervisor has said it
        warnings = (*sourced.warnings, *gunicorn_file.ignored, *needing_workers(sourced))
        sourced = dataclasses.replace(sourced, warnings=warnings)
    hooks = hooks_of(gunicorn_file, sourced.settings)
    if command == "check":
        patch_as_set(sourced)
        return check(sourced, target)
    if sourced.settings.reload and lifeline is None:
        return run_reloader(sourced, directory, find_file(os.environ, directory, config)[0])
    is_reloaded = sourced.settings.reload and lifeline is not None
    if sourced.settings.workers != 1 and not is_reloaded and ends is None:
        return run_supervisor(sourced, target, inherited, hooks, lifeline)
    every = [*early_imports, *patch_as_set(sourced), *sourced.warnings]
    if is_reloaded:
        sourced = settings_of_child(sourced)
    return run_target(sourced, target, every, inherited, lifeline, ends, hooks)


def needing_workers(sourced: SourcedSettings) -> list[str]:
    """A warning for each setting that was given and does nothing in an only process, which nobody replaces."""
    settings = sourced.settings
    if settings.workers != 1 and not settings.reload:
        return []
    return [
        f"{name} does nothing with one process, which nobody could replace; it needs workers = 2 or more, or auto"
        for name in OF_WORKERS
        if name in sourced.origins and getattr(settings, name)
    ]


def patch_as_set(sourced: SourcedSettings) -> tuple[str, ...]:
    """Have libraries patched as they are imported. Returns warnings; raises SettingsError for an unknown name."""
    settings = sourced.settings
    POOL.threads, POOL.queue = settings.offload_threads, settings.offload_queue
    try:
        return patch_libraries(patch=settings.patch, no_patch=settings.no_patch)
    except UnknownPatch as error:
        raise sourced.error("patch" if error.name in settings.patch else "no_patch", str(error)) from None


class CommandLine(NamedTuple):
    """What was asked for: the command, the target, the `--config` option, and what was given for each setting."""

    command: str
    target: str
    config: str | None
    given: dict[str, Any]


def parse_command_line(arguments: Sequence[str]) -> CommandLine:
    """Read the command line. Raises SystemExit."""
    parser = make_parser()
    options, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        parser.error(describe_unknown(parser, unknown[0]))
    given = vars(options)
    words, config = given.pop("words", []), given.pop("config", None)
    command = words.pop(0) if words and words[0] in COMMANDS else COMMANDS[0]
    if len(words) > 1:
        parser.error(f"one application, please, not {len(words)}: hublet module:attribute")
    if not words and "from_gunicorn" not in given:
        missing_application()
    return CommandLine(command, words[0] if words else "", config, given)


def missing_application() -> NoReturn:
    """End with status 2."""
    make_parser().error("the application is missing: hublet module:attribute")


def take_renamed(given: dict[str, Any]) -> Layer:
    """Take what was given by gunicorn's names out of `given`, as hublet's settings. Raises SettingsError."""
    layer: Layer = {}
    for each in NAMES:
        value = given.pop(RENAMED + each.name, None)
        if value is not None:
            layer |= converted(each, value, f"gunicorn's option {each.options[-1]}")
    return layer


def make_parser() -> Parser:
    """Build the parser; a setting that is not given leaves no trace in its result."""
    parser = Parser(
        prog="hublet",
        usage="hublet [serve | check] application [options]",
        description=f"{DESCRIPTION}\n\n{TARGET_HELP}",
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=30),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    general = parser.add_argument_group("general")
    general.add_argument("-h", "--help", action="help", help="show this and exit")
    general.add_argument("--version", action="version", version=version_text(), help="show the versions and exit")
    general.add_argument("--config", metavar="FILE", help=f"TOML file with settings (default: ./{CONFIG_FILE}, if any)")
    general.add_argument(
        "--from-gunicorn",
        metavar="FILE",
        help="configuration file of gunicorn's, or python:module, whose settings and hooks are taken over",
    )
    add_gunicorn_options(parser)
    for group, options in options_by_group().items():
        section = parser.add_argument_group(group)
        for option in options:
            add_option(section, option)
    return parser


def add_option(section: argparse._ArgumentGroup, option: Option) -> None:
    """Add the option of one setting. Values stay texts: their conversion is that of every other source."""
    text = f"{option.help} (default: {option.format(option.default)})".replace("%", "%%")
    if option.kind == "flag":
        section.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=text)
    elif option.kind == "list":
        section.add_argument(option.flag, action="append", metavar=option.metavar or METAVARS["list"], help=text)
    else:
        metavar = f"{{{','.join(option.choices)}}}" if option.choices else option.metavar or METAVARS[option.kind]
        section.add_argument(option.flag, metavar=metavar, help=text)


def add_gunicorn_options(parser: Parser) -> None:
    """Add gunicorn's names of settings that have another here."""
    section = parser.add_argument_group("gunicorn's names")
    for each in NAMES:
        if each.options:
            own = " and ".join(OPTIONS[name].flag for name in each.becomes)
            section.add_argument(
                *each.options,
                dest=RENAMED + each.name,
                metavar="VALUE",
                action="append" if each.name in REPEATED else "store",
                help=f"as {own}",
            )


def describe_unknown(parser: argparse.ArgumentParser, argument: str) -> str:
    """Say which option a mistyped one may have meant."""
    name = argument.partition("=")[0]
    gunicorn_name = BY_NAME.get(name.removeprefix("--").replace("-", "_"))
    if gunicorn_name is not None and gunicorn_name.is_ignored:
        return f"there is no option {name}, as gunicorn has it: {gunicorn_name.instead}"
    close = difflib.get_close_matches(name, parser._option_string_actions, n=1)
    return f"there is no option {name}" + (f"; did you mean {close[0]}?" if close else "")


def version_text() -> str:
    """What `--version` prints."""
    return f"hublet {__version__} (Python {platform.python_version()}, gevent {gevent.__version__})"
