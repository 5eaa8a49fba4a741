"""Diagnostics: remarks about the numbers of a run, each with the setting to change."""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from collections.abc import Iterator, Mapping

import numpy as np

from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.step import squash
from retro_gamer.training.loop.schedules import epsilon_after, share_of_exploration

CHECK_EPISODES = 100
"""Numbers are checked this often, and only after this many episodes of this command."""
RECENT = 100
EARLY_EPSILON = 0.9
EARLY_UPDATES = 500
"""Before so many updates play is as good as random, whatever epsilon is."""
FEWEST_EARLY = 10
FEWEST_EPISODES = 300
FEWEST_UPDATES = 10_000
"""Before so many updates, or half of the planned episodes, a lack of progress means little: rare rewards take time."""
STANDARD_ERRORS = 2.0
RUNAWAY_FACTOR = 10.0
RUNAWAY_LOSS = 1.0
RUNAWAY_SHARE = 0.1
"""Below this share of the largest value that rewards allow, on the scale of the loss, no loss counts as diverging."""
BEYOND_BOUND = 2.0
ONE_ACTION_SHARE = 0.98
FEWEST_CHOICES = 2000
HIGH_EPSILON = 0.3
EARLY_FLOOR_SHARE = 0.1
"""Epsilon at its floor before this share of the planned episodes is early, if play does not improve."""
BLIND_FLOOR_SHARE = 0.25
BLIND_FLOOR_UPDATES = 2000
"""Epsilon at its floor before so many updates, and before this share of the planned episodes, is always early."""


