"""Finds the WSGI application that a target such as `shop.web:create_app("production")` names."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .runtime.errors import ApplicationLoadError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

DEFAULT_ATTRIBUTES: Final = ("application", "app")
FACTORY_NAMES: Final = ("create_app", "make_app", "create_application", "make_application")
MOST_CANDIDATES: Final = 5
IMPORT_SYSTEM: Final = frozenset({"importlib", "_frozen_importlib", "_frozen_importlib_external"})
FORMS: Final = "write module, module:attribute, module:factory() or module:factory('text', key=1)"


class Target(NamedTuple):
    """A target in its parts; `call` holds a factory's literal arguments, or None where nothing is called."""

    module: str
    attributes: tuple[str, ...]
    call: tuple[list[Any], dict[str, Any]] | None


def load_application(text: str) -> WSGIApplication:
    """Import the module of a target and return the application it names.

    Without an attribute `application` is tried, then `app`. Raises ApplicationLoadError, which says what was tried and
    shows the traceback of an error in the application's own code.
    """
    target = parse_target(text)
    module = import_named(text, target.module)
    if target.attributes:
        found, name = look_up(text, module, target.attributes), ".".join(target.attributes)
    else:
        found, name = look_up_default(text, module)
    if target.call is not None:
        arguments, keywords = target.call
        try:
            found = found(*arguments, **keywords)
        except (Exception, SystemExit) as error:
            raise ApplicationLoadError(text, f"{name}() failed:\n{traceback_text(error)}") from None
        name += "()"
    check_application(text, found, name)
    application: WSGIApplication = found
    return application


def parse_target(text: str) -> Target:
    """Split a target into module, attributes and call. Raises ApplicationLoadError."""
    module, colon, expression = text.partition(":")
    if module.endswith(".py") or "/" in module:
        raise ApplicationLoadError(text, f"{module!r} is a path; {module_of(module, colon + expression)}; {FORMS}")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ApplicationLoadError(text, f"{module!r} is not a module's name; {FORMS}")
    if colon and not expression:
        raise ApplicationLoadError(text, f"there is nothing behind the colon; {FORMS}")
    if not colon:
        return Target(module, (), None)
    try:
        node: ast.expr = ast.parse(expression, mode="eval").body
        call = None
        if isinstance(node, ast.Call):
            keywords = {str(each.arg): ast.literal_eval(each.value) for each in node.keywords if each.arg}
            if len(keywords) != len(node.keywords):
                raise ValueError("** is not allowed")
            call = ([ast.literal_eval(each) for each in node.args], keywords)
            node = node.func
        return Target(module, dotted_name(node), call)
    except (SyntaxError, ValueError):
        rule = "what follows the colon is a name, dotted if need be, and a call at most with literal arguments"
        raise ApplicationLoadError(text, f"{expression!r} cannot be understood: {rule}; {FORMS}") from None


def module_of(path: str, rest: str) -> str:
    """Say which target names the module in the file at a path, and in which directory it does."""
    directory = Path.cwd()
    file = Path(os.path.normpath(directory / path.removesuffix(".py")))
    if file.is_relative_to(directory):
        return f"did you mean {'.'.join(file.relative_to(directory).parts)}{rest}?"
    directory = next(each for each in file.parents if not (each / "__init__.py").is_file() or each == each.parent)
    target = ".".join(file.relative_to(directory).parts)
    return f"start hublet in the directory {directory}: hublet {target}{rest}"


def dotted_name(node: ast.expr) -> tuple[str, ...]:
    """The parts of `a.b.c`. Raises ValueError for any other expression."""
    if isinstance(node, ast.Attribute):
        return (*dotted_name(node.value), node.attr)
    if isinstance(node, ast.Name):
        return (node.id,)
    raise ValueError("not a name")


