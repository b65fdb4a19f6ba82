"""Finding the application that a target names, and saying what is wrong with it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hublet.loader import Target, load_application, parse_target
from hublet.runtime.errors import ApplicationLoadError

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules, `write(shop="source")`, in the current directory, which is on sys.path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = set(sys.modules)

    def write(**modules: str) -> None:
        for name, source in modules.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(source))

    yield write
    for name in set(sys.modules) - loaded:
        del sys.modules[name]


def call(application: Any) -> Any:
    return application({}, lambda *_: None)


def problem(target: str) -> str:
    with pytest.raises(ApplicationLoadError) as caught:
        load_application(target)
    assert caught.value.target == target
    return str(caught.value)


SHOP = """
    def app(environ, start_response):
        return [b"app"]

    def create_app(name="default", debug=False):
        return lambda environ, start_response: [name.encode(), str(debug).encode()]

    class holder:
        class inner:
            app = staticmethod(app)
            create = staticmethod(create_app)
"""


@pytest.mark.parametrize(
    "target, result",
    [
        ("shop", [b"app"]),
        ("shop:app", [b"app"]),
        ("shop:holder.inner.app", [b"app"]),
        ("shop:create_app()", [b"default", b"False"]),
        ("shop:create_app('test', debug=True)", [b"test", b"True"]),
        ("shop:holder.inner.create(name='x')", [b"x", b"False"]),
    ],
)
def test_targets(write: Write, target: str, result: list[bytes]) -> None:
    write(shop=SHOP)
    assert call(load_application(target)) == result


def test_application_comes_before_app(write: Write) -> None:
    write(shop="app = lambda e, s: 'app'\napplication = lambda e, s: 'application'")
    assert call(load_application("shop")) == "application"


def test_a_module_in_a_package(write: Write) -> None:
    write(shop____init__="", shop__web="app = lambda e, s: 'web'")
    assert call(load_application("shop.web")) == "web"


@pytest.mark.parametrize(
    "text, target",
    [
        ("a.b", Target("a.b", (), None)),
        ("a:b.c", Target("a", ("b", "c"), None)),
        ("a:b([1, {'x': None}], k=(2,))", Target("a", ("b",), ([[1, {"x": None}]], {"k": (2,)}))),
        ("a:b(':')", Target("a", ("b",), ([":"], {}))),
    ],
)
def test_parsing(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["", ":app", "a:", "a b", "a-b:c", "a:b c", "a:b()()", "a:b(x)", "a:b(**{})", "a:b[0]", "a:1", "a:f(g())"]
)
def test_what_is_not_a_target(text: str) -> None:
    assert "module:factory()" in problem(text)


def test_a_path_instead_of_a_module() -> None:
    assert "did you mean shop.web:app?" in problem("./shop/web.py:app")
    assert "did you mean hello:app?" in problem("hello.py:app")
    assert "did you mean hello?" in problem("hello.py")


def test_a_path_is_never_imported(write: Write) -> None:
    write(shop="raise AssertionError('imported')")
    assert "did you mean shop?" in problem("shop.py")


def test_a_path_to_another_directory_names_it(write: Write, tmp_path: Path) -> None:
    write(till="", shop____init__="", shop__web=SHOP)
    assert "did you mean till:app?" in problem(f"{tmp_path}/till.py:app")
    assert "did you mean shop.web:app?" in problem(f"{tmp_path}/shop/web.py:app")
    assert "start hublet in the directory /srv: hublet hello:app" in problem("/srv/hello.py:app")
    assert f"start hublet in the directory {tmp_path.parent}: hublet hello" in problem("../hello.py")


def test_a_path_into_a_package_elsewhere_names_the_directory_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path / "here")
    assert f"in the directory {tmp_path}: hublet shop.web:app" in problem("../shop/web.py:app")


def test_a_missing_module(write: Write, tmp_path: Path) -> None:
    write(shop=SHOP)
    assert problem("shopp:app").endswith(f"in {tmp_path} or on the rest of sys.path; did you mean shop?")
    assert "start hublet in the directory that holds it" in problem("quite_different")


def test_a_missing_submodule(write: Write) -> None:
    write(shop____init__="", shop__web="", till="")
    assert "'shop' has no submodule 'webb'; did you mean shop.web?" in problem("shop.webb:app")
    assert "'till' is a module, not a package" in problem("till.web")


def test_an_import_that_fails_inside_is_told_from_a_missing_module(write: Write) -> None:
    write(shop="import till", till="import no_such_package")
    text = problem("shop:app")
    assert "the module 'shop' exists" in text
    assert f"install 'no_such_package' for the Python that runs hublet, {sys.executable}" in text
    assert "shop.py" in text
    assert "till.py" in text
    assert "ModuleNotFoundError: No module named 'no_such_package'" in text


@pytest.mark.parametrize(
    "source, words",
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError"),
        ("from till import nothing", "ImportError: cannot import name 'nothing'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_an_error_in_the_module_shows_its_own_traceback_only(write: Write, source: str, words: str) -> None:
    write(shop=source, till="")
    text = problem("shop:app")
    assert "importing 'shop' failed" in text
    assert words in text
    assert "loader.py" not in text
    assert "importlib" not in text


def test_a_missing_attribute(write: Write) -> None:
    write(shop=SHOP)
    assert "shop has no attribute 'ap'; did you mean app?" in problem("shop:ap")
    assert "shop.holder.inner has no attribute 'creat'; did you mean create?" in problem("shop:holder.inner.creat")
    assert "shop:create_app()" in problem("shop:zzz")


def test_a_module_without_an_application(write: Write) -> None:
    write(
        shop="from json import dumps\nimport os\ndef site(e, s): pass\nclass Till: pass\nrate = 3",
        empty="x = 1",
        made="def make_app(): pass",
    )
    assert problem("shop").endswith("shop has neither application nor app; callable in it: site")
    assert "nothing in" in problem("empty")
    assert "its factory would be made:make_app()" in problem("made")


@pytest.mark.parametrize(
    "source, words",
    [
        ("app = 3", "app is of type int and cannot be called"),
        ("import os as app", "app is a module"),
        ("async def app(scope, receive, send): pass", "ASGI"),
        ("class A:\n    async def __call__(self, scope, receive, send): pass\napp = A()", "ASGI"),
        ("def app(): pass", "write shop:app()"),
        ("def app(environ): pass", "(environ) does not take (environ, start_response)"),
    ],
)
def test_what_cannot_be_an_application(write: Write, source: str, words: str) -> None:
    write(shop=source)
    assert words in problem("shop:app")


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def __call__(self, environ, start_response): pass\napp = A()",
        "class app:\n    def __init__(self, environ, start_response): pass",
        "app = lambda *args: None",
        "from functools import wraps\ndef wrap(f): return wraps(f)(lambda *args: f(1))\n@wrap\ndef app(request): pass",
        "app = print",
    ],
)
def test_what_can_be_one(write: Write, source: str) -> None:
    write(shop=source)
    assert callable(load_application("shop:app"))


def test_a_factory_that_fails(write: Write) -> None:
    write(shop="def create(): raise KeyError('DATABASE_URL')\ndef none(): pass")
    text = problem("shop:create()")
    assert "create() failed" in text
    assert "KeyError: 'DATABASE_URL'" in text
    assert "loader.py" not in text
    assert "TypeError" in problem("shop:create(1)")
    assert "none() is of type NoneType" in problem("shop:none()")


def test_an_interrupt_is_not_an_error_of_the_application(write: Write) -> None:
    write(shop="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_application("shop")
