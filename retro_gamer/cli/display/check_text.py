"""The report of `check`, as text and as JSON."""

from __future__ import annotations

import dataclasses
import difflib
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from retro_gamer.cli.display.numbers import count, number
from retro_gamer.errors import Problem, quoted
from retro_gamer.games.loading.keys import format_keys
from retro_gamer.games.probe.findings import (
    KeyVerdict,
    ProbeFindings,
    StateKey,
    can_tell,
    judge_keys,
    pays,
    rank_rewards,
    view_pays,
)
from retro_gamer.games.rewards import compared_key
from retro_gamer.games.validation import SIGNALS
from retro_gamer.training.planning.measurements import Cost

MOST_LISTED = 12
ENOUGH_TURNS = 100
"""With fewer random turns, a value that did not change means nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Everything that `check` reports about a game."""

    game: str
    findings: ProbeFindings
    described: Mapping[str, Any]
    """The game's description; empty if it has none."""
    origin: str | None
    """Where the description was found."""
    proposed: Mapping[str, Any]
    """Values for the fields that the description lacks."""
    problems: tuple[Problem, ...]
    obstacles: tuple[str, ...] = ()
    """What must be settled before the game can be trained (see `find_obstacles`)."""
    cost: Cost | None
    seconds: float
    notes: tuple[str, ...] = ()
    """Remarks on where the description comes from."""
    is_of_another: bool = False
    """Whether the section that was found seems to describe another game. `described` is then empty."""


def to_json(check: CheckReport) -> dict[str, Any]:
    """Return the report in plain JSON types."""
    findings, verdict = check.findings, judge_keys(check.findings)
    return {
        "game": check.game,
        "starts": findings.how,
        "board_size": list(findings.board_size),
        "view_size": list(findings.view_size),
        "characters": sorted(findings.characters),
        "player": findings.player,
        "state": {name: _key_json(key, findings.turns) for name, key in findings.state.items()},
        "rewards": rank_rewards(findings),
        "paid": {name: _pay_json(pays(findings, name)) for name in rank_rewards(findings)},
        "keys": {
            "listened": findings.keys_in_code,
            "pressed": len(findings.swept),
            "errors": findings.failing_keys,
            **dataclasses.asdict(verdict),
        },
        "episodes": findings.episodes,
        "turns": findings.turns,
        "episode_turns": {
            "ended": len(findings.episode_turns),
            "cut_short": findings.cut_short,
            "median": statistics.median(findings.episode_turns) if findings.episode_turns else None,
            "longest": max(findings.episode_turns, default=None),
        },
        "failures": [dataclasses.asdict(failure) for failure in findings.failures],
        "failed_games": findings.n_failures,
        "repeats_for_a_seed": findings.repeats,
        "ignores_seed": findings.ignores_seed,
        "compared": {"games": findings.compared_games, "longest_turns": findings.compared_turns},
        "shares": findings.sharing,
        "turns_per_second": round(findings.turns_per_second),
        "start_seconds": findings.start_seconds,
        "cost": None if check.cost is None else dataclasses.asdict(check.cost),
        "described": dict(check.described),
        "suggested": dict(check.proposed),
        "problems": [{"field": p.field, "value": quoted(p.value), "rule": p.rule} for p in check.problems],
        "obstacles": list(check.obstacles),
        "remarks": list(find_remarks(check)),
        "seconds": round(check.seconds, 1),
    }


def to_lines(check: CheckReport) -> Iterator[str]:
    """Yield the lines of the report."""
    findings = check.findings
    yield f"Checked {check.game}"
    yield from (f"Error: {obstacle}" for obstacle in check.obstacles)
    for name, text in _facts(check):
        yield f"  {name:<12} {text}"
    remarks = list(find_remarks(check))
    if remarks:
        yield ""
        yield from (f"! {remark}" for remark in remarks)
    if check.problems:
        yield ""
        yield f"Problems in {check.origin}:"
        yield from (f"  {problem}" for problem in check.problems)
    if findings.failures:
        yield ""
        yield f"{count(findings.n_failures, 'game')} failed, for example:"
        for failure in findings.failures:
            yield f"  seed {failure.seed}, turn {failure.turn}: {failure.text}"


