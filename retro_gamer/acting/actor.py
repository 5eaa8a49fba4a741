"""The actor: plays several games in lock step by an epsilon-greedy copy of the policy.

It knows nothing of processes or of its caller: a grant comes in, blocks of transitions go out through `push`, and a
report is returned.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections import Counter, deque
from collections.abc import Callable

import numpy as np

from retro_gamer.acting.exploration import ALL, Exploration, best_of, is_settled
from retro_gamer.acting.rollout import RolloutBuilder
from retro_gamer.errors import GameFailedError
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.observation import Observer
from retro_gamer.games.session import GameSession, seed_generators
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.inference import InferenceNetwork, Weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grant:
    """One bounded piece of work for an actor."""

    turns: int
    seconds: float
    epsilon: float
    tickets: tuple[int, ...]
    """Episodes that may be started; the report returns those that were not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Episode:
    """One finished game."""

    ticket: int
    total_reward: float
    turns: int
    truncated: bool
    failure: str | None = None
    """The error in the game's code that ended it, if one did."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What an actor did with a grant."""

    episodes: tuple[Episode, ...]
    unused_tickets: tuple[int, ...]
    turns: int
    replay_turns: int
    """Turns that replay had received with this actor's last block (0 if nothing was pushed)."""
    unknown_characters: dict[str, int]
    """Characters outside the set, and on how many cells they appeared."""
    failures: tuple[str, ...]
    """Errors before a first turn, whose tickets are among the unused, and rewards that could not be read."""
    version: int
    seconds: float
    greedy_choices: dict[int, int] = dataclasses.field(default_factory=dict)
    """How often each action was taken because its Q-value was largest."""
    largest_reward: float = 0.0
    """The largest |reward| of a turn."""
    recycled: str | None = None
    """Why this process is replaced, if it is; its unfinished games were abandoned."""


Push = Callable[..., int]
"""Takes a Block, returns the turns replay has received in all."""

MOST_FAILURES_REPORTED = 100
"""Of rewards that could not be read in one grant: a game may have one every turn."""


@dataclasses.dataclass
class Slot:
    """A place for one of an actor's games: the game that is being played, if any."""

    index: int
    session: GameSession
    generator: random.Random = dataclasses.field(default_factory=random.Random)
    ticket: int | None = None
    row: int = -1
    turns: int = 0
    """Turns of this episode that counted."""
    total_reward: float = 0.0


