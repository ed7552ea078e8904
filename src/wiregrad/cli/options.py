"""Options that several commands have, spelled once, and how a command takes a bundle of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from wiregrad.core.errors import ConfigError

if TYPE_CHECKING:
    from wiregrad.studies.plan import Group, Plan

Scale = Annotated[str, typer.Option(help="smoke, cpu or paper: a file of config/scales/.")]
ConfigDir = Annotated[Path, typer.Option(help="Folder of methods.yaml, papers/ and scales/.")]
Results = Annotated[Path, typer.Option(help="Folder of the results.")]
Methods = Annotated[
    list[Path], typer.Option(help="Further files of labels, in the form of methods.yaml.")
]
Papers = Annotated[list[str], typer.Option("--paper", help="Only these papers.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]
Checkpoint = Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")]
Processes = Annotated[
    str,
    typer.Option(help="Processes of one thread that share the gradients; auto: one per core."),
]
Assignments = Annotated[list[str], typer.Option("--set", help="Override: a.b=value.")]


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Which configuration, where its results are, and at which scale."""

    scale: Scale = "smoke"
    config_dir: ConfigDir = Path("config")
    results: Results = Path("results")
    methods: Methods = field(default_factory=list)

    def load(self, papers: list[str] | None = None) -> Plan:
        """The plan of these papers, or of all; raises ConfigError."""
        from wiregrad.core.validation import read_yaml
        from wiregrad.studies.plan import load_plan

        extra: dict[str, Any] = {}
        for path in self.methods:
            extra |= read_yaml(path)
        return load_plan(self.scale, self.config_dir, papers, self.results, extra)

    def load_results(self, papers: list[str] | None = None) -> Plan:
        """As `load`, for what reads histories; raises ConfigError where there is no folder."""
        plan = self.load(papers)
        folder = self.results / self.scale
        if not folder.is_dir():
            raise ConfigError(f"--results {self.results}: there is no folder {folder}")
        return plan


@dataclass(frozen=True, kw_only=True)
class ScaleOptions(PlanOptions):
    """The same options, of which the scale must be given."""

    scale: Scale = field()  # no default


@dataclass(frozen=True, kw_only=True)
class GroupOptions(ScaleOptions):
    """One label in one experiment."""

    paper: Annotated[str, typer.Option(help="A paper of config/papers/.")]
    experiment: Annotated[str, typer.Option(help="An experiment of the paper.")]
    label: Annotated[str, typer.Option(help="A label of config/methods.yaml.")]

    def group(self) -> Group:
        """The group of runs; raises ConfigError."""
        return self.load([self.paper]).group(self.paper, self.experiment, self.label)


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """How runs are executed; nothing here changes their numbers."""

    device: Device = "auto"
    checkpoint: Checkpoint = 60.0
    processes: Processes = "1"


def bundled(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of its dataclass parameters as options of their own.

    Typer sees the options, the command gets the dataclasses.
    """
    options: list[inspect.Parameter] = []
    bundles: dict[str, type] = {}
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind):
            bundles[parameter.name] = kind  # type: ignore[assignment]  # a class, by its hint
            options += _options(kind)  # type: ignore[arg-type]
        else:
            keyword = inspect.Parameter.KEYWORD_ONLY
            options.append(parameter.replace(annotation=kind, kind=keyword))

    @wraps(command)
    def call(**values: Any) -> None:
        for name, kind in bundles.items():
            values[name] = kind(**{each.name: values.pop(each.name) for each in fields(kind)})
        command(**values)

    call.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in options}
    return call


def _options(bundle: type) -> list[inspect.Parameter]:
    """The fields of a dataclass as parameters."""
    hints = get_type_hints(bundle, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[each.name],
            default=_default(each),
        )
        for each in fields(bundle)
    ]


def _default(each: Any) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return inspect.Parameter.empty if each.default is MISSING else each.default
