"""Stand-ins for everything around the training loop, in memory, that check how the loop treats them."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch

from retro_gamer.acting.actor import Episode, Grant, Report
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.games.description import GameMetadata
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import load_checkpoint
from retro_gamer.learning.inference import Weights
from retro_gamer.learning.step import UpdateResult
from retro_gamer.run.events import CharacterSet, Checkpoint, Progress, Remark, RunEvent, Starting
from retro_gamer.run.log import EpisodeLine
from retro_gamer.training.loop.backend import ActorLost, GrantReported
from retro_gamer.training.loop.checkpointing import Checkpointing, Counters
from retro_gamer.training.loop.diagnostics import Diagnostics
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.training_loop import TrainingLoop
from retro_gamer.training.planning.allocation import Allocation
from tests.learning.samples import make_small_spec

BATCH_SIZE = 8
LEARNING_STARTS = 40
METADATA = GameMetadata(actions=("KEY_UP",), reward="score")
Event = TypeVar("Event")


class CountingLearner:
    """Counts updates; the loss of update n is n."""

    def __init__(self) -> None:
        self.total_updates = 0
        self.skipped_updates = 0
        self.skips: Callable[[int], bool] = lambda number: False
        self.characters: tuple[str, ...] = ("a", "b")
        self.spec = make_small_spec()
        self.learning_rates: list[float] = []
        self.calls = 0
        self.on_update: Callable[[], None] = lambda: None
        self.is_finite = True

    def update(self, batch: Any) -> UpdateResult:
        self.on_update()
        self.calls += 1
        errors = np.full(len(batch.ids), float(self.calls), np.float32)
        if self.skips(self.calls):
            self.skipped_updates += 1
            return UpdateResult(loss=float("nan"), errors=np.zeros_like(errors), skipped=True)
        self.total_updates += 1
        return UpdateResult(loss=float(self.total_updates), errors=errors, skipped=False)

    def get_state(self) -> dict[str, Any]:
        optimizer = {"step": torch.tensor(0.0), "learning_rate": 0.001, "exp_avg": {}, "exp_avg_sq": {}}
        networks: dict[str, Any] = {"model_state_dict": {}, "target_state_dict": {}}
        return {**networks, "optimizer_state_dict": optimizer, "total_steps": self.total_updates}

    def set_learning_rate(self, learning_rate: float) -> None:
        self.learning_rates.append(learning_rate)

    def publish(self) -> Weights:
        return Weights(version=self.total_updates, values=np.zeros(1, np.float32), characters=self.characters)

    def extend(self, characters: tuple[str, ...]) -> None:
        assert characters[: len(self.characters)] == self.characters
        self.characters = characters


class ListDiagnostics(Diagnostics):
    """Keeps what it is given in lists; unless silent it has a remark before the run and one every tenth episode."""

    def __init__(self, *, is_silent: bool = False) -> None:
        self.is_silent = is_silent
        self.episodes: list[tuple[float, float]] = []
        self.updates: list[tuple[float, float]] = []
        self.plays: list[tuple[Mapping[int, int], float]] = []
        self.largest_reward = 0.0

    def add_episode(self, total_reward: float, epsilon: float) -> None:
        self.episodes.append((total_reward, epsilon))

    def add_update(self, loss: float, largest_q: float) -> None:
        self.updates.append((loss, largest_q))

    def add_play(self, greedy_choices: Mapping[int, int], largest_reward: float) -> None:
        self.plays.append((greedy_choices, largest_reward))
        self.largest_reward = largest_reward

    def foresee(self) -> Iterator[str]:
        if not self.is_silent:
            yield "before the first episode"

    def check(self, episodes: int, elapsed_seconds: float = 0.0) -> list[str]:
        return [f"at episode {episodes}"] if episodes % 10 == 0 and not self.is_silent else []

    def conclude(self, episodes: int) -> list[str]:
        return []


class RecordingSink:
    """Keeps every event; a subclass acts on some of them."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []
        self.closed = False
        self.on_line: Callable[[EpisodeLine], None] = lambda line: None

    def handle(self, event: RunEvent) -> None:
        self.events.append(event)
        if isinstance(event, EpisodeLine):
            self.on_line(event)
        if isinstance(event, Progress):
            self.on_progress(event)

    def on_progress(self, progress: Progress) -> None:
        """Do nothing."""

    def close(self) -> None:
        self.closed = True

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def lines(self) -> list[EpisodeLine]:
        return self.of(EpisodeLine)

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.of(Starting)]

    @property
    def remarks(self) -> list[str]:
        return [event.text for event in self.of(Remark)]

    @property
    def progresses(self) -> list[Progress]:
        return self.of(Progress)

    @property
    def characters(self) -> list[tuple[str, ...]]:
        return [event.characters for event in self.of(CharacterSet)]

    @property
    def checkpoints(self) -> list[tuple[int, int]]:
        """The episodes and turns of each checkpoint."""
        states = [load_checkpoint(event.data, event.name) for event in self.of(Checkpoint)]
        return [(state["episode"], state["total_turns"]) for state in states]


@dataclasses.dataclass
class PlayedGame:
    """A game in flight: its total reward will be its ticket, so that every episode can be told from every other."""

    ticket: int
    length: int
    turns: int = 0


