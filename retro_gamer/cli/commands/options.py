"""Options that several commands share, and those made from the declarations of the hyperparameters."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from retro_gamer.hyperparameters import SETTINGS, Setting
from retro_gamer.toml import to_toml


@dataclasses.dataclass
class Invocation:
    """What is known about the command being run once its options are read."""

    debug: bool = False


def _note_debug(ctx: typer.Context, wanted: bool) -> bool:
    if wanted and isinstance(ctx.obj, Invocation):
        ctx.obj.debug = True
    return wanted


Debug = Annotated[
    bool, typer.Option("--debug", callback=_note_debug, is_eager=True, help="Show the traceback of an error.")
]
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", show_default=False, help="Directory of the training run.")]

_METAVARS: dict[type, str] = {int: "N", float: "F"}


def with_setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with one option for each hyperparameter; those typed reach it as the dict `settings`."""

    def with_settings(**values: Any) -> None:
        typed = {name: value for name in SETTINGS if (value := values.pop(name)) is not None}
        command(**values, settings=typed)

    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
    parameters = [*own, *(_make_parameter(declared) for declared in SETTINGS.values())]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    with_settings.__name__ = command.__name__
    with_settings.__doc__ = command.__doc__
    with_settings.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    with_settings.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword_only}
    return with_settings


def _make_parameter(declared: Setting) -> inspect.Parameter:
    spelling = f"{declared.option}/--no-{declared.option[2:]}" if declared.kind is bool else declared.option
    option = typer.Option(
        spelling,
        metavar="|".join(declared.choices) or _METAVARS.get(declared.kind),
        help=f"{declared.help} ({describe_values(declared)})",
        show_default=False,
    )
    annotation = Annotated[declared.kind | None, option]  # type: ignore[name-defined]
    return inspect.Parameter(declared.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def describe_values(declared: Setting) -> str:
    """Return unit, range and default of a hyperparameter in words."""
    permitted = "" if declared.kind is bool or declared.choices else declared.range
    parts = [declared.unit, permitted, f"default {to_toml(declared.default)}"]
    return "; ".join(part for part in parts if part)


RETRIES = 3
WAIT_SECONDS = 300.0

Retries = Annotated[
    int,
    typer.Option("--retries", metavar="N", min=0, help="How often a learner that was lost on a cluster is replaced."),
]
LearnerCpus = Annotated[
    int | None,
    typer.Option(
        "--learner-cpus", metavar="N", min=1, show_default=False,
        help="CPUs reserved for the learner on a cluster. Default: half of the largest node, at most 4; 1 with --gpus.",
    ),
]  # fmt: skip
Gpus = Annotated[int, typer.Option("--gpus", metavar="N", min=0, max=1, help="GPUs reserved for the learner.")]
WaitSeconds = Annotated[
    float,
    typer.Option("--wait-seconds", metavar="S", min=1, help="How long to wait for a node with room for the learner."),
]
StorageUri = Annotated[
    str | None,
    typer.Option(
        "--storage", metavar="URI", show_default=False,
        help="Keep a copy of the run there as it grows: a shared folder, s3://bucket/path, or what else fsspec knows.",
    ),
]  # fmt: skip
JobAddress = Annotated[
    str,
    typer.Option(
        "--address", metavar="URL", show_default=False, help="The cluster's dashboard, such as http://HEAD:8265."
    ),
]