def find_obstacles(findings: ProbeFindings, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a game with the description `values` cannot be trained, or not to any purpose."""
    if findings.mostly_fails:
        played = count(findings.episodes + findings.n_failures, "game")
        yield f"{findings.n_failures:,} of {played} failed, for example: {findings.failures[0].text}"
        return
    if "actions" not in values:
        tried = f"none of the {len(findings.swept)} keys that were pressed changed anything"
        what = tried if findings.swept else "the keys could not be tried, and the code names none"
        yield f'no key was found: {what}. Name the keys in the description, as in actions = ["a", "d"].'
    if "reward" not in values:
        yield (
            "no reward was found that tells a good game from a bad one: "
            + "; ".join(f'"{name}" {describe_pay(findings, name)}' for name in rank_rewards(findings)[:4])
            + ". Let the game count a score in its state, or end when the player fails. To train it all the same, "
            'write a reward into the description, as in reward = "@turns".'
        )


def describe_pay(findings: ProbeFindings, reward: str) -> str:
    """Return what a reward would have paid in the worst and the best of the random games."""
    paid = pays(findings, reward)
    if not paid:
        return "paid nothing, because no game ended"
    if min(paid) == max(paid):
        return f"paid {number(paid[0])} in " + ("the only game" if len(paid) == 1 else f"each of {len(paid):,} games")
    return f"paid {number(min(paid))} in the worst and {number(max(paid))} in the best of {len(paid):,} games"


def _pay_json(paid: list[float]) -> dict[str, Any]:
    return {"worst": min(paid, default=None), "best": max(paid, default=None), "games": len(paid)}


def find_remarks(check: CheckReport) -> Iterator[str]:
    """Yield remarks on what the user should know or change."""
    yield from check.notes
    findings, described = check.findings, check.described
    yield from _remarks_on_keys(findings, described)
    yield from _remarks_on_reward(findings, described.get("reward"))
    yield from _remarks_on_end(described.get("end"), findings)
    known = described.get("character_set")
    unknown = sorted(set(findings.characters) - set(known)) if isinstance(known, list) else []
    if unknown:
        yield (
            f"The board also showed {' '.join(unknown[:MOST_LISTED])}, missing from character_set: the agent sees "
            "empty cells there."
        )
    if view_pays(findings) and described.get("observe", "board") != "view":
        yield (
            f"The board has {_size(findings.board_size)} cells and a player sees {_size(findings.view_size)} of them: "
            'observe = "view" trains much faster.'
        )
    yield from _remarks_on_repeating(findings)


def _remarks_on_keys(findings: ProbeFindings, described: Mapping[str, Any]) -> Iterator[str]:
    verdict, actions = judge_keys(findings), described.get("actions", ())
    if not verdict.tried:
        return
    idle = [key for key in actions if key in findings.keys and key not in verdict.effective]
    if idle:
        yield f"actions: {format_keys(idle)} never changed anything in {findings.keys[idle[0]].tries} tries."
    unproven = [key for key in verdict.unproven if key not in idle]
    if unproven:
        yield f"The code names {format_keys(unproven)}, but no effect was found. Actions keep such keys."
    for group in verdict.same:
        if not described or sum(key in actions for key in group) > 1:
            yield f"The keys {format_keys(group)} always did the same; one of them is enough."
    if verdict.quitting:
        yield f"{format_keys(verdict.quitting)} only ended the game."
    if verdict.failing:
        more = f" and {len(verdict.failing) - 1} other keys" if len(verdict.failing) > 1 else ""
        error = findings.failing_keys[verdict.failing[0]]
        yield f"The game fails when {format_keys(verdict.failing[:1])}{more} are pressed: {error}"


def _remarks_on_reward(findings: ProbeFindings, reward: Any) -> Iterator[str]:
    steady = isinstance(reward, str) and reward in findings.state and not findings.state[reward].changes
    if steady and findings.turns >= ENOUGH_TURNS:
        yield (
            f'reward = "{reward}" did not change in {findings.turns:,} random turns. Consider a signal instead: '
            '"@turns" (each turn survived) or "@end" (how the game ends).'
        )
    elif reward in SIGNALS and not findings.episode_turns:
        yield f'reward = "{reward}" needs games that end, but none of {findings.cut_short} did.'
    elif not steady and isinstance(reward, str) and findings.games and not can_tell(findings, reward):
        yield f'reward = "{reward}" cannot tell a good game from a bad one: it {describe_pay(findings, reward)}.'


def _remarks_on_end(end: Any, findings: ProbeFindings) -> Iterator[str]:
    for condition in end if isinstance(end, Mapping) else ():
        key = compared_key(condition)
        if key is not None and key not in findings.state:
            near = difflib.get_close_matches(key, findings.state, n=1)
            yield (
                f"end: {quoted(condition)} names no key of the game's state, so it is taken for a text that it shows."
                + (f" Did you mean {near[0]}?" if near else "")
            )


def _remarks_on_repeating(findings: ProbeFindings) -> Iterator[str]:
    if findings.repeats is None and not findings.n_failures:
        yield (
            f"Building the game takes {findings.start_seconds:.1f} seconds, so its keys were not tried and its speed "
            f"was not measured. This report is based on {count(findings.turns, 'turn')} of "
            f"{count(findings.episodes, 'game')}. Every episode takes that long before its first turn."
        )
    if findings.repeats is False:
        yield (
            "Two games with the same seed differed: the game depends on the clock, on threads, or on a random "
            "generator of its own. It can be trained, but runs are not repeatable, and its keys could not be tried."
        )
    if findings.ignores_seed:
        compared = f"{count(findings.compared_games, 'game')} of up to {count(findings.compared_turns, 'turn')}"
        yield (
            f"Games with different seeds were identical under the same keys ({compared} were compared): the game does "
            "not seem to use chance."
        )
    if findings.sharing is not None:
        yield f"Each actor will play one game at a time, because {findings.sharing}."


def _facts(check: CheckReport) -> Iterator[tuple[str, str]]:
    findings = check.findings
    characters = sorted(findings.characters)
    yield "starts", f"by {findings.how}, in {findings.start_seconds * 1000:.3g} ms"
    window = "" if findings.view_size == findings.board_size else f", of which {_size(findings.view_size)} are visible"
    yield "board", f"{_size(findings.board_size)} cells{window}"
    yield "characters", (" ".join(characters[:40]) or "none") + (" …" if len(characters) > 40 else "")
    player = findings.movers[0] if findings.movers else findings.player
    yield "player", player or "none found: the agent observes the whole board"
    yield "keys", _describe_keys(judge_keys(findings), len(findings.swept))
    for i, (name, key) in enumerate(findings.state.items()):
        if i < MOST_LISTED:
            yield ("state" if not i else "", f"{quoted(name, 30)}: {_describe_key(key, findings.turns)}")
    if not findings.state:
        yield "state", "empty"
    for i, name in enumerate(rank_rewards(findings)[:4]):
        pay = describe_pay(findings, name)
        yield "" if i else "reward", f'"{name}" {pay}' + ("" if can_tell(findings, name) else "; tells nothing")
    yield "episodes", _describe_episodes(findings)
    if findings.mostly_fails:
        return
    yield "speed", f"{number(findings.turns_per_second)} turns per second and process, without training"
    if check.cost is not None:
        cost = check.cost
        memory = f"{cost.memory_bytes / 2**20:,.0f} MB of replay memory"
        yield "network", f"{cost.inputs:,} inputs, {cost.weights:,} weights; {memory}"
        episodes = "the default 1,000 episodes of this length"
        yield "training", f"about {_minutes(cost.seconds)} on this machine for {episodes}"
    yield "description", check.origin or "none yet"


def _describe_keys(verdict: KeyVerdict, n_pressed: int) -> str:
    if not verdict.tried:
        return f"{format_keys(verdict.effective) or 'none'} named in the code (not tried)"
    idle = [key for key in verdict.idle if key not in verdict.unproven]
    never = f"; {format_keys(idle)} never did" if idle else ""
    unproven = f"; {format_keys(verdict.unproven)} unproven" if verdict.unproven else ""
    return f"{format_keys(verdict.effective) or 'none'} changed something{unproven}{never} ({n_pressed} were pressed)"


def _describe_key(key: StateKey, turns: int) -> str:
    kind = "/".join(sorted(key.types))
    if key.low is None or key.values:
        return f"{kind}, such as {', '.join(key.values[:3])}; changed in {key.changes:,} of {turns:,} turns"
    return f"{kind}, {number(key.low)} to {number(key.high or 0.0)}; changed in {key.changes:,} of {turns:,} turns"


def _describe_episodes(findings: ProbeFindings) -> str:
    ended = findings.episode_turns
    if not ended:
        return f"none of {findings.cut_short} ended within the {findings.turns:,} turns played"
    longest = f"median {statistics.median(ended):g} turns, longest {max(ended):,}"
    return f"{len(ended):,} random games ended ({longest}); {findings.cut_short:,} cut short"


def _key_json(key: StateKey, turns: int) -> dict[str, Any]:
    return {
        "types": sorted(key.types),
        "low": key.low,
        "high": key.high,
        "values": key.values,
        "changes": key.changes,
        "changes_per_turn": key.changes / turns if turns else None,
    }


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:,.0f} minutes"
