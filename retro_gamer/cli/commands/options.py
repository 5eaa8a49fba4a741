"""Options that several commands share, and one option for each hyperparameter."""

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
    """What the options of the command tell the code around it."""

    debug: bool = False


def _note_debug(ctx: typer.Context, wanted: bool) -> bool:
    if wanted and isinstance(ctx.obj, Invocation):
        ctx.obj.debug = True
    return wanted


Debug = Annotated[
    bool, typer.Option("--debug", callback=_note_debug, is_eager=True, help="Show the traceback of an error.")
]
RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", show_default=False, help="Directory of the training run.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint", metavar="NAME", show_default=False,
        help="Name of a checkpoint (ep_0100, latest) or its path within checkpoints/. Default: final, else the latest.",
    ),
]  # fmt: skip


def with_setting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with one option for each hyperparameter. It receives those typed as the dict `settings`."""

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
    metavar = "|".join(declared.choices) or {int: "N", float: "F"}.get(declared.kind)
    permitted = "" if declared.kind is bool or declared.choices else declared.range
    values = "; ".join(filter(None, [declared.unit, permitted, f"default {to_toml(declared.default)}"]))
    option = typer.Option(spelling, metavar=metavar, help=f"{declared.help} ({values})", show_default=False)
    annotation = Annotated[declared.kind | None, option]  # type: ignore[name-defined]
    return inspect.Parameter(declared.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


Resume = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="CHECKPOINT", show_default=False,
        help="Continue from this checkpoint: a path, or a name such as ep_0300 or latest.",
    ),
]  # fmt: skip
Actors = Annotated[
    int | None,
    typer.Option(
        "--actors", metavar="N", min=0, max=10_000, show_default=False,
        help="Actor processes. 0 plays in this process; the same seed then gives the same result. "
        "Default: chosen to suit the machine and the game.",
    ),
]  # fmt: skip
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes", metavar="M", show_default=False, help="Stop after M minutes; unfinished games are dropped."
    ),
]
Retries = Annotated[
    int, typer.Option("--retries", metavar="N", min=0, help="How often a lost learner is restarted on a cluster.")
]
LearnerCpus = Annotated[
    int | None,
    typer.Option(
        "--learner-cpus", metavar="N", min=1, show_default=False,
        help="CPUs reserved for the learner on a cluster. Default: half of the largest node, at most 4; 1 with --gpus.",
    ),
]  # fmt: skip
Gpus = Annotated[
    int, typer.Option("--gpus", metavar="N", min=0, max=1, help="GPUs reserved for the learner on a cluster.")
]
WaitSeconds = Annotated[
    float,
    typer.Option("--wait-seconds", metavar="S", min=1, help="Seconds to wait for a node that can take the learner."),
]
StorageUri = Annotated[
    str | None,
    typer.Option(
        "--storage", metavar="URI", show_default=False,
        help="Copy the run there during training: a shared folder, s3://bucket/path, or any other fsspec URI.",
    ),
]  # fmt: skip
