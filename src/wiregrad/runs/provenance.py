"""Which code a run or a picture depends on, found without importing it: torch stays out.

A digest is over syntax trees without docstrings, imports and ``__all__``, whatever the files are
called. So comments, line breaks and moved or renamed modules keep it, and a changed formula
changes it.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wiregrad.core.errors import ConfigError

NUMBERS_FROM = tuple(
    f"wiregrad.{room}" for room in ("methods", "compressors", "kernels", "comm", "wire")
)
"""Packages whose code enters a method's digest where the method reaches it by its imports."""
_PARTS = ("wiregrad.methods", "wiregrad.compressors")
"""Packages whose files register parts of a method by name."""
_NATIVE = "wiregrad.kernels"
"""Package whose compiled sources belong to each of its modules."""


@dataclass(frozen=True)
class _Module:
    """What matters of one file."""

    registered: frozenset[str]
    """Names under which it registers methods, compressors or three-point compressors."""
    named: frozenset[str]
    """Dotted names in its imports, except those within functions and conditions."""
    code: str
    """Digest of its code; empty where there is none, as in a package that only groups modules."""


def method_code_sha256(method: Mapping[str, Any] | str, plugins: Iterable[str | Path] = ()) -> str:
    """Digest of the code that a method's numbers come from.

    That is the file that registers the method, in the package or among `plugins`, the files of the
    compressors that its configuration `method` names, and what these import of `NUMBERS_FROM`,
    directly or not. Raises ConfigError where no file registers the method.
    """
    method = {"name": method} if isinstance(method, str) else method
    own = list(map(Path, plugins))
    files = [*(file for package in _PARTS for file in _files_of(package)), *own]
    name = method["name"]
    if not any(name in _module(file).registered for file in files):
        searched = ", ".join(["wiregrad/methods/", *map(str, own)])
        raise ConfigError(f"method.name: no @register({name!r}) in {searched}")
    wanted = set(_names_in(method))
    start = [file for file in files if _module(file).registered & wanted]
    return _digest(files_reached(start, NUMBERS_FROM))


def code_sha256(file: Path, package: str) -> str:
    """Digest of `file` and of all modules of `package` that loading it imports, directly or not."""
    return _digest(files_reached([file], (package,)))


def _names_in(value: Any) -> Iterator[str]:
    """The name of a configured part and of all parts inside it."""
    if isinstance(value, Mapping):
        if isinstance(value.get("name"), str):
            yield value["name"]
        yield from (name for each in value.values() for name in _names_in(each))
    elif isinstance(value, (list, tuple)):
        yield from (name for each in value for name in _names_in(each))


def files_reached(start: Iterable[Path], packages: Iterable[str]) -> set[Path]:
    """The files of `start`, and those of `packages` that they import, directly or not."""
    places = {package: _folders(package) for package in packages}
    found, waiting = set[Path](), list(start)
    while waiting:
        here = waiting.pop().resolve()
        if here not in found:
            found.add(here)
            for package, folders in places.items():
                waiting += _modules_of(package, folders, _module(here).named)
    return found


def _modules_of(package: str, folders: Iterable[str], names: Iterable[str]) -> Iterator[Path]:
    """The files of those names that are modules of `package`, which lies in `folders`."""
    for folder in folders:
        for name in names:
            if name == package:
                yield Path(folder, "__init__.py")
            elif name.startswith(f"{package}."):
                place = Path(folder, *name.removeprefix(f"{package}.").split("."))
                files = place.with_name(f"{place.name}.py"), place / "__init__.py"
                yield from (file for file in files if file.is_file())


def _digest(files: Iterable[Path]) -> str:
    """Digest of the code in `files`, the same under any names of theirs."""
    files = set(files)
    codes = [code for file in files if (code := _module(file).code)]
    native = [Path(folder).resolve() for folder in _folders(_NATIVE)]
    if any(file.is_relative_to(folder) for file in files for folder in native):
        codes += [_native_code(folder / "csrc") for folder in native]
    return hashlib.sha256("\n".join(sorted(codes)).encode()).hexdigest()


def _folders(package: str) -> tuple[str, ...]:
    spec = find_spec(package)
    return tuple((spec and spec.submodule_search_locations) or ())


def _files_of(package: str) -> list[Path]:
    return [file for folder in _folders(package) for file in sorted(Path(folder).rglob("*.py"))]


def _module(file: Path) -> _Module:
    try:
        stat = file.stat()
        return _parsed(file, stat.st_mtime_ns, stat.st_size)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as Python ({error})") from None


@cache
def _parsed(file: Path, mtime_ns: int, size: int) -> _Module:
    """The file with that time and size, cached: every run of a plan asks for its method's."""
    del mtime_ns, size
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = frozenset(_registered(tree)), frozenset(_named(tree))
    bare = _Bare().visit(tree)
    code = hashlib.sha256(ast.dump(bare).encode()).hexdigest() if bare.body else ""
    return _Module(*names, code)


def _registered(tree: ast.Module) -> set[str]:
    """The names given to decorators such as ``@register("name")`` on a module's classes."""
    names = set()
    for node in tree.body:
        for call in node.decorator_list if isinstance(node, ast.ClassDef) else []:
            if isinstance(call, ast.Call):
                names |= {a.value for a in call.args if isinstance(a, ast.Constant)}
    return {name for name in names if isinstance(name, str)}


def _named(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from itertools.accumulate(alias.name.split("."), "{}.{}".format)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from itertools.accumulate(node.module.split("."), "{}.{}".format)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _Bare(ast.NodeTransformer):
    """Removes what may change without a number changing: see the text of this module."""

    def visit(self, node: ast.AST) -> Any:
        """The node without its docstring, and with its children visited."""
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return super().visit(node)

    def visit_Import(self, _: ast.Import) -> None:
        """No import."""

    def visit_ImportFrom(self, _: ast.ImportFrom) -> None:
        """No import."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """No text that documents an attribute."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """No list of exported names."""
        exports = [t.id for t in node.targets if isinstance(t, ast.Name)] == ["__all__"]
        return None if exports else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """No condition that has only imports behind it."""
        self.generic_visit(node)
        return node if node.body or node.orelse else None


_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@cache
def _native_code(folder: Path) -> str:
    """Digest of the C++ sources in `folder`, comments and line breaks apart."""
    codes = sorted(
        " ".join(_COMMENT.sub(" ", file.read_text(encoding="utf-8")).split())
        for file in folder.glob("*")
        if file.suffix in {".cpp", ".hpp", ".inc"}
    )
    return hashlib.sha256("\n".join(codes).encode()).hexdigest()
