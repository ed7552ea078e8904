"""Which code a run or a picture depends on, told without importing it.

Torch stays out of the workflow. Digests are taken over syntax trees without docstrings: a comment
or a new line break changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from wiregrad.errors import ConfigError

_PACKAGE = "wiregrad.methods"


@dataclass(frozen=True)
class _Module:
    """What matters of one file."""

    registered: frozenset[str]
    """The methods that it registers."""
    imported: frozenset[str]
    """The modules of the methods package that it imports."""
    named: frozenset[str]
    """Dotted names in its imports from modules, those within functions and conditions apart."""
    code: str


def method_code_sha256(method: str, plugins: Iterable[str | Path] = ()) -> str:
    """Digest of the file that registers `method`, in the package or among `plugins`.

    With it go the files of `wiregrad.methods` that it imports. Raises ConfigError where no file
    registers the name.
    """
    plugins = list(plugins)
    for file in [*_method_files(), *map(Path, plugins)]:
        if method in _module(file).registered:
            return _digest(_with_imports(file))
    searched = ", ".join(["wiregrad/methods/*.py", *map(str, plugins)])
    raise ConfigError(f"method.name: no @register({method!r}) in {searched}")


def code_sha256(file: Path, package: str) -> str:
    """Digest of `file` with the modules of `package` that it imports as it is loaded, all down."""
    found, waiting = set[Path](), [file]
    while waiting:
        here = waiting.pop().resolve()
        if here not in found:
            found.add(here)
            waiting += _modules_of(package, _module(here).named)
    return _digest(found)


def _modules_of(package: str, names: Iterable[str]) -> Iterator[Path]:
    """The files of those names that are modules of `package`."""
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or []:
        for name in names:
            if name.startswith(f"{package}."):
                place = Path(folder, *name.removeprefix(f"{package}.").split("."))
                files = place.with_name(f"{place.name}.py"), place / "__init__.py"
                yield from (file for file in files if file.is_file())


def _digest(files: Iterable[Path]) -> str:
    codes = [_module(file).code for file in sorted(files)]
    return hashlib.sha256("\n".join(codes).encode()).hexdigest()


def _method_files() -> list[Path]:
    spec = find_spec("wiregrad")
    folders = (spec and spec.submodule_search_locations) or []
    return [file for folder in folders for file in sorted(Path(folder, "methods").glob("*.py"))]


def _module(file: Path) -> _Module:
    try:
        stat = file.stat()
        return _parsed(file, stat.st_mtime_ns, stat.st_size)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as Python ({error})") from None


@cache
def _parsed(file: Path, mtime_ns: int, size: int) -> _Module:
    """The file as it was then: every run of a plan asks for its method's."""
    del mtime_ns, size
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = frozenset(_registered(tree)), frozenset(_imported(tree)), frozenset(_named(tree))
    return _Module(*names, ast.dump(_without_docstrings(tree)))


def _registered(tree: ast.Module) -> set[str]:
    """The names given to ``@register("name")``, also as an attribute, on a module's classes."""
    names = set()
    for node in tree.body:
        for call in node.decorator_list if isinstance(node, ast.ClassDef) else []:
            if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "register":
                names |= {a.value for a in call.args if isinstance(a, ast.Constant)}
    return {name for name in names if isinstance(name, str)}


def _with_imports(file: Path) -> set[Path]:
    """`file` and the modules of the methods package that it imports, directly or not."""
    modules = {f.stem: f for f in _method_files() if f.stem != "__init__"}
    found, waiting = set(), [file]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += [modules[name] for name in _module(here).imported if name in modules]
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    """Names of modules of the methods package in the import statements of `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{_PACKAGE}."):
            yield (node.module or "").removeprefix(f"{_PACKAGE}.")


def _named(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from itertools.accumulate(node.module.split("."), "{}.{}".format)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return tree
