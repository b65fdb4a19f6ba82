"""Build rules that pyproject.toml cannot state: where each package's folder is, and the compiled core.

The folders carry short names (`runtime/`) and the import names long ones (`hublet.runtime`). Cython resolves `cimport`
by folder and knows nothing of that mapping, so it is given a tree of links that looks like the import package.
"""

from __future__ import annotations

import os
from pathlib import Path

import greenlet
from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent.resolve()
FOLDERS = {
    "hublet": "entry",
    "hublet.runtime": "runtime",
    "hublet.patches": "patches",
    "hublet.servers": "servers",
    "hublet.loadtest": "loadtests/locusts",
}
COMPILED = sorted(
    source.relative_to(ROOT)
    for folder in ("runtime", "patches", "servers")
    for source in (ROOT / folder).rglob("*.pyx")
)


def link_tree() -> Path:
    """Make build/links/hublet, links to the folders under their import names, and return its parent."""
    top = ROOT / "build" / "links" / "hublet"
    top.mkdir(parents=True, exist_ok=True)
    targets = {name.rpartition(".")[2]: ROOT / folder for name, folder in FOLDERS.items() if name != "hublet"}
    targets |= {path.name: path for path in (ROOT / "entry").iterdir() if path.suffix in {".py", ".pyi", ".typed"}}
    targets |= {path.parent.name: path.parent for path in (ROOT / "entry").glob("*/__init__.py")}
    for link in top.iterdir():
        if link.name not in targets:
            link.unlink()
    for name, target in targets.items():
        link = top / name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(target, top))
    return top.parent


def packages() -> list[str]:
    names = list(FOLDERS)
    for name, folder in FOLDERS.items():
        names += [f"{name}.{inner}" for inner in find_packages(str(ROOT / folder))]
    return names


def extensions() -> list[Extension]:
    found = []
    for source in COMPILED:
        name = "hublet." + ".".join(source.with_suffix("").parts)
        found.append(
            Extension(
                name,
                [str(source)],
                include_dirs=[str(Path(greenlet.__file__).parent)],
                extra_compile_args=["-O3", "-fno-strict-aliasing", "-Wno-unused-variable"],
            )
        )
    return found


setup(
    packages=packages(),
    package_dir=FOLDERS,
    package_data={"": ["*.pyx", "*.pxd", "*.pyi", "py.typed"]},
    exclude_package_data={"": ["*.c"]},
    ext_modules=cythonize(
        extensions(),
        include_path=[str(link_tree())],
        compiler_directives={"language_level": 3, "embedsignature": False},
        build_dir=str(Path("build") / "cython"),
    ),
)
