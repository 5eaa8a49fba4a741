"""``retro-gamer check``: probe a game by playing it at random, report the findings, and write its description."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retro_gamer.cli.commands.options import Debug, Json
from retro_gamer.errors import printable

if TYPE_CHECKING:
    from retro_gamer.cli.display.check_text import CheckReport
    from retro_gamer.games.description import FoundDescription, GameMetadata
    from retro_gamer.games.loading.find import GameSource
    from retro_gamer.games.probe.findings import ProbeFindings

Game = Annotated[
    str,
    typer.Argument(
        metavar="GAME", show_default=False, help="A module such as retro.examples.snake, a file, or a folder."
    ),
]
Write = Annotated[bool, typer.Option("--write", help="Add the missing fields to the game's pyproject.toml.")]
Turns = Annotated[int, typer.Option("--turns", metavar="N", min=1, max=10_000_000, help="Random turns to play.")]
Seconds = Annotated[
    float,
    typer.Option(
        "--seconds",
        metavar="S",
        min=0.1,
        max=3600,
        help="Time limit for playing, and again (as processor time) for trying keys and for comparing seeds.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of the first game.")]

_SLOW_BUILD_SECONDS = 4.0
_BUILDING = "Building the first game"


def check(
    game: Game,
    write: Write = False,
    as_json: Json = False,
    turns: Turns = 4000,
    seconds: Seconds = 3.0,
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Inspect a game and propose its description.

    Plays the game at random. The game needs neither a description nor any change.
    """
    from retro_gamer.cli.display.check_text import to_json, to_lines
    from retro_gamer.games.description import complete_description, find_description_place
    from retro_gamer.games.loading.find import find_source
    from retro_gamer.run.files import write_atomic
    from retro_gamer.training.planning.measurements import count_cpus

    with _progress(as_json) as report:
        found = check_game(game, turns=turns, seconds=seconds, seed=seed, n_processes=count_cpus(), report=report)
    written: list[str] = []
    path: Path | None = None
    if write and not found.obstacles:
        place = find_description_place(find_source(game), of_its_own=found.is_of_another)
        path = place.path
        text, written = complete_description(place, found.proposed)
        if written:
            write_atomic(path, text.encode())
            found = dataclasses.replace(found, problems=() if found.is_of_another else found.problems)
    if as_json:
        values = {**to_json(found), "written": None if path is None else {"path": str(path), "fields": written}}
        typer.echo(json.dumps(values, indent=2))
    else:
        typer.echo(printable("\n".join([*to_lines(found), "", *_advise(found, game, path, written)])))
    if found.problems or found.obstacles:
        raise typer.Exit(1)


def check_game(
    game: str, *, turns: int, seconds: float, seed: int, n_processes: int, report: Callable[[int], None]
) -> CheckReport:
    """Probe a game and return the report.

    Raises:
        GameNotFoundError, ConfigurationError
        GameFailedError: if the game cannot be started.
    """
    from retro_gamer.games.probe.workers import find_game

    started = time.monotonic()
    source, description = find_game(game)
    check = functools.partial(
        _probe, turns=turns, seconds=seconds, seed=seed, n_processes=n_processes, report=report, started=started
    )
    found = check(source, description)
    if description is None or description.remark is None:
        return found
    reason = _find_mismatch(found)
    if reason is None:
        return dataclasses.replace(found, notes=(description.remark,))
    note = f"{description.origin} seems to be made for another game ({', '.join(description.shared_with)}): {reason}."
    own = check(dataclasses.replace(source, factory=None, answers=()), None)
    remedy = f"write a section for this game: retro-gamer check {shlex.quote(game)} --write"
    problems = tuple(dataclasses.replace(problem, remedy=remedy) for problem in found.problems)
    return dataclasses.replace(own, origin=found.origin, problems=problems, notes=(note,), is_of_another=True)


def _find_mismatch(found: CheckReport) -> str | None:
    """Return why a description seems to be made for another game, None if it suits this one."""
    from retro_gamer.games.loading.keys import format_keys
    from retro_gamer.games.probe.findings import judge_keys

    if found.problems:
        return f"{found.problems[0].field} {found.problems[0].rule}"
    observed, known = set(found.findings.characters), found.described.get("character_set")
    if isinstance(known, list) and observed - set(known) and set(known) - observed:
        return f"the board showed {' '.join(sorted(observed - set(known))[:5])}, which is missing from character_set"
    verdict, actions = judge_keys(found.findings), found.described.get("actions", ())
    if verdict.tried and verdict.effective and actions and not set(actions) & set(verdict.effective):
        return f"the game reacts to {format_keys(verdict.effective)}, not to {format_keys(actions)}"
    return None