def import_named(text: str, name: str) -> ModuleType:
    """Import a module; tell a module that does not exist from one that fails."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            raise ApplicationLoadError(text, missing_module(name, missing)) from None
        remedy = f"install {missing!r} for the Python that runs hublet, {sys.executable}"
        problem = f"the module {name!r} exists, but an import in it failed ({remedy}):\n{traceback_text(error)}"
        raise ApplicationLoadError(text, problem) from None
    except (Exception, SystemExit) as error:
        raise ApplicationLoadError(text, f"importing {name!r} failed:\n{traceback_text(error)}") from None


def missing_module(name: str, missing: str) -> str:
    """Say where a module was looked for, and what is there instead."""
    parent = missing.rpartition(".")[0]
    if parent:
        package = sys.modules[parent]
        places = list(getattr(package, "__path__", []))
        where = f"{parent!r} has no submodule {missing.rpartition('.')[2]!r}"
        if not places:
            where = f"{parent!r} is a module, not a package"
    else:
        places = [os.getcwd()]
        where = f"there is no module {missing!r} in {places[0]} or on the rest of sys.path"
    known = [each.name for each in pkgutil.iter_modules(places)]
    close = difflib.get_close_matches(missing.rpartition(".")[2], known, n=1)
    if close:
        suggestion = ".".join(filter(None, (parent, close[0])))
        return f"{where}; did you mean {suggestion}{name[len(missing) :]}?"
    return f"{where}; start hublet in the directory that holds it"


def look_up(text: str, module: ModuleType, attributes: tuple[str, ...]) -> Any:
    """Follow a dotted attribute."""
    found: Any = module
    for depth, attribute in enumerate(attributes):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            owner = ".".join((module.__name__, *attributes[:depth]))
            close = difflib.get_close_matches(attribute, dir(found), n=1)
            remedy = f"did you mean {close[0]}?" if close else describe_candidates(module)
            raise ApplicationLoadError(text, f"{owner} has no attribute {attribute!r}; {remedy}") from None
    return found


def look_up_default(text: str, module: ModuleType) -> tuple[Any, str]:
    """Find the attribute that a target without one means."""
    for attribute in DEFAULT_ATTRIBUTES:
        if hasattr(module, attribute):
            return getattr(module, attribute), attribute
    tried = " nor ".join(DEFAULT_ATTRIBUTES)
    raise ApplicationLoadError(text, f"{module.__name__} has neither {tried}; {describe_candidates(module)}")


def describe_candidates(module: ModuleType) -> str:
    """Name what in a module could be the application."""
    for factory in FACTORY_NAMES:
        if callable(getattr(module, factory, None)):
            return f"its factory would be {module.__name__}:{factory}()"
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and not isinstance(value, type)
        and getattr(value, "__module__", module.__name__) in (module.__name__, type(value).__module__)
    ]
    if not own:
        return f"nothing in {getattr(module, '__file__', None) or module.__name__} could be an application"
    return f"callable in it: {', '.join(own[:MOST_CANDIDATES])}"


def check_application(text: str, found: Any, name: str) -> None:
    """Refuse what cannot be called as PEP 3333 wants it."""
    if not callable(found):
        kind = "a module" if isinstance(found, ModuleType) else f"of type {type(found).__name__}"
        raise ApplicationLoadError(text, f"{name} is {kind} and cannot be called; a WSGI application is a callable")
    if inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(getattr(found, "__call__", None)):  # noqa: B004
        raise ApplicationLoadError(
            text, f"{name} is asynchronous, an ASGI application it seems; hublet serves WSGI: (environ, start_response)"
        )
    try:
        # A decorator's own signature counts: it may call a function of another shape with what it was given.
        signature = inspect.signature(found, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # compiled callables need not have one
    try:
        signature.bind({}, lambda *_: None)
    except TypeError:
        factory = name if name.endswith("()") else f"{name}()"
        raise ApplicationLoadError(
            text,
            f"{name}{signature} does not take (environ, start_response); "
            f"if it makes the application, write {text.partition(':')[0]}:{factory}",
        ) from None


def traceback_text(error: BaseException) -> str:
    """The traceback of an error without the frames of hublet and of the import system that lead to it."""
    inner = error.__traceback__
    while inner is not None and is_ours(inner):
        inner = inner.tb_next
    return "".join(traceback.format_exception(type(error), error, inner)).rstrip()


def is_ours(frame: TracebackType) -> bool:
    """Whether a frame belongs to this file or to the import system."""
    name = frame.tb_frame.f_globals.get("__name__", "")
    return name == __name__ or name.partition(".")[0] in IMPORT_SYSTEM
