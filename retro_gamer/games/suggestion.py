"""A description for a game, suggested by what playing it has shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from retro_gamer.games.board import LARGEST_CHARACTER_COUNT
from retro_gamer.games.probe.findings import Findings
from retro_gamer.games.probe.key_scan import ARROWS
from retro_gamer.games.validation import END, SIGNALS, TURNS

_SCORE_NAMES = ("reward", "score", "points", "coins", "gold", "money", "apples", "level", "distance", "kills", "wins")
_LOSS_NAMES = ("lost", "loss", "miss", "death", "damage", "error", "penalty", "wrong", "danger", "fail")
_WORDS_OF_ENDS = ("win", "won", "victory", "lose", "lost", "game over", "dead", "died")
_FEWEST_TRIALS = 3
_NEARLY_ALL = 0.95
VIEW_PAYS = 4
"""The window is recommended where the board has at least so many times its cells."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyVerdict:
    """What trying the keys has shown."""

    effective: tuple[str, ...]
    """Those that changed something, in the order of the code."""
    idle: tuple[str, ...]
    """Those the code names that never changed anything."""
    same: tuple[tuple[str, ...], ...]
    """Groups of keys that always did the same."""
    quitting: tuple[str, ...]
    """Those that ended the game whenever they did anything."""
    tried: bool
    """False if keys could not be tried: then the code alone speaks."""


def judge_keys(findings: Findings) -> KeyVerdict:
    """Return what is to be thought of each key."""
    shown = set(findings.characters)
    listened = [key for key in findings.listened if len(key) > 1 or key not in shown or _did_something(findings, key)]
    if not findings.keys:
        return KeyVerdict(effective=tuple(listened), idle=(), same=(), quitting=(), tried=False)
    order = list(dict.fromkeys((*listened, *findings.keys)))
    effective = tuple(key for key in order if _did_something(findings, key))
    quitting = tuple(
        key
        for key in effective
        if findings.keys[key].ended == findings.keys[key].changed and findings.keys[key].changed > 2
    )
    return KeyVerdict(
        effective=effective,
        idle=tuple(key for key in listened if key in findings.keys and not _did_something(findings, key)),
        same=_find_same(findings, effective),
        quitting=quitting,
        tried=True,
    )


def suggest_actions(findings: Findings) -> list[str]:
    """Return the keys worth pressing: one of each that do the same, none that only ends the game."""
    verdict = judge_keys(findings)
    doubles = {key for group in verdict.same for key in group[1:]}
    keys = [key for key in verdict.effective if key not in doubles and key not in verdict.quitting]
    return keys or list(findings.listened) or list(ARROWS)


def rank_rewards(findings: Findings) -> list[str]:
    """Return the candidates for `reward`, the best first; last the signals and what grows with losing."""
    numbers = [
        name for name, key in findings.state.items() if key.is_number and key.changes and not _is_clock(findings, name)
    ]
    numbers.sort(key=lambda name: (_score_rank(name), -findings.state[name].changes, name))
    clocks = [
        name for name, key in findings.state.items() if key.is_number and key.changes and _is_clock(findings, name)
    ]
    growing = [name for name in clocks if max(findings.state[name].steady_steps) > 0]
    named = [name for name in growing if _score_rank(name) < len(_SCORE_NAMES)]
    said = " ".join(findings.messages_at_end).casefold()
    signals = [END, TURNS] if any(word in said for word in _WORDS_OF_ENDS) else [TURNS, END]
    scores = [name for name in numbers if _score_rank(name) < len(_SCORE_NAMES)]
    others = [name for name in numbers if name not in scores and not _tells_of_loss(name)]
    losses = [name for name in numbers if name not in scores and _tells_of_loss(name)]
    return [*scores, *named, *others, *signals, *losses]


def suggest_description(findings: Findings, described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a description that `described` lacks and the game needs or gains from."""
    reward = described.get("reward")
    known = findings.state.get(reward) if isinstance(reward, str) else None
    if reward not in SIGNALS and (known is None or not known.is_number):
        reward = rank_rewards(findings)[0]
    observed = [
        name
        for name, key in findings.state.items()
        if key.is_number and key.changes and name != reward and not _is_clock(findings, name)
    ]
    suggested: dict[str, Any] = {
        "actions": suggest_actions(findings),
        "reward": reward,
        "character_set": sorted(c for c, _ in findings.characters.most_common(LARGEST_CHARACTER_COUNT)),
        "spatial": True,
        "observe_state": observed,
    }
    if findings.movers:
        suggested["player"] = findings.movers[0]
    if view_pays(findings):
        suggested["observe"] = "view"
    return {name: value for name, value in suggested.items() if name not in described and value != []}


def view_pays(findings: Findings) -> bool:
    """Return whether the board is many times larger than the window that a player sees of it."""
    (width, height), (columns, rows) = findings.board_size, findings.view_size
    return width * height >= VIEW_PAYS * columns * rows


def _did_something(findings: Findings, key: str) -> bool:
    return key in findings.keys and findings.keys[key].changed > 0


def _find_same(findings: Findings, effective: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for key in effective:
        if len(findings.keys[key].outcomes) >= _FEWEST_TRIALS:
            groups.setdefault(tuple(sorted(findings.keys[key].outcomes.items())), []).append(key)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _is_clock(findings: Findings, name: str) -> bool:
    """Return whether a number grew, or fell, by one and the same amount in nearly every turn: it counts turns."""
    key = findings.state[name]
    return len(key.steady_steps) == 1 and key.changes > _NEARLY_ALL * findings.turns


def _score_rank(name: str) -> int:
    """Return the place of the first usual name of a score that `name` contains, the number of such names if none."""
    lower = name.casefold()
    return next((place for place, usual in enumerate(_SCORE_NAMES) if usual in lower), len(_SCORE_NAMES))


def _tells_of_loss(name: str) -> bool:
    """Return whether a key by its name counts what a player avoids: as a reward it would teach losing."""
    return any(usual in name.casefold() for usual in _LOSS_NAMES)