class Diagnostics:
    """Collects rewards, losses, values and choices, and makes each kind of remark at most once.

    Play counts as random while epsilon is above 0.9 or hardly any update is done; later play is compared with it.

    first_episode: the episodes completed before this command
    largest_reward: the largest |reward| of a turn before this command; None if unknown, and then there are no remarks
        about values and losses
    seconds: the time limit of this command
    """

    def __init__(
        self,
        settings: Hyperparameters,
        actions: tuple[str, ...],
        *,
        first_episode: int = 0,
        largest_reward: float | None = 0.0,
        seconds: float = math.inf,
    ) -> None:
        self._settings = settings
        self._actions = (*actions, "doing nothing")
        self._first = first_episode
        self._seconds = seconds
        self._knows_rewards = largest_reward is not None
        self.largest_reward = largest_reward or 0.0
        self._early: list[float] = []
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._windows: list[float] = []
        self._losses: list[float] = []
        self._updates = 0
        self._floor_updates: int | None = None
        self._largest_q = 0.0
        self._choices: Counter[int] = Counter()
        self._made: set[str] = set()

    def add_episode(self, total_reward: float, epsilon: float) -> None:
        """Add the total reward of an episode, and the epsilon when it was completed."""
        if epsilon > EARLY_EPSILON or (self._first == 0 and self._updates < EARLY_UPDATES):
            self._early.append(total_reward)
        if self._floor_updates is None and epsilon <= self._settings.epsilon_min:
            self._floor_updates = self._updates
        self._recent.append(total_reward)

    def add_update(self, loss: float, largest_q: float) -> None:
        """Add the loss of an update, and its largest |Q| in units of reward."""
        self._updates += 1
        if math.isfinite(loss):
            self._losses.append(loss)
        self._largest_q = max(self._largest_q, largest_q)

    def add_play(self, greedy_choices: Mapping[int, int], largest_reward: float) -> None:
        """Add how often each action was the greedy choice, and the largest |reward| of a turn."""
        self._choices.update(greedy_choices)
        self.largest_reward = max(self.largest_reward, largest_reward)

    def foresee(self) -> Iterator[str]:
        """Yield remarks about the settings, before the first episode."""
        settings, last = self._settings, self._settings.training_episodes
        if self._first < last:
            yield from self._judge_end(
                last,
                f"will still be {{:.2f}} at episode {last}, so much of the play stays",
                f"epsilon_decay = {self._decay_to_floor(last)} or more training_episodes",
            )
        if settings.lr_decay < 1 and settings.learning_rate <= settings.lr_min:
            yield (
                f"lr_decay has no effect: learning_rate = {settings.learning_rate:g} is not above its floor, lr_min = "
                f"{settings.lr_min:g}. Try lr_min = {settings.learning_rate / 10:.2g}, or lr_decay = 1."
            )

    def check(self, episodes: int, elapsed_seconds: float = 0.0) -> list[str]:
        """Return new remarks after so many episodes, and seconds of this command. Checks every CHECK_EPISODES."""
        own = episodes - self._first
        if episodes % CHECK_EPISODES or own < CHECK_EPISODES:
            return []
        planned = self._settings.training_episodes
        if math.isfinite(self._seconds) and elapsed_seconds > 0:
            planned = min(planned, self._first + math.ceil(own * max(1.0, self._seconds / elapsed_seconds)))
        remarks = [
            *self._check_reward(own),
            *self._check_floor(planned),
            *self._check_progress(episodes, planned),
            *self._check_loss(),
            *self._check_values(),
            *self._check_choices(),
        ]
        self._largest_q = 0.0
        return remarks

    def conclude(self, episodes: int) -> list[str]:
        """Return remarks at the time limit, after so many episodes."""
        if not episodes:
            return []
        words = f"is still {{:.2f}} at the end, episode {episodes}, so much of the play was"
        remedy = f"epsilon_decay = {self._decay_to_floor(max(1, episodes // 2))} or more minutes"
        return list(self._judge_end(episodes, words, remedy))

    def _judge_end(self, last: int, words: str, remedy: str) -> Iterator[str]:
        epsilon = epsilon_after(last, self._settings)
        if share_of_exploration(epsilon, self._settings) <= HIGH_EPSILON:
            return
        if self._settings.epsilon_min > HIGH_EPSILON:
            remedy = "epsilon_min = 0.05"
        yield from self._once("epsilon_end", f"epsilon {words.format(epsilon)} random to the end. Try {remedy}.")

    def _check_reward(self, own: int) -> Iterator[str]:
        if self.largest_reward == 0:
            yield from self._once(
                "no_reward",
                f"The reward did not change once in {own} episodes, so there is nothing to learn from. Try another "
                f"state key as reward{self._or_exploration(', or more exploration: ', 0.2)}.",
            )

    def _check_floor(self, planned: int) -> Iterator[str]:
        """Yield a remark if exploration ended before anything was learned."""
        floor_at = self._floor_episode()
        if self._first or self._floor_updates is None or self._settings.epsilon_decay == 1:
            return
        if self._floor_updates < BLIND_FLOOR_UPDATES and 0 < floor_at < BLIND_FLOOR_SHARE * planned:
            yield from self._once(
                "floor",
                f"epsilon reached its floor at episode {floor_at}, after {self._floor_updates} updates: the agent "
                f"explored before it had learned anything, and hardly since. Try epsilon_decay = "
                f"{self._decay_to_floor(planned // 2)}.",
            )

    def _check_progress(self, episodes: int, planned: int) -> Iterator[str]:
        if episodes < FEWEST_EPISODES or len(self._early) < FEWEST_EARLY or self.largest_reward == 0:
            return
        if self._updates < FEWEST_UPDATES and episodes < planned / 2:
            return
        if epsilon_after(episodes, self._settings) > 0.5:
            return
        gain = statistics.fmean(self._recent) - statistics.fmean(self._early)
        error = math.hypot(*(statistics.stdev(v) / math.sqrt(len(v)) for v in (self._early, list(self._recent))))
        if gain > STANDARD_ERRORS * error:
            return
        advice = "a reward that changes more often, a larger memory_capacity, or more training_episodes"
        floor_at = self._floor_episode()
        if floor_at < EARLY_FLOOR_SHARE * planned and episodes > floor_at:
            slower = self._decay_to_floor(planned // 2)
            advice = f"epsilon_decay = {slower} (epsilon reached its floor early, at episode {floor_at}), {advice}"
        yield from self._once(
            "random",
            f"After {episodes} episodes the last {len(self._recent)} are no better than random play "
            f"(mean reward {statistics.fmean(self._recent):.4g}, random {statistics.fmean(self._early):.4g}). "
            f"Try {advice}.",
        )

    def _check_loss(self) -> Iterator[str]:
        if not self._losses:
            return
        mean = statistics.fmean(self._losses)
        self._losses.clear()
        usual = statistics.median(self._windows) if len(self._windows) >= 3 else math.inf
        self._windows.append(mean)
        if not self._knows_rewards:
            return
        largest = float(squash(np.array(self._bound())))  # no loss is larger than such a difference of values
        smaller, rarer = self._settings.learning_rate / 3, self._settings.target_update_freq * 5
        remedy = f"Try learning_rate = {smaller:.2g} or target_update_freq = {rarer}."
        if mean > max(RUNAWAY_LOSS, RUNAWAY_SHARE * largest) and mean > RUNAWAY_FACTOR * usual:
            yield from self._once("loss", f"The loss diverges: {mean:.3g}, up from {usual:.3g}. {remedy}")
        elif mean > max(RUNAWAY_LOSS, BEYOND_BOUND * largest):
            yield from self._once("loss", f"The loss, {mean:.3g}, is larger than the rewards allow. {remedy}")

    def _bound(self) -> float:
        """Return the largest |value| that the rewards so far allow; a game cut short counts as one that continues."""
        gamma = self._settings.gamma
        return self.largest_reward * (self._settings.max_turns_per_episode if gamma == 1 else 1 / (1 - gamma))

    def _check_values(self) -> Iterator[str]:
        bound = self._bound()
        if self._knows_rewards and self.largest_reward and self._largest_q > BEYOND_BOUND * bound:
            yield from self._once(
                "values",
                f"Q-values reach {self._largest_q:.3g}, but no play can be worth more than {bound:.3g}: they "
                f"diverge. Try target_update_freq = {self._settings.target_update_freq * 5} or a smaller gamma.",
            )

    def _check_choices(self) -> Iterator[str]:
        total = self._choices.total()
        if total < FEWEST_CHOICES:
            return
        action, count = self._choices.most_common(1)[0]
        self._choices.clear()
        if count > ONE_ACTION_SHARE * total:
            yield from self._once(
                "one_action",
                f"The agent chose {self._actions[action]} in {count / total:.0%} of its last {total} choices. Try "
                f"a reward that distinguishes the actions{self._or_exploration(', or more exploration: ', 0.1)}.",
            )

    def _or_exploration(self, words: str, least: float) -> str:
        """Return `words` and a higher floor of epsilon, or nothing if epsilon is high already."""
        more = max(least, 2 * self._settings.epsilon_min)
        return f"{words}epsilon_min = {more:.2g}" if more <= min(0.5, self._settings.epsilon) else ""

    def _floor_episode(self) -> int:
        settings = self._settings
        if settings.epsilon <= settings.epsilon_min or settings.epsilon_min == 0 or settings.epsilon_decay == 1:
            return 0 if settings.epsilon <= settings.epsilon_min else settings.training_episodes
        return math.ceil(math.log(settings.epsilon_min / settings.epsilon) / math.log(settings.epsilon_decay))

    def _decay_to_floor(self, episodes: int) -> str:
        """Return the decay with which epsilon falls to its floor in so many episodes; 1 minus it has three digits."""
        floor = max(self._settings.epsilon_min, 0.01)
        decay = (floor / max(self._settings.epsilon, floor)) ** (1 / max(episodes, 1))
        return f"{1 - float(f'{1 - decay:.3g}'):.12g}"

    def _once(self, kind: str, remark: str) -> Iterator[str]:
        if kind not in self._made:
            self._made.add(kind)
            yield remark