class Actor:
    """Plays `n_games` games at once.

    With one game each episode has its own seed, made from the run's seed and the ticket, and is therefore repeatable.
    Games in lock step share the global random generators of the process, which are seeded once.
    """

    def __init__(
        self,
        *,
        make_session: Callable[[], GameSession],
        metadata: GameMetadata,
        spec: NetworkSpec,
        settings: Hyperparameters,
        n_games: int,
        block_turns: int,
        seed: int,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._observer = Observer(metadata)
        self._network = InferenceNetwork(spec)
        self._prioritized = settings.prioritize_experiences
        self._builder = RolloutBuilder(
            n_games=n_games,
            block_turns=block_turns,
            shape=(spec.height, spec.width, spec.n_state),
            n_step=settings.n_step,
            gamma=settings.gamma,
            with_priorities=self._prioritized,
        )
        seed_generators(seed)  # modules may draw random numbers while they are imported
        self._slots = [Slot(index=index, session=make_session()) for index in range(n_games)]
        self._exploration = Exploration(settings, n_games, spec.n_actions)
        self._episodes: list[Episode] = []
        self._failures: list[str] = []
        self._failed_tickets: list[int] = []
        self._failed_tries: Counter[int] = Counter()
        self._greedy_choices: Counter[int] = Counter()
        self._largest_reward = 0.0
        if n_games > 1:
            self._slots[0].session.seed(seed)

    def play(self, grant: Grant, weights: Weights | None, push: Push) -> Report:
        """Play until the granted turns or seconds are used up, or no episode is left, and report.

        Unfinished games continue with the next grant; their turns so far are pushed.
        """
        started = time.monotonic()
        ends = started + grant.seconds
        self._set_weights(weights)
        self._exploration.set_epsilon(grant.epsilon)
        tickets = deque(grant.tickets)
        turns, replay_turns = 0, 0
        while turns < grant.turns and time.monotonic() < ends:
            self._start_games(tickets, ends)
            playing = [slot for slot in self._slots if slot.ticket is not None]
            if not playing:
                break
            for slot, action in zip(playing, self._choose_actions(playing), strict=True):
                turns += self._play_turn(slot, action)
            if self._builder.is_full:
                replay_turns = max(replay_turns, self._push_block(push))
        replay_turns = max(replay_turns, self._push_block(push))
        return self._make_report(tickets, turns, replay_turns, time.monotonic() - started)

    def abandon_games(self) -> tuple[int, ...]:
        """Abandon unfinished games and return their tickets. Their turns so far stay in replay."""
        tickets = tuple(slot.ticket for slot in self._slots if slot.ticket is not None)
        for slot in self._slots:
            slot.ticket = None
            self._builder.trajectories[slot.index].clear()
        return tickets

    def _set_weights(self, weights: Weights | None) -> None:
        known = len(self._observer.encoder.character_set)
        if weights is None or (weights.version, len(weights.characters)) == (self._network.version, known):
            return
        self._network.set_weights(weights)
        for character in weights.characters[known:]:
            self._observer.encoder.extend(character)

    def _start_games(self, tickets: deque[int], ends: float) -> None:
        """Start a game in every free place; games that take seconds to build start one by one, with later grants."""
        for slot in self._slots:
            if slot.ticket is None and tickets:
                self._start_game(slot, tickets.popleft())
                if time.monotonic() >= ends:
                    return

    def _start_game(self, slot: Slot, ticket: int) -> None:
        tries = self._failed_tries[ticket]
        slot.generator.seed(f"{self._seed}/{ticket}/{tries}" if tries else f"{self._seed}/{ticket}")
        if len(self._slots) == 1:
            slot.session.seed(slot.generator.randrange(2**31))
        slot.ticket, slot.turns, slot.total_reward = ticket, 0, 0.0
        try:
            slot.session.start()
            self._observe(slot)
        except GameFailedError as failure:
            self._return_ticket(slot, str(failure))

    def _observe(self, slot: Slot) -> None:
        """Write the game's observation to a new row; if observing fails, add no row."""
        builder = self._builder
        row = builder.next_row
        self._observer.observe_into(slot.session.game, builder.codes[row], builder.player[row], builder.state[row])
        builder.add_row(slot.index)
        slot.row = row

    def _choose_actions(self, playing: list[Slot]) -> list[int]:
        """Return an action for each game: with probability epsilon by the exploration, else the best by the network."""
        draw, is_informed = self._exploration.draw, self._network.version > 0
        candidates = [draw(slot.index, slot.generator, is_informed=is_informed) for slot in playing]
        actions = [drawn[0] if drawn else -1 for drawn in candidates]
        # A game with one candidate needs no forward pass, unless its initial priority does.
        valued = [i for i, drawn in enumerate(candidates) if self._prioritized or not is_settled(drawn)]
        if not valued:
            return actions
        rows = [playing[i].row for i in valued]
        builder = self._builder
        q = self._evaluate(rows)
        for i, values in zip(valued, q, strict=True):
            actions[i] = best_of(candidates[i], values)
            if candidates[i] == ALL:
                self._greedy_choices[actions[i]] += 1
        if self._prioritized:
            builder.q_best[rows] = q.max(axis=1)
            builder.q_taken[rows] = q[np.arange(len(rows)), actions]
        return actions

    def _evaluate(self, rows: list[int]) -> np.ndarray:
        """Return the squashed Q-values [N, A] of N rows."""
        builder = self._builder
        return self._network.evaluate(builder.codes[rows], builder.player[rows], builder.state[rows])

    def _play_turn(self, slot: Slot, action: int) -> int:
        """Play one turn; return how many turns that adds: 0 if the game failed."""
        try:
            turn = slot.session.step(action)
            if not turn.terminated:
                self._observe(slot)
        except GameFailedError as failure:
            if slot.turns == 0:
                self._return_ticket(slot, str(failure))
            else:
                self._finish(slot, truncated=True, failure=str(failure))  # at its last good turn
            return 0
        self._builder.add_turn(slot.index, action, turn.reward)
        slot.turns += 1
        slot.total_reward += turn.reward
        self._largest_reward = max(self._largest_reward, abs(turn.reward))
        if turn.failure is not None and len(self._failures) < MOST_FAILURES_REPORTED:
            self._failures.append(turn.failure)
        if turn.terminated:
            self._finish(slot, truncated=False)
        elif slot.turns >= self._settings.max_turns_per_episode:
            self._finish(slot, truncated=True)
        return 1

    def _return_ticket(self, slot: Slot, failure: str) -> None:
        """Put the ticket of a game that failed in its first turn among the unused."""
        assert slot.ticket is not None
        self._failures.append(failure)
        self._failed_tickets.append(slot.ticket)
        self._failed_tries[slot.ticket] += 1  # the next try has another seed: with this one it would fail again
        self._builder.trajectories[slot.index].clear()
        slot.ticket = None

    def _finish(self, slot: Slot, *, truncated: bool, failure: str | None = None) -> None:
        assert slot.ticket is not None
        if truncated and self._prioritized:
            self._builder.q_best[slot.row] = self._evaluate([slot.row]).max()
        self._builder.end_game(slot.index, terminated=not truncated)
        self._failed_tries.pop(slot.ticket, None)
        finished = Episode(
            ticket=slot.ticket, total_reward=slot.total_reward, turns=slot.turns, truncated=truncated, failure=failure
        )
        self._episodes.append(finished)
        slot.ticket = None

    def _push_block(self, push: Push) -> int:
        block = self._builder.make_block()
        for slot in self._slots:
            rows = self._builder.trajectories[slot.index].rows
            slot.row = rows[-1] if rows else -1
        return push(block) if block is not None else 0

    def _make_report(self, tickets: deque[int], turns: int, replay_turns: int, seconds: float) -> Report:
        encoder = self._observer.encoder
        report = Report(
            episodes=tuple(self._episodes),
            unused_tickets=(*tickets, *self._failed_tickets),
            turns=turns,
            replay_turns=replay_turns,
            unknown_characters=dict(encoder.unknown),
            failures=tuple(self._failures),
            version=self._network.version,
            seconds=seconds,
            greedy_choices=dict(self._greedy_choices),
            largest_reward=self._largest_reward,
        )
        self._greedy_choices.clear()
        self._largest_reward = 0.0
        self._episodes, self._failures, self._failed_tickets = [], [], []
        encoder.unknown.clear()
        return report
