"""The plain class that runs as a Ray actor and plays."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import ray

from retro_gamer.acting.actor import Grant, Report, Weights
from retro_gamer.games.loading.sandbox import stay_in_scratch
from retro_gamer.games.loading.watchdog import HangWatch
from retro_gamer.learning.threads import set_threads
from retro_gamer.replay.transition import Block
from retro_gamer.training.growth import Growth
from retro_gamer.training.planning.run_spec import Work
from retro_gamer.training.ray.last_words import LastWords


class PlayingProcess:
    """An actor in a process of its own. It pushes its blocks straight to replay, one push outstanding.

    What the game prints goes nowhere: Ray would keep it in files without bound. A game that hangs is interrupted or
    takes the process with it; what is known of such an end stands in `last_words`.
    """

    def __init__(self, work: Work, last_words: LastWords, *, n_games: int, block_turns: int, seed: int) -> None:
        set_threads(1)
        silence_output()
        self._watch = HangWatch(work.settings.hang_seconds, last_words.open())
        self._watch.__enter__()
        work = work.located(os.getcwd())
        if work.source is not None:
            stay_in_scratch(work.source)
        self._actor = work.make_actor(n_games=n_games, block_turns=block_turns, seed=seed)
        self._replay: Any = None
        self._pushed: ray.ObjectRef[int] | None = None
        self._growth = Growth(work.settings.actor_growth_megabytes)

    def play(self, grant: Grant, weights: Weights, replay: Any) -> Report:
        """Play a grant; return once `replay`, the handle of its process, has taken everything played."""
        self._replay = replay
        report = self._actor.play(grant, weights, self._push)
        report = dataclasses.replace(report, replay_turns=max(report.replay_turns, self._wait_for_push()))
        outgrown = self._growth.find_excess()
        if outgrown is None:
            return report
        tickets = (*report.unused_tickets, *self._actor.abandon_games())
        return dataclasses.replace(report, unused_tickets=tickets, worn_out=outgrown)

    def _push(self, block: Block) -> int:
        received = self._wait_for_push()
        self._pushed = self._replay.push.remote(block)
        return received

    def _wait_for_push(self) -> int:
        if self._pushed is None:
            return 0
        received = ray.get(self._pushed)
        self._pushed = None
        return received


def silence_output() -> None:
    """Let all that this process and its children print go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
