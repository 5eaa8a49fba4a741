"""The tie between turns and updates, held in both directions.

The learner may not update ahead of the turns received, and actors may not play further ahead of the updates than a
dead band. So what is learned does not depend on how fast either side happens to run.
"""

from __future__ import annotations

from retro_gamer.acting.exploration import ladder
from retro_gamer.hyperparameters import Hyperparameters


class TurnsPerUpdate:
    """Counts turns received by replay and updates done, and says what either side may do next.

    An experience takes `n_step` turns of one game, so with `n_games` under way at a time there may be none before so
    many turns of each.
    """

    def __init__(self, settings: Hyperparameters, dead_band_turns: int, n_games: int = 1) -> None:
        self._train_every = settings.train_every
        self._first_update_turns = max(
            settings.learning_starts, settings.batch_size + settings.n_step, n_games * settings.n_step + 1
        )
        self._starts = self._first_update_turns
        self._dead_band = dead_band_turns
        self.turns = 0
        self.updates = 0

    def resume(self, turns: int, slack_turns: int) -> None:
        """Go on from `turns` and `slack_turns` of an earlier sitting, whose memory is there again."""
        self.turns = turns
        self.updates = 0
        self._starts = turns - slack_turns

    def refill(self) -> None:
        """Memory is empty: allow no update before it holds as many turns as at the first one."""
        self._starts = self.turns + self._first_update_turns - self.updates * self._train_every

    @property
    def slack_turns(self) -> int:
        """Turns received beyond those that the updates done have used up; below 0 before the first is allowed.

        It stays small whatever the age of the run, so that going on with another `train_every` brings no burst.
        """
        return self.turns - self._starts - self.updates * self._train_every

    def receive(self, turns: int) -> None:
        """Take note of replay's counter of turns, which never falls."""
        self.turns = max(self.turns, turns)

    @property
    def updates_due(self) -> int:
        """Updates that the turns received allow and that are not done."""
        return max(0, (self.turns - self._starts) // self._train_every - self.updates)

    def turns_allowed(self, outstanding: int) -> int:
        """Return how many turns may be granted while `outstanding` are granted and not yet reported."""
        reach = self._starts + self.updates * self._train_every + self._dead_band
        return max(0, reach - self.turns - outstanding)

    @property
    def achieved(self) -> float:
        """Turns per update since the first update was allowed; nan before."""
        return (self.turns - self._starts) / self.updates if self.updates else float("nan")


def epsilon_after(episodes: int, settings: Hyperparameters) -> float:
    """Return the exploration rate in force once `episodes` are completed."""
    return max(settings.epsilon_min, settings.epsilon * settings.epsilon_decay**episodes)


def share_of_exploration(epsilon: float, settings: Hyperparameters) -> float:
    """Return which share of the actions is random at `epsilon`: on a ladder most of an actor's games have less."""
    rungs = ladder(settings, settings.games_per_actor)
    return float(sum(epsilon**rung for rung in rungs) / len(rungs))


def learning_rate_after(episodes: int, settings: Hyperparameters) -> float:
    """Return the learning rate in force once `episodes` are completed.

    A floor above the initial rate does not raise it.
    """
    floor = min(settings.lr_min, settings.learning_rate)
    return max(floor, settings.learning_rate * settings.lr_decay**episodes)
