"""The schedules of a run: turns per update, epsilon and the learning rate."""

from __future__ import annotations

from retro_gamer.acting.exploration import ladder
from retro_gamer.hyperparameters import Hyperparameters


class TurnsPerUpdate:
    """Holds the ratio of turns to updates: the learner waits for turns, actors wait for updates.

    The learner does no update before its turns are received, and actors play no further ahead of the updates than the
    dead band. So what is learned does not depend on the speed of either.

    A transition takes `n_step` turns of one game, so with `n_games` at once the first may take that many turns of each.
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
        """Continue with the `turns` and `slack_turns` of a checkpoint; replay memory is restored."""
        self.turns = turns
        self.updates = 0
        self._starts = turns - slack_turns

    def refill(self) -> None:
        """Allow no update before replay memory, which is empty, holds as many turns as before the first update."""
        self._starts = self.turns + self._first_update_turns - self.updates * self._train_every

    @property
    def slack_turns(self) -> int:
        """Turns received beyond those that the updates have used; negative before the first update is allowed.

        It stays small however old the run is, so resuming with another `train_every` causes no burst of updates.
        """
        return self.turns - self._starts - self.updates * self._train_every

    def receive(self, turns: int) -> None:
        """Set the turns that replay has received; a smaller number is out of date and ignored."""
        self.turns = max(self.turns, turns)

    @property
    def updates_due(self) -> int:
        """Updates that the turns received allow and that are not done yet."""
        return max(0, (self.turns - self._starts) // self._train_every - self.updates)

    def turns_allowed(self, outstanding: int) -> int:
        """Return how many turns may be granted while `outstanding` turns are granted and not reported."""
        reach = self._starts + self.updates * self._train_every + self._dead_band
        return max(0, reach - self.turns - outstanding)

    @property
    def achieved(self) -> float:
        """Turns per update since the first update was allowed; nan before."""
        return (self.turns - self._starts) / self.updates if self.updates else float("nan")


def epsilon_after(episodes: int, settings: Hyperparameters) -> float:
    """Return epsilon after so many completed episodes."""
    return max(settings.epsilon_min, settings.epsilon * settings.epsilon_decay**episodes)


def share_of_exploration(epsilon: float, settings: Hyperparameters) -> float:
    """Return the share of random actions at `epsilon`; with a ladder most games of an actor explore less."""
    rungs = ladder(settings, settings.games_per_actor)
    return float(sum(epsilon**rung for rung in rungs) / len(rungs))


def learning_rate_after(episodes: int, settings: Hyperparameters) -> float:
    """Return the learning rate after so many completed episodes. A floor above the initial rate does not raise it."""
    floor = min(settings.lr_min, settings.learning_rate)
    return max(floor, settings.learning_rate * settings.lr_decay**episodes)
