"""A watch over the numbers of a run, which says in plain words what they mean and which setting to try."""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from collections.abc import Iterator, Mapping

from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.training.schedule import epsilon_after

CHECK_EPISODES = 100
RECENT = 100
EARLY_EPSILON = 0.9
FEWEST_EARLY = 10
FEWEST_EPISODES = 300
FEWEST_UPDATES = 10_000
"""Before so many, no progress tells little: rare rewards take their time. Half of the planned episodes tell as much."""
STANDARD_ERRORS = 2.0
RUNAWAY_FACTOR = 10.0
RUNAWAY_LOSS = 1.0
BEYOND_BOUND = 2.0
ONE_ACTION_SHARE = 0.98
FEWEST_CHOICES = 2000
HIGH_EPSILON = 0.3
EARLY_FLOOR_SHARE = 0.1


class Watch:
    """Collects rewards, losses, values and choices, and gives each kind of remark once, when its numbers say so.

    Exploring play counts as random while epsilon is above 0.9: that is what later play is compared with.
    """

    def __init__(self, settings: Hyperparameters, actions: tuple[str, ...]) -> None:
        self._settings = settings
        self._actions = (*actions, "doing nothing")
        self._early: list[float] = []
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._windows: list[float] = []
        self._losses: list[float] = []
        self._updates = 0
        self._largest_q = 0.0
        self._largest_reward = 0.0
        self._choices: Counter[int] = Counter()
        self._said: set[str] = set()

    def add_episode(self, total_reward: float, epsilon: float) -> None:
        """Take the total reward of an episode and the epsilon it was completed at."""
        if epsilon > EARLY_EPSILON:
            self._early.append(total_reward)
        self._recent.append(total_reward)

    def add_update(self, loss: float, largest_q: float) -> None:
        """Take an update's loss and its largest |Q| in units of reward."""
        self._updates += 1
        if math.isfinite(loss):
            self._losses.append(loss)
        self._largest_q = max(self._largest_q, largest_q)

    def add_play(self, greedy_choices: Mapping[int, int], largest_reward: float) -> None:
        """Take how often each action was chosen as the best, and the largest |reward| of a turn."""
        self._choices.update(greedy_choices)
        self._largest_reward = max(self._largest_reward, largest_reward)

    def foresee(self, first_episode: int) -> list[str]:
        """Return what can be said of the settings before the first episode."""
        last = self._settings.training_episodes
        at_the_end = epsilon_after(last, self._settings)
        if at_the_end <= max(HIGH_EPSILON, self._settings.epsilon_min) or first_episode >= last:
            return []
        return self._once(
            "epsilon_end",
            f"epsilon will still be {at_the_end:.2f} at episode {last}, so much of the play stays random to the end. "
            f"Try epsilon_decay = {self._decay_to_floor(last):.4g} or more training_episodes.",
        )

    def check(self, episodes: int) -> list[str]:
        """Return the new remarks after so many episodes; looks only every CHECK_EPISODES."""
        if episodes % CHECK_EPISODES:
            return []
        remarks = [
            *self._check_reward(episodes),
            *self._check_progress(episodes),
            *self._check_loss(),
            *self._check_values(),
            *self._check_choices(),
        ]
        self._choices.clear()
        self._largest_q = 0.0
        return remarks

    def _check_reward(self, episodes: int) -> Iterator[str]:
        if self._largest_reward == 0:
            yield from self._once(
                "no_reward",
                f"The reward has not changed once in {episodes} episodes, so there is nothing to learn from. Try "
                "another state key as reward, or more exploration: epsilon_min = 0.2.",
            )

    def _check_progress(self, episodes: int) -> Iterator[str]:
        if episodes < FEWEST_EPISODES or len(self._early) < FEWEST_EARLY or self._largest_reward == 0:
            return
        if self._updates < FEWEST_UPDATES and episodes < self._settings.training_episodes / 2:
            return
        if epsilon_after(episodes, self._settings) > 0.5:
            return
        gain = statistics.fmean(self._recent) - statistics.fmean(self._early)
        error = math.hypot(*(statistics.stdev(v) / math.sqrt(len(v)) for v in (self._early, list(self._recent))))
        if gain > STANDARD_ERRORS * error:
            return
        advice = "a reward that changes more often, a larger memory_capacity, or more training_episodes"
        floor_at = self._floor_episode()
        if floor_at < EARLY_FLOOR_SHARE * self._settings.training_episodes and episodes > floor_at:
            slower = self._decay_to_floor(self._settings.training_episodes // 2)
            advice = f"epsilon_decay = {slower:.4g} (epsilon reached its floor at episode {floor_at}, early), {advice}"
        yield from self._once(
            "random",
            f"After {episodes} episodes the last {len(self._recent)} are no better than random play "
            f"(mean {statistics.fmean(self._recent):.4g} against {statistics.fmean(self._early):.4g}). Try {advice}.",
        )

    def _check_loss(self) -> Iterator[str]:
        if not self._losses:
            return
        mean = statistics.fmean(self._losses)
        self._losses.clear()
        usual = statistics.median(self._windows) if len(self._windows) >= 3 else math.inf
        self._windows.append(mean)
        if mean > RUNAWAY_LOSS and mean > RUNAWAY_FACTOR * usual:
            smaller, rarer = self._settings.learning_rate / 3, self._settings.target_update_freq * 5
            yield from self._once(
                "loss",
                f"The loss is running away: {mean:.3g} against {usual:.3g} before. Try learning_rate = {smaller:.2g} "
                f"or target_update_freq = {rarer}.",
            )

    def _check_values(self) -> Iterator[str]:
        turns = self._settings.max_turns_per_episode
        gamma = self._settings.gamma
        horizon = turns if gamma == 1 else min(turns, 1 / (1 - gamma))
        bound = self._largest_reward * horizon
        if self._largest_reward and self._largest_q > BEYOND_BOUND * bound:
            yield from self._once(
                "values",
                f"Q-values reach {self._largest_q:.3g}, while no play can be worth more than {bound:.3g}: they are "
                f"running away. Try target_update_freq = {self._settings.target_update_freq * 5} or a smaller gamma.",
            )

    def _check_choices(self) -> Iterator[str]:
        total = self._choices.total()
        if total < FEWEST_CHOICES:
            return
        action, count = self._choices.most_common(1)[0]
        if count > ONE_ACTION_SHARE * total:
            yield from self._once(
                "one_action",
                f"The agent chose {self._actions[action]} in {count / total:.0%} of its last {total} choices. Try more "
                "exploration (epsilon_min = 0.1, epsilon_decay closer to 1) or a reward that tells actions apart.",
            )

    def _floor_episode(self) -> int:
        settings = self._settings
        if settings.epsilon <= settings.epsilon_min or settings.epsilon_min == 0 or settings.epsilon_decay == 1:
            return 0 if settings.epsilon <= settings.epsilon_min else settings.training_episodes
        return math.ceil(math.log(settings.epsilon_min / settings.epsilon) / math.log(settings.epsilon_decay))

    def _decay_to_floor(self, episodes: int) -> float:
        floor = max(self._settings.epsilon_min, 0.01)
        return (floor / max(self._settings.epsilon, floor)) ** (1 / max(episodes, 1)) if episodes else 1.0

    def _once(self, kind: str, remark: str) -> list[str]:
        if kind in self._said:
            return []
        self._said.add(kind)
        return [remark]
