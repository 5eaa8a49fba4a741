"""``retro-gamer check``: play a game at random first, tell what it is like, and write its description."""

from __future__ import annotations

import dataclasses
import json
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retro_gamer.cli.commands.options import Debug
from retro_gamer.errors import printable

if TYPE_CHECKING:
    from retro_gamer.cli.display.check_text import Check
    from retro_gamer.games.description import GameMetadata
    from retro_gamer.games.probe.findings import ProbeFindings

Game = Annotated[
    str,
    typer.Argument(
        metavar="GAME", show_default=False, help="A module such as retro.examples.snake, a file, or a folder."
    ),
]
Write = Annotated[bool, typer.Option("--write", help="Put what the description lacks into the game's pyproject.toml.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Turns = Annotated[int, typer.Option("--turns", metavar="N", min=1, max=10_000_000, help="Random turns to play.")]
Seconds = Annotated[
    float, typer.Option("--seconds", metavar="S", min=0.1, max=3600, help="Longest time to play, and to try keys.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Seed of the first game.")]


def check(
    game: Game,
    write: Write = False,
    as_json: Json = False,
    turns: Turns = 4000,
    seconds: Seconds = 3.0,
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Find out what a game is like, and describe it.

    The game is played at random; it needs no description yet, and no change.
    """
    from retro_gamer.cli.display.check_text import to_json, to_lines
    from retro_gamer.games.description import complete_description, find_description_file
    from retro_gamer.run.files import write_atomic
    from retro_gamer.training.planning.measurements import count_cpus

    with _progress(as_json) as report:
        done = check_game(game, turns=turns, seconds=seconds, seed=seed, n_processes=count_cpus(), report=report)
    written: list[str] = []
    path: Path | None = None
    if write:
        path = find_description_file(_source_of(game))
        text, written = complete_description(path, done.suggested)
        if written:
            write_atomic(path, text.encode())
    if as_json:
        told = {**to_json(done), "written": None if path is None else {"path": str(path), "fields": written}}
        typer.echo(json.dumps(told, indent=2))
    else:
        typer.echo(printable("\n".join([*to_lines(done), "", *_advise(done, game, path, written)])))
    if done.problems:
        raise typer.Exit(1)


def check_game(
    game: str,
    *,
    turns: int,
    seconds: float,
    seed: int,
    n_processes: int,
    report: Callable[[int], None],
    with_cost: bool = True,
) -> Check:
    """Return all that is found out about a game; with no processes, in this one, and without cost if so asked.

    Raises:
        GameNotFoundError, ConfigurationError
        GameFailedError: if the game cannot be started.
    """
    from retro_gamer.cli.display.check_text import Check
    from retro_gamer.games.probe.findings import suggest_description
    from retro_gamer.games.probe.key_trial import ProbePlan
    from retro_gamer.games.probe.workers import find_game, play_everywhere, play_here
    from retro_gamer.training.planning.measurements import estimate_cost

    started = time.monotonic()
    source, found = find_game(game)
    described = {} if found is None else dict(found.values)
    player = described.get("player")
    plan = ProbePlan(
        source=source,
        player=player if isinstance(player, str) else None,
        actions=_usable_actions(described),
        seed=seed,
        turns=turns,
        play_seconds=seconds,
        key_seconds=seconds,
    )
    findings = play_everywhere(plan, n_processes, report) if n_processes else play_here(plan, report)
    suggested = suggest_description(findings, described)
    problems = _find_problems(described, suggested, findings)
    metadata = None if problems else _complete(described, suggested, findings)
    return Check(
        game=source.label,
        findings=findings,
        described=described,
        origin=None if found is None else found.origin,
        suggested=suggested,
        problems=tuple(problems),
        cost=None if metadata is None or not with_cost else estimate_cost(metadata, source, findings),
        seconds=time.monotonic() - started,
    )


def _usable_actions(described: Mapping[str, Any]) -> tuple[str, ...]:
    from retro_gamer.games.validation import find_field_problems

    actions = described.get("actions", ())
    return () if find_field_problems("actions", actions) else tuple(actions)


def _find_problems(described: Mapping[str, Any], suggested: Mapping[str, Any], findings: ProbeFindings) -> list[Any]:
    """Return what is wrong with a description, by itself and held against the game.

    One without actions is taken for the beginning of one: only the fields it has are looked at.
    """
    from retro_gamer.games.description import GameMetadata
    from retro_gamer.games.game_rules import find_problems_against
    from retro_gamer.games.probe.findings import rank_rewards
    from retro_gamer.games.validation import assignment, find_problems

    is_whole = "actions" in described
    values = dict(described) if is_whole else {**suggested, **described}
    problems = find_problems(values)
    if not problems:
        state = {name: key.low if key.is_number else "text" for name, key in findings.state.items()}
        metadata = GameMetadata.from_mapping(values, "the description")
        problems = find_problems_against(metadata, state, findings.agents)
        reward = assignment("reward", rank_rewards(findings)[0])
        problems = [dataclasses.replace(p, remedy=reward) if p.field == "reward" else p for p in problems]
    return problems if is_whole else [problem for problem in problems if problem.field in described]


def _complete(
    described: Mapping[str, Any], suggested: Mapping[str, Any], findings: ProbeFindings
) -> GameMetadata | None:
    """Return the description as it will be, None if even then no network can be built for it."""
    from retro_gamer.games.description import GameMetadata
    from retro_gamer.games.validation import find_problems

    values = {**suggested, **described}
    if find_problems(values) or not values.get("character_set"):
        return None
    metadata = GameMetadata.from_mapping(values, "the description")
    size = findings.view_size if metadata.sees_view else findings.board_size
    return dataclasses.replace(metadata, board_size=size)


def _advise(done: Check, game: str, path: Path | None, written: list[str]) -> list[str]:
    """Return what to type next."""
    from retro_gamer.games.loading.find import SECTION
    from retro_gamer.toml import to_toml

    typed = shlex.quote(game)
    create = ["Next:", "", f"    retro-gamer create --game {typed} --output runs/{_run_name(done.game)}"]
    if done.problems:
        create = [f"Mend the description, then look again: retro-gamer check {typed}"]
    if path is not None:
        what = f"Wrote {', '.join(written)} into {path}." if written else f"{path} lacks nothing; it stays as it is."
        return [what, "", *create]
    if not done.suggested:
        return create
    lines = [f"    {name} = {to_toml(value)}" for name, value in done.suggested.items()]
    return [
        "The description could be completed so:" if done.described else "A description could be:",
        "",
        f"    [{SECTION}]",
        *lines,
        "",
        f"Write it into the game's pyproject.toml with: retro-gamer check {typed} --write",
    ]


def _run_name(label: str) -> str:
    name = Path(label).stem if "/" in label else label.rpartition(".")[2]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "game"


def _source_of(game: str) -> Any:
    from retro_gamer.games.loading.find import find_source

    return find_source(game)


def _progress(quiet: bool) -> Any:
    """Return a context that shows how many turns have been played, on a terminal."""
    import contextlib

    from rich.console import Console

    @contextlib.contextmanager
    def show() -> Any:
        console = Console(stderr=True, highlight=False)
        if quiet or not console.is_terminal:
            yield lambda turns: None
            return
        with console.status("Starting the game") as status:
            yield lambda turns: status.update(f"Playing at random: {turns:,} turns")

    return show()
