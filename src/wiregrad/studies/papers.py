"""Reading the files of config/: labels, scales and papers, expanded and validated.

A paper is a file `papers/NAME.yaml`, or a folder `papers/NAME/` whose files each hold some of the
paper's keys. See `wiregrad.studies.expansion` for what may stand in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wiregrad.core.errors import ConfigError
from wiregrad.core.names import hint
from wiregrad.core.validation import checked, read_yaml
from wiregrad.studies.expansion import (
    ALL,
    expanded,
    merge,
    resolved_sets,
    section,
    with_labels,
)
from wiregrad.studies.schema import MethodEntry, Paper

Sets = Mapping[str, list[str]]


def paper_names(config_dir: Path) -> list[str]:
    """The papers below `config_dir`."""
    found = (config_dir / "papers").glob("*")
    return sorted({path.stem for path in found if path.is_dir() or path.suffix == ".yaml"})


def read_paper(config_dir: Path, name: str) -> tuple[dict[str, Any], str]:
    """A paper's content, expanded, and where it stands, which begins errors about it.

    Raises ConfigError where two files of the folder hold one key.
    """
    folder = config_dir / "papers" / name
    single = folder.with_name(f"{name}.yaml")
    if folder.is_dir() and single.exists():
        raise ConfigError(f"{single}: the paper is the folder {folder} already")
    content: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else [single]:
        for key, value in expanded(read_yaml(file), f"{file}: ").items():
            if key in origin:
                raise ConfigError(f"{file}: {key}: stands in {origin[key]} already")
            content[key], origin[key] = value, file
    return content, str(folder if folder.is_dir() else single)


def read_methods(config_dir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of methods.yaml by label, expanded but not validated, and its `label_sets`."""
    path = config_dir / "methods.yaml"
    content = read_yaml(path)
    sets = content.pop("label_sets", None) or {}
    return section(content, f"{path}: ", "labels"), sets


def load_methods(
    config_dir: Path, extra: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, MethodEntry], dict[str, list[str]]]:
    """All labels, and the label sets of methods.yaml; `all` has the `extra` labels in any case."""
    path = config_dir / "methods.yaml"
    entries, named = read_methods(config_dir)
    sets = resolved_sets(named, entries, f"{path}: label_sets")
    sets[ALL] = [*sets.get(ALL, entries), *extra]
    methods = {
        label: checked(MethodEntry, entry, f"{path}: {label}")
        for label, entry in (entries | dict(extra)).items()
    }
    return methods, sets


def load_papers(
    config_dir: Path,
    scale: str,
    names: Sequence[str],
    methods: Mapping[str, MethodEntry],
    sets: Sets,
) -> dict[str, Paper]:
    """The papers `names` (all, if empty) with what the scale overrides in them.

    Raises ConfigError for an unknown scale or paper, naming what there is.
    """
    overrides = _read_scale(config_dir, scale)
    available = paper_names(config_dir)
    chosen = names or available
    for name in [*chosen, *overrides]:
        if name not in available:
            raise ConfigError(f"{config_dir / 'papers'}: no paper {name!r}{hint(name, available)}")
    where = f"{config_dir / 'scales' / scale}.yaml: papers"
    loaded = {}
    for name in chosen:
        content, source = read_paper(config_dir, name)
        changed = _overridden(content, overrides.get(name) or {}, f"{where}.{name}")
        try:
            loaded[name] = _validated(changed, source, methods, sets)
        except ConfigError:
            _validated(content, source, methods, sets)
            # The paper is right by itself: the scale is to blame.
            loaded[name] = _validated(changed, f"{where}.{name}", methods, sets)
    return loaded


def _read_scale(config_dir: Path, scale: str) -> dict[str, Any]:
    """What the scale overrides, by paper."""
    scales = sorted(path.stem for path in (config_dir / "scales").glob("*.yaml"))
    if scale not in scales:
        raise ConfigError(f"scale: {scale!r}, allowed: {', '.join(scales)}")
    path = config_dir / "scales" / f"{scale}.yaml"
    content = read_yaml(path)
    unknown = set(content) - {"scale", "papers"}
    if unknown or content.get("scale") != scale:
        what = f"unknown key {min(unknown)!r}" if unknown else f"scale must be {scale!r}"
        raise ConfigError(f"{path}: {what}")
    return dict(content.get("papers") or {})


def _overridden(
    content: Mapping[str, Any], override: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The content with what the scale changes in it; `where` names the scale and the paper."""
    if not isinstance(override, Mapping):
        raise ConfigError(f"{where}: a mapping is required (got {override!r})")
    changes = expanded(override, f"{where}.", inherits=False)
    there = content.get("experiments") or {}
    for name in changes.get("experiments") or {}:
        if name not in there:
            raise ConfigError(f"{where}.experiments: no experiment {name!r}{hint(name, there)}")
    return merge(content, changes)


def _validated(
    content: Mapping[str, Any], source: str, methods: Mapping[str, MethodEntry], sets: Sets
) -> Paper:
    """The paper, with label sets resolved; `source` begins every error."""
    where = f"{source}: label_sets"
    own = resolved_sets(content.get("label_sets") or {}, methods, where)
    for name in own:
        if name in sets:
            raise ConfigError(f"{where}.{name}: stands in methods.yaml already")
    every = {**sets, **own}
    resolved = {
        key: with_labels(value, every, f"{source}: {key}")
        for key, value in content.items()
        if key != "label_sets"
    }
    return checked(Paper, resolved, source, ("label_sets",))