class ActorsInMemory:
    """Actors that play games of random lengths, report out of order, twice, or after they were taken for lost.

    The first is slow: it reports when the others have reported several times.
    """

    def __init__(
        self,
        n_actors: int,
        *,
        seed: int = 0,
        games_per_actor: int = 4,
        chance_of_loss: float = 0.0,
        chance_of_repetition: float = 0.0,
        longest_game: int = 60,
    ) -> None:
        self.n_actors = n_actors
        self.random = np.random.default_rng(seed)
        self.games_per_actor = games_per_actor
        self.chance_of_loss = chance_of_loss
        self.chance_of_repetition = chance_of_repetition
        self.longest_game = longest_game
        self.absent: frozenset[int] = frozenset()
        self.granted: dict[int, Grant] = {}
        self.in_flight: dict[int, list[PlayedGame]] = {actor: [] for actor in range(n_actors)}
        self.replay_turns = 0
        self.pieces: list[bytes | None] = []
        self.grants: list[tuple[int, Grant]] = []
        self.published: list[Weights] = []
        self.errors: list[tuple[np.ndarray, np.ndarray]] = []
        self.lost = 0
        self.batches = 0
        self.on_grant: Callable[[int, Grant], None] = lambda actor, grant: None
        self.change_report: Callable[[Report], Report] = lambda report: report

    @property
    def replay(self) -> ActorsInMemory:
        return self

    def ready_actors(self) -> frozenset[int]:
        return frozenset(range(self.n_actors)) - self.absent

    def publish(self, weights: Weights) -> None:
        self.published.append(weights)

    def grant(self, actor: int, grant: Grant) -> None:
        assert actor not in self.granted
        assert grant.turns > 0
        self.on_grant(actor, grant)
        self.grants.append((actor, grant))
        self.granted[actor] = grant

    def poll(self, timeout_seconds: float) -> list[GrantReported | ActorLost]:
        events: list[GrantReported | ActorLost] = []
        for actor in list(self.granted):
            if self.random.random() < (0.1 if actor == 0 else 0.5):
                events += self._play(actor)
        return events

    def _play(self, actor: int) -> list[GrantReported | ActorLost]:
        report = self.change_report(self._report(actor, self.granted.pop(actor)))
        reported = GrantReported(actor=actor, report=report)
        if self.random.random() < self.chance_of_loss:
            self.lost += 1
            self.in_flight[actor] = []
            late = [reported] if self.random.random() < 0.5 else []  # it was not dead, only slow to answer
            return [ActorLost(actor=actor, reason="it was killed"), *late]
        return [reported] * (2 if self.random.random() < self.chance_of_repetition else 1)

    def _report(self, actor: int, grant: Grant) -> Report:
        tickets, playing = list(grant.tickets), self.in_flight[actor]
        turns, episodes = 0, []
        while turns < grant.turns and (tickets or playing):
            while tickets and len(playing) < self.games_per_actor:
                playing.append(PlayedGame(tickets.pop(0), int(self.random.integers(1, self.longest_game + 1))))
            for game in list(playing):
                game.turns += 1
                turns += 1
                if game.turns == game.length:
                    playing.remove(game)
                    episodes.append(
                        Episode(ticket=game.ticket, total_reward=game.ticket, turns=game.turns, truncated=False)
                    )
        self.replay_turns += turns
        return Report(
            episodes=tuple(episodes),
            unused_tickets=tuple(tickets),
            turns=turns,
            replay_turns=self.replay_turns,
            unknown_characters={},
            failures=(),
            version=self.published[-1].version,
            seconds=0.01,
        )

    def next_batch(self, wanted: int, spec: NetworkSpec) -> Any:
        assert wanted >= 1
        self.batches += 1
        return types.SimpleNamespace(ids=np.arange(BATCH_SIZE) + 100 * self.batches)

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        self.errors.append((ids, errors))

    def begin_snapshot(self, limit_bytes: int) -> None:
        self.pieces = [b"first", None, b"second", b""]

    def next_piece(self, timeout_seconds: float) -> bytes | None:
        return self.pieces.pop(0)

    def restore(self, snapshot: bytes, turns: int) -> int:
        self.replay_turns = turns
        return 0


@dataclasses.dataclass
class Stage:
    """A training loop among stand-ins."""

    settings: Hyperparameters
    allocation: Allocation
    workers: ActorsInMemory
    start: Counters = dataclasses.field(default_factory=Counters)
    seconds: float = float("inf")
    learner: CountingLearner = dataclasses.field(default_factory=CountingLearner)
    sink: RecordingSink = dataclasses.field(default_factory=RecordingSink)
    stop: StopRequest = dataclasses.field(default_factory=StopRequest)
    diagnostics: ListDiagnostics = dataclasses.field(default_factory=lambda: ListDiagnostics(is_silent=True))

    def make_loop(self) -> TrainingLoop:
        parts: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "learner", "workers", "settings", "allocation", "sink", "stop", "start", "seconds", "diagnostics",
            )
        }  # fmt: skip
        parts["checkpointing"] = Checkpointing(
            learner=self.learner,  # type: ignore[arg-type]
            replay=self.workers,
            metadata=METADATA,
            settings=self.settings,
            sink=self.sink,
            is_inline=self.allocation.is_inline,
        )
        return TrainingLoop(**parts)

    def run(self) -> bool:
        self.loop = self.make_loop()
        return self.loop.run()


def make_stage(
    n_actors: int = 3, *, start: Counters | None = None, workers: dict[str, Any] | None = None, **changed: Any
) -> Stage:
    settings = Hyperparameters.from_mapping(
        {
            "training_episodes": 60,
            "train_every": 4,
            "learning_starts": LEARNING_STARTS,
            "batch_size": BATCH_SIZE,
            "games_per_actor": 4,
            **changed,
        }
    )
    grant_turns = 64
    allocation = Allocation(
        n_actors=n_actors,
        games_per_actor=4,
        learner_threads=1,
        grant_turns=grant_turns,
        grant_seconds=2.0,
        block_turns=grant_turns,
        dead_band_turns=2 * n_actors * grant_turns + 2 * settings.train_every,
        reasons=(),
    )
    return Stage(settings, allocation, ActorsInMemory(n_actors, **(workers or {})), start=start or Counters())
