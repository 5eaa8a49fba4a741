"""What the loop learns from its workers' reports: episodes, failures, lost processes and unknown characters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

from retro_gamer.acting.actor import Episode, Report
from retro_gamer.errors import printable, quoted
from retro_gamer.games.board import LARGEST_CHARACTER_COUNT
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.learner import Learner
from retro_gamer.run.events import CharacterSet, EventSink, Remark
from retro_gamer.training.loop.backend import ActorLost, ReplayLost, WorkerEvent, WorkerRemark
from retro_gamer.training.loop.diagnostics import Diagnostics
from retro_gamer.training.loop.end_conditions import GameFailures, WorkerFailures
from retro_gamer.training.loop.progress import ProgressMeter
from retro_gamer.training.loop.schedules import TurnsPerUpdate
from retro_gamer.training.loop.tickets import EpisodeTickets


class ReportHandler:
    """Takes the events of the workers, and keeps what they change.

    waiting: the actors without a grant, the one that has waited longest first
    finished: the episodes that were played and are not completed, in the order of their reports
    """

    def __init__(
        self,
        *,
        n_actors: int,
        learner: Learner,
        settings: Hyperparameters,
        tickets: EpisodeTickets,
        ratio: TurnsPerUpdate,
        meter: ProgressMeter,
        diagnostics: Diagnostics,
        sink: EventSink,
    ) -> None:
        self.waiting = dict.fromkeys(range(n_actors))
        self.finished: deque[Episode] = deque()
        self._granted_turns: dict[int, int] = {}
        self._learner = learner
        self._tickets = tickets
        self._ratio = ratio
        self._meter = meter
        self._diagnostics = diagnostics
        self._sink = sink
        self._unknown = UnknownCharacters(learner, sink, settings)
        self._game_failures = GameFailures()
        self._worker_failures = WorkerFailures(n_actors)

    @property
    def granted_turns(self) -> int:
        """Turns that were granted and not reported yet."""
        return sum(self._granted_turns.values())

    def add_grant(self, actor: int, turns: int) -> None:
        """Note that a waiting actor was granted so many turns."""
        del self.waiting[actor]
        self._granted_turns[actor] = turns

    def add_update(self) -> None:
        """Note that replay delivered a batch."""
        self._worker_failures.replay.reset()

    def handle(self, event: WorkerEvent) -> None:
        """Take one event.

        Raises:
            GameFailedError: if too many games in a row failed before their first turn.
            EngineError: if too many workers in a row were lost.
        """
        if isinstance(event, WorkerRemark):
            self._remark(event.text)
            return
        if isinstance(event, ReplayLost):
            self._handle_lost_replay(event)
            return
        if event.actor in self.waiting:
            return  # a repeated or late report: everything the actor had was taken back
        del self._granted_turns[event.actor]
        self.waiting[event.actor] = None
        if isinstance(event, ActorLost):
            self._handle_lost_actor(event)
        else:
            self._handle_report(event.actor, event.report)

    def complete(self, episode: Episode) -> None:
        """Remark that the game failed in this episode, if it did in a new way."""
        if episode.failure is not None:
            self._remark(self._game_failures.describe_cut(episode.failure))

    def conclude(self, n_episodes: int) -> None:
        """Remark which characters were unknown, and how many of the episodes were cut short."""
        self._unknown.conclude()
        self._remark(self._game_failures.conclude(n_episodes))

    def _handle_report(self, actor: int, report: Report) -> None:
        if report.episodes:
            self._worker_failures.reset_actors()
        self._meter.add_report(self._learner.total_updates - report.version)
        self._ratio.receive(report.replay_turns)
        completed = [episode for episode in report.episodes if self._tickets.complete(actor, episode.ticket)]
        self.finished.extend(completed)
        self._tickets.take_back(actor, report.unused_tickets)
        for failure in report.failures:
            self._remark(self._game_failures.describe("The game failed", failure))
        self._game_failures.count(report.failures, progressed=bool(report.turns))
        if report.recycled is not None:
            self._remark(self._game_failures.describe(f"Actor {actor} was restarted", report.recycled))
            self._worker_failures.recycled.add(report.recycled)
        self._unknown.add(report.unknown_characters)
        self._diagnostics.add_play(report.greedy_choices, report.largest_reward)

    def _handle_lost_actor(self, event: ActorLost) -> None:
        tickets = self._tickets.lose(event.actor)
        self._meter.add_lost_actor()
        self._remark(f"Actor {event.actor} was lost ({event.reason}); its {tickets} episodes are played again.")
        self._worker_failures.actors.add(event.reason)

    def _handle_lost_replay(self, event: ReplayLost) -> None:
        self._worker_failures.replay.add(event.reason)
        self._ratio.refill()
        self._remark(
            f"The replay process was lost ({event.reason}). Its replacement starts empty and is filled before learning "
            "continues; the network keeps what it has learned."
        )

    def _remark(self, text: str | None) -> None:
        if text is not None:
            self._sink.handle(Remark(printable(text)))


class UnknownCharacters:
    """Counts characters outside the character set, remarks on each once, and extends the network for them.

    The network is extended only with ``unknown_character_strategy = "extend"``; otherwise they are empty cells to it.
    """

    def __init__(self, learner: Learner, sink: EventSink, settings: Hyperparameters) -> None:
        self._learner = learner
        self._sink = sink
        self._extends = settings.unknown_character_strategy == "extend"
        self._cells: Counter[str] = Counter()

    def add(self, unknown: Mapping[str, int]) -> None:
        """Add the unknown characters of one report, each with the number of cells it was on."""
        new = sorted(set(unknown) - set(self._cells) - set(self._learner.characters))
        self._cells.update(unknown)
        if new and self._extends:
            self._extend(new)
            return
        for character in new:
            self._remark(
                f"The character {quoted(character)} is not in character_set, so the agent sees an empty cell. Add it "
                'to character_set, or set unknown_character_strategy = "extend".'
            )

    def conclude(self) -> None:
        """Remark which characters the agent never saw."""
        unseen = {c: cells for c, cells in self._cells.items() if c not in self._learner.characters}
        if unseen:
            counts = ", ".join(f"{quoted(c)} on {cells} cells" for c, cells in sorted(unseen.items()))
            self._remark(f"Characters outside character_set, shown as empty cells: {counts}.")

    def _extend(self, new: list[str]) -> None:
        room = LARGEST_CHARACTER_COUNT - len(self._learner.characters)
        if room < len(new):
            self._remark(
                f"The character set is full ({LARGEST_CHARACTER_COUNT} characters); {len(new) - room} more are shown "
                "as empty cells."
            )
        added = tuple(new[:room])
        if not added:
            return
        self._learner.extend(self._learner.characters + added)
        self._sink.handle(CharacterSet(self._learner.characters))
        self._remark(f"The network was extended by {', '.join(map(quoted, added))}; what it has learned is unchanged.")

    def _remark(self, text: str) -> None:
        self._sink.handle(Remark(printable(text)))
