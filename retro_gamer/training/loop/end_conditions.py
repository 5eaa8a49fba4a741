"""Processes that were lost, and when a training that gets nowhere for them ends."""

from __future__ import annotations

from retro_gamer.errors import EngineError, printable

LOSSES_IN_A_ROW = 5
"""Losses an actor, with no episode completed in between, after which training stops."""
REPLAY_LOSSES_IN_A_ROW = 3


class LossBook:
    """Counts what was lost since the last progress: an episode for actors, an update for replay."""

    def __init__(self, n_actors: int) -> None:
        self._limit = LOSSES_IN_A_ROW * max(1, n_actors)
        self._actors = 0
        self._worn_out = 0
        self._replays = 0

    def note_episodes(self) -> None:
        """Take note that an actor has completed an episode."""
        self._actors = self._worn_out = 0

    def note_update(self) -> None:
        """Take note that replay has given a batch."""
        self._replays = 0

    def lose_actor(self, reason: str) -> None:
        """Count an actor that was lost.

        Raises:
            EngineError: if too many were in a row.
        """
        self._actors += 1
        if self._actors >= self._limit:
            raise EngineError(
                f"{self._actors} actors in a row were lost before any of their games was over, the last with: "
                f"{printable(reason)}\nIf the game ends the process or uses much memory, try "
                "'retro-gamer train RUN_DIR --actors 0' to see what happens."
            )

    def wear_out_actor(self, reason: str) -> None:
        """Count an actor that was replaced because its process had grown.

        Raises:
            EngineError: if too many were in a row.
        """
        self._worn_out += 1
        if self._worn_out >= self._limit:
            raise EngineError(
                f"{self._worn_out} actors in a row were replaced before any of their games was over, the last because "
                f"{printable(reason)}\nLet them grow further (actor_growth_megabytes), play fewer games at a time "
                "(games_per_actor), or end games sooner (max_turns_per_episode)."
            )

    def lose_replay(self, reason: str) -> None:
        """Count a replay process that was lost.

        Raises:
            EngineError: if too many were in a row.
        """
        self._replays += 1
        if self._replays > REPLAY_LOSSES_IN_A_ROW:
            raise EngineError(
                f"the replay process was lost {self._replays} times without an update in between, the last time with: "
                f"{printable(reason)}\nIf memory ran out, lower memory_capacity. Go on with: --resume latest"
            )
