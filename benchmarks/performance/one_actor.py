"""One actor on one core, its blocks pushed into replay in the same process: turns a second, beside the bare game.

python -m benchmarks.performance.one_actor [--seconds 10]
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

from retro.input import ProgrammaticInput

from benchmarks.child import print_result
from benchmarks.performance.arguments import parse_settings
from benchmarks.performance.run_specs import SNAKE, make_learner, temporary_run_spec
from retro_gamer.acting.actor import Grant
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.keys import make_keystroke
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.learning import set_threads
from retro_gamer.training.planning.allocation import ServiceTimes, allocate
from retro_gamer.training.planning.run_spec import RunSpec

VARIANTS = {"greedy": (0.0, False), "random_uniform": (1.0, False), "random_prioritized": (1.0, True)}
"""Each variant's epsilon, and whether replay is prioritized."""
WARM_TURNS = 1000
PLAUSIBLE = ServiceTimes(turn=1e-4, update=5e-3)


def stay_on_one_core() -> None:
    """Keep this process on one core, where the system can do so."""
    set_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure_actor(run_spec: RunSpec, epsilon: float, seconds: float) -> dict[str, Any]:
    """Return the turns a second of one actor that plays and pushes as it does in a training with one actor."""
    plan = allocate(run_spec.settings, PLAUSIBLE, 2, 1)
    replay = run_spec.make_replay(0)
    actor = run_spec.make_actor(n_games=plan.games_per_actor, block_turns=plan.block_turns, seed=1)
    weights = make_learner(run_spec).publish()
    ticket = 0

    def play(turns: int) -> int:
        nonlocal ticket
        tickets = tuple(range(ticket, ticket + turns))
        ticket += turns
        grant = Grant(turns=turns, seconds=plan.grant_seconds, epsilon=epsilon, tickets=tickets)
        return actor.play(grant, weights, replay.push).turns

    play(WARM_TURNS)
    played, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        played += play(plan.grant_turns)
    return {"turns_per_second": played / (time.perf_counter() - started), "games": plan.games_per_actor}


def measure_bare_game(create_game: Callable[[], Any], keys: tuple[str, ...], seconds: float) -> float:
    """Return the turns a second of the game alone, without a view, random keys pressed, a new game after each."""
    pressed = [*map(make_keystroke, keys), None]
    source = _Pressed()
    choose = random.Random(1).choice
    turns, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        game = create_game()
        game.input_source = source
        game.start()
        while game.playing:
            source.key = choose(pressed)
            game.step()
            turns += 1
    return turns / (time.perf_counter() - started)


class _Pressed(ProgrammaticInput):
    """The cheapest input: the key is an object made before."""

    key: Any = None

    def collect(self) -> set[Any]:
        return set() if self.key is None else {self.key}


def main() -> None:
    given, settings = parse_settings(("--seconds", 10.0))
    stay_on_one_core()
    values: dict[str, Any] = {}
    for name, (epsilon, prioritized) in VARIANTS.items():
        with temporary_run_spec(SNAKE, **{**settings, "prioritize_experiences": prioritized}) as run_spec:
            values[name] = measure_actor(run_spec, epsilon, given.seconds)
            create_game, actions = load_factory(find_source(SNAKE)), run_spec.metadata.actions
    values["bare_turns_per_second"] = measure_bare_game(create_game, actions, given.seconds / 2)
    print_result(values)


if __name__ == "__main__":
    main()
