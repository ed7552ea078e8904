"""Which code a run depends on, told without importing it (torch stays out of the workflow)."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from wiregrad.errors import ConfigError


def method_code_sha256(method: str, plugins: Iterable[str | Path] = ()) -> str:
    """Digest of the file that registers `method`, in the package or among `plugins`.

    It is taken over the syntax tree without docstrings: a comment or a new line break changes
    nothing. Raises ConfigError where no file registers the name.
    """
    for file in [*_method_files(), *map(Path, plugins)]:
        tree = _parse(file)
        if method in _registered(tree):
            return hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest()
    searched = ", ".join(["wiregrad/methods/*.py", *map(str, plugins)])
    raise ConfigError(f"method.name: no @register({method!r}) in {searched}")


def _method_files() -> list[Path]:
    spec = find_spec("wiregrad")
    folders = (spec and spec.submodule_search_locations) or []
    return [file for folder in folders for file in sorted(Path(folder, "methods").glob("*.py"))]


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read as Python ({error})") from None


def _registered(tree: ast.Module) -> set[str]:
    """The names given to ``@register("name")`` or ``@….register("name")`` on classes of a module."""
    names = set()
    for node in tree.body:
        for call in node.decorator_list if isinstance(node, ast.ClassDef) else []:
            if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "register":
                names |= {a.value for a in call.args if isinstance(a, ast.Constant)}
    return {name for name in names if isinstance(name, str)}


def _without_docstrings(tree: ast.Module) -> ast.Module:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return tree