def _probe(
    source: GameSource,
    description: FoundDescription | None,
    *,
    turns: int,
    seconds: float,
    seed: int,
    n_processes: int,
    report: Callable[[int], None],
    started: float,
) -> CheckReport:
    from retro_gamer.cli.display.check_text import CheckReport, find_obstacles
    from retro_gamer.games.probe.findings import propose_description
    from retro_gamer.games.probe.game_probe import ProbePlan
    from retro_gamer.games.probe.workers import probe_in_processes
    from retro_gamer.training.planning.measurements import estimate_cost

    described = {} if description is None else dict(description.values)
    player = described.get("player")
    plan = ProbePlan(
        source=source,
        player=player if isinstance(player, str) else None,
        actions=tuple(_usable(described, "actions") or ()),
        end=_usable(described, "end"),
        seed=seed,
        turns=turns,
        play_seconds=seconds,
        key_seconds=seconds,
    )
    findings = probe_in_processes(plan, n_processes, report)
    proposed = propose_description(findings, described)
    problems = _find_problems(described, proposed, findings)
    metadata = None if problems or findings.mostly_fails else _complete(described, proposed, findings)
    return CheckReport(
        game=source.label,
        findings=findings,
        described=described,
        origin=None if description is None else description.origin,
        proposed=proposed,
        problems=tuple(problems),
        obstacles=tuple(find_obstacles(findings, {**proposed, **described})),
        cost=None if metadata is None else estimate_cost(metadata, source, findings),
        seconds=time.monotonic() - started,
    )


def _usable(described: Mapping[str, Any], field: str) -> Any:
    """Return the value of a described field, None if it is missing or wrong."""
    from retro_gamer.games.validation import find_field_problems

    value = described.get(field)
    return None if value is None or find_field_problems(field, value) else value


def _find_problems(described: Mapping[str, Any], proposed: Mapping[str, Any], findings: ProbeFindings) -> list[Any]:
    """Return the problems of a description, by itself and in the game.

    A description without actions is taken for unfinished: only the fields it has are checked.
    """
    from retro_gamer.games.description import GameMetadata
    from retro_gamer.games.game_rules import find_problems_against
    from retro_gamer.games.probe.findings import rank_rewards
    from retro_gamer.games.validation import TURNS, assignment, find_problems

    is_whole = "actions" in described
    values = dict(described) if is_whole else {"actions": ["KEY_RIGHT"], "reward": TURNS, **proposed, **described}
    problems = find_problems(values)
    if not problems:
        state = {name: key.low if key.is_number else "text" for name, key in findings.state.items()}
        metadata = GameMetadata.from_mapping(values, "the description")
        problems = find_problems_against(metadata, state, findings.agents)
        reward = assignment("reward", rank_rewards(findings)[0])
        problems = [dataclasses.replace(p, remedy=reward) if p.field == "reward" else p for p in problems]
    return problems if is_whole else [problem for problem in problems if problem.field in described]


def _complete(
    described: Mapping[str, Any], proposed: Mapping[str, Any], findings: ProbeFindings
) -> GameMetadata | None:
    """Return the description with the proposed fields, or None if it is still too incomplete to build a network."""
    from retro_gamer.games.description import GameMetadata
    from retro_gamer.games.validation import find_problems

    values = {**proposed, **described}
    if find_problems(values) or not values.get("character_set"):
        return None
    metadata = GameMetadata.from_mapping(values, "the description")
    size = findings.view_size if metadata.sees_view else findings.board_size
    return dataclasses.replace(metadata, board_size=size)


def _advise(report: CheckReport, game: str, path: Path | None, written: list[str]) -> list[str]:
    """Return what was written or is proposed, and the command that may follow."""
    from retro_gamer.cli.display.check_text import describe_pay
    from retro_gamer.toml import to_toml

    name = shlex.quote(game)
    create = ["Next:", "", f"    retro-gamer create --game {name} --output runs/{_run_name(report.game)}"]
    if report.problems:
        create = [f"Fix the description, then run check again: retro-gamer check {name}"]
    if report.obstacles:
        return [f"Nothing was written. When this is fixed, run check again: retro-gamer check {name}"]
    if path is not None:
        what = f"Wrote {', '.join(written)} to {path}." if written else f"{path} is complete; nothing was changed."
        return [what, "", *create]
    if not report.proposed:
        return create
    return [
        "Proposed additions to the description:" if report.described else "Proposed description:",
        "",
        f"    {_heading_for(game, report)}",
        *(
            f"    {field} = {to_toml(value)}"
            + (f"  # {describe_pay(report.findings, value)}" if field == "reward" else "")
            for field, value in report.proposed.items()
        ),
        "",
        f"To write this to the game's pyproject.toml: retro-gamer check {name} --write",
    ]


def _heading_for(game: str, report: CheckReport) -> str:
    """Return the line above the proposed fields, also for an installed game, which is not described by a file."""
    from retro_gamer.errors import UsageError
    from retro_gamer.games.description import find_description_place
    from retro_gamer.games.loading.find import find_source
    from retro_gamer.games.loading.pyproject import SECTION, heading_of

    try:
        return heading_of(find_description_place(find_source(game), of_its_own=report.is_of_another).tables)
    except UsageError:
        return f"[{SECTION}]"


def _run_name(label: str) -> str:
    name = Path(label).stem if "/" in label else label.rpartition(".")[2]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "game"


@contextlib.contextmanager
def _progress(is_quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show on standard error that the game is being built if that takes long; on a terminal also the turns played."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if is_quiet or not console.is_terminal:
        timer = threading.Timer(_SLOW_BUILD_SECONDS, lambda: None if is_quiet else typer.echo(_BUILDING, err=True))
        timer.daemon = True
        timer.start()
        try:
            yield lambda turns: timer.cancel() if turns else None
        finally:
            timer.cancel()
        return
    with console.status(_BUILDING) as status:
        yield lambda turns: status.update(f"Playing at random: {turns:,} turns" if turns else "Trying keys")
