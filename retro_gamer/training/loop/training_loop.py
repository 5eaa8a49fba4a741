"""The training loop: grants work, does the updates the turns allow, and completes episodes one by one."""

from __future__ import annotations

import math
import time
from collections import deque

from retro_gamer.acting.actor import Episode, Grant
from retro_gamer.errors import EngineError, printable
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.learner import Learner
from retro_gamer.run.events import EventSink, Remark
from retro_gamer.run.log import EpisodeLine
from retro_gamer.training.loop.backend import ActorLost, Event, ReplayLost, WorkerPool
from retro_gamer.training.loop.checkpointing import Checkpointing, Counters
from retro_gamer.training.loop.diagnostics import Diagnostics
from retro_gamer.training.loop.end_conditions import GameFailures, StopRequest, WorkerFailures
from retro_gamer.training.loop.progress import ProgressMeter
from retro_gamer.training.loop.schedules import TurnsPerUpdate, epsilon_after, learning_rate_after
from retro_gamer.training.loop.tickets import EpisodeTickets
from retro_gamer.training.loop.unknown_characters import UnknownCharacters
from retro_gamer.training.planning.allocation import Allocation

UPDATES_AT_A_TIME = 16
SKIPPED_UPDATES_LIMIT = 100
IDLE_SECONDS = 0.2
REPORT_SECONDS = 0.25


class TrainingLoop:
    """Runs one training from its start to its last episode, its time limit or a request to stop.

    Episodes are completed in the order in which they are reported, and the updates their turns allow are spread
    evenly between them; epsilon and learning rate move on at each.
    """

    def __init__(
        self,
        *,
        learner: Learner,
        workers: WorkerPool,
        settings: Hyperparameters,
        allocation: Allocation,
        sink: EventSink,
        checkpointing: Checkpointing,
        stop: StopRequest,
        start: Counters,
        seconds: float = math.inf,
        diagnostics: Diagnostics | None = None,
    ) -> None:
        self._learner = learner
        self._workers = workers
        self._settings = settings
        self._allocation = allocation
        self._sink = sink
        self.checkpointing = checkpointing
        self._stop = stop
        self._seconds = seconds
        self._diagnostics = diagnostics
        self.episodes = self._first_episode = start.episodes
        n_games = allocation.games_per_actor * max(1, allocation.n_actors)
        self._ratio = _resume_ratio(start, TurnsPerUpdate(settings, allocation.dead_band_turns, n_games))
        self._tickets = EpisodeTickets(start.episodes + 1, settings.training_episodes)
        self._figures = ProgressMeter(
            settings, allocation, start.episodes, start.turns, learner.total_updates, start.recent_rewards
        )
        self._waiting = dict.fromkeys(range(workers.n_actors))  # who has waited longest comes first
        self._outstanding: dict[int, int] = {}
        self._finished: deque[Episode] = deque()
        self._newcomers = UnknownCharacters(learner, sink, settings)
        self._faults = GameFailures()
        self._losses = WorkerFailures(workers.n_actors)
        self._published: tuple[int, int] | None = None
        self._next_report = 0.0

    @property
    def _smallest_grant(self) -> int:
        """The turns an actor waits for at least: with many actors more, for each grant costs a copy of the weights.

        One actor plays with weights that are as fresh as can be.
        """
        return min(self._allocation.grant_turns, self._allocation.games_per_actor * max(1, self._allocation.n_actors))

    @property
    def turns(self) -> int:
        """Turns played since the run began, earlier sittings included."""
        return self._ratio.turns

    @property
    def counters(self) -> Counters:
        """The counters of the run now."""
        return Counters(
            episodes=self.episodes,
            turns=self.turns,
            slack_turns=self._ratio.slack_turns,
            recent_rewards=self._figures.recent_rewards,
            largest_reward=self._diagnostics.largest_reward if self._diagnostics else 0.0,
        )

    def run(self) -> bool:
        """Train; return whether the run is complete (all episodes, or its time), rather than stopped on request.

        Raises:
            GameFailedError: if the game fails again and again.
            EngineError: if actors are lost again and again, or updates fail.
        """
        self._set_learning_rate()
        for remark in self._diagnostics.foresee() if self._diagnostics else ():
            self._note(remark)
        while not self._is_complete() and not self._must_stop() and not self._is_out_of_time():
            self._hand_out_work()
            busy = bool(self._finished) or self._ratio.updates_due > 0
            with self._figures.waiting():
                events = self._workers.poll(0.0 if busy else IDLE_SECONDS)
            for event in events:
                self._take(event)
            self._advance()
            self.checkpointing.advance()
            self._report()
        if not self._stop.is_made:
            self._finish_updates()
        self._newcomers.conclude()
        self._note_if(self._faults.conclude(self.episodes - self._first_episode))
        for remark in self._diagnostics.conclude(self.episodes) if self._diagnostics and self._is_out_of_time() else ():
            self._note(remark)
        self._report(always=True)
        return not self._stop.is_made

    def _is_complete(self) -> bool:
        return self.episodes >= self._settings.training_episodes

    def _must_stop(self) -> bool:
        """Return whether to stop now: on request, but where one game is played at a time, between two of them.

        Nothing is under way then, so that a run that goes on from there is the same as one that never stopped.
        """
        between_games = not self._finished and self._tickets.n_held == 0
        return self._stop.is_made and (between_games or not self._allocation.is_inline)

    def _is_out_of_time(self) -> bool:
        return self._figures.elapsed_seconds >= self._seconds

    def _hand_out_work(self) -> None:
        if self._tickets.n_waiting == 0 and self._tickets.n_held == 0:
            return
        if self._allocation.is_inline and self._finished:
            return  # what is over is learned from first, so that there are moments at which nothing is under way
        present = self._workers.ready_actors()
        for actor in [actor for actor in self._waiting if actor in present]:
            allowed = self._ratio.turns_allowed(sum(self._outstanding.values()))
            turns = min(self._allocation.grant_turns, allowed)
            if turns < self._smallest_grant:
                return
            in_flight = len(self._tickets.held_by(actor))
            # In this process a grant ends with its game, so that nothing is under way between two of them.
            spare = 0 if self._allocation.is_inline else turns // 8
            tickets = self._tickets.hand_out(actor, max(self._allocation.games_per_actor - in_flight, 0) + spare)
            if not tickets and not in_flight:
                continue
            self._publish()
            del self._waiting[actor]
            self._outstanding[actor] = turns
            epsilon = epsilon_after(self.episodes, self._settings)
            self._workers.grant(
                actor, Grant(turns=turns, seconds=self._allocation.grant_seconds, epsilon=epsilon, tickets=tickets)
            )

    def _publish(self) -> None:
        version = (self._learner.total_updates, len(self._learner.characters))
        if version != self._published:
            self._workers.publish(self._learner.publish())
            self._published = version

    def _take(self, event: Event) -> None:
        if isinstance(event, ReplayLost):
            self._take_replay_loss(event)
            return
        if event.actor in self._waiting:
            return  # said twice, or late: whatever it had was taken back
        self._outstanding.pop(event.actor)
        self._waiting[event.actor] = None
        if isinstance(event, ActorLost):
            self._take_loss(event)
            return
        report = event.report
        if report.episodes:
            self._losses.note_episodes()
        self._figures.add_report(self._learner.total_updates - report.version)
        self._ratio.receive(report.replay_turns)
        for episode in report.episodes:
            if self._tickets.complete(event.actor, episode.ticket):
                self._finished.append(episode)
        self._tickets.take_back(event.actor, report.unused_tickets)
        for fault in report.faults:
            self._note_fault("The game failed", fault)
        self._faults.count(report.faults, progressed=bool(report.turns))
        if report.recycled is not None:
            self._note_fault(f"Actor {event.actor} was replaced", report.recycled)
            self._losses.wear_out_actor(report.recycled)
        self._newcomers.meet(report.unknown_characters)
        if self._diagnostics:
            self._diagnostics.add_play(report.greedy_choices, report.largest_reward)

    def _take_loss(self, event: ActorLost) -> None:
        tickets = self._tickets.lose(event.actor)
        self._figures.add_lost_actor()
        self._note(f"Actor {event.actor} was lost ({event.reason}); {tickets} episodes are granted again.")
        self._losses.lose_actor(event.reason)

    def _take_replay_loss(self, event: ReplayLost) -> None:
        self._losses.lose_replay(event.reason)
        self._ratio.refill()
        self._note(
            f"The replay process was lost ({event.reason}). A new one begins empty and is filled before learning goes "
            "on; what was learned stays."
        )

    def _note_fault(self, what: str, fault: str) -> None:
        self._note_if(self._faults.describe(what, fault))

    def _note_if(self, text: str | None) -> None:
        if text is not None:
            self._note(text)

    def _advance(self) -> None:
        """Do some of the updates that are due; once an episode's share of them is done, complete it."""
        due = self._ratio.updates_due
        share = math.ceil(due / (len(self._finished) + 1)) if self._finished else due
        for _ in range(min(share, UPDATES_AT_A_TIME)):
            if self._must_stop():
                return
            if not self._update(due):
                return
            due -= 1
        if self._finished and share <= UPDATES_AT_A_TIME:
            self._complete(self._finished.popleft())

    def _update(self, due: int) -> bool:
        """Do one update, or none and return False if replay was lost."""
        with self._figures.waiting():
            batch = self._workers.replay.next_batch(due, self._learner.spec)
        if batch is None:
            return False
        self._losses.note_update()
        result = self._learner.update(batch)
        self._ratio.updates += 1
        self._figures.add_update(result.loss)
        if self._diagnostics:
            self._diagnostics.add_update(result.loss, result.largest_q)
        if result.skipped:
            if self._learner.skipped_updates == 1:
                self._note("An update was skipped: its loss or gradient was not finite. Try a smaller learning_rate.")
            if self._learner.skipped_updates >= SKIPPED_UPDATES_LIMIT:
                raise EngineError(
                    f"{SKIPPED_UPDATES_LIMIT} updates had a loss or gradient that is not finite, so nothing is "
                    "learned any more. Resume from an earlier checkpoint with a smaller learning_rate."
                )
        elif self._settings.prioritize_experiences:
            self._workers.replay.update_priorities(batch.ids, result.errors)
        return True

    def _finish_updates(self) -> None:
        while self._finished and not self._is_complete():
            before = (len(self._finished), self._ratio.updates)
            self._advance()
            if before == (len(self._finished), self._ratio.updates):
                return  # a request to stop has come meanwhile, or replay was lost
        while not self._is_out_of_time() and not self._stop.is_made and self._ratio.updates_due:
            if not self._update(self._ratio.updates_due):
                return

    def _complete(self, episode: Episode) -> None:
        """Log an episode, then move on the schedules that decay with it."""
        if episode.fault is not None:
            self._note_if(self._faults.describe_cut(episode.fault))
        epsilon = epsilon_after(self.episodes, self._settings)
        self.episodes += 1
        self._figures.add_episode(episode)
        self._sink.handle(
            EpisodeLine(
                episode=self.episodes,
                total_reward=episode.total_reward,
                steps=episode.turns,
                epsilon=epsilon,
                avg_loss=self._figures.pop_mean_loss(),
            )
        )
        self._set_learning_rate()
        if self._diagnostics:
            self._diagnostics.add_episode(episode.total_reward, epsilon)
            for remark in self._diagnostics.check(self.episodes, self._figures.elapsed_seconds):
                self._note(remark)
        self.checkpointing.after_episode(self.counters)

    def _set_learning_rate(self) -> None:
        self._learner.set_learning_rate(learning_rate_after(self.episodes, self._settings))

    def _note(self, text: str) -> None:
        self._sink.handle(Remark(printable(text)))

    def _report(self, *, always: bool = False) -> None:
        now = time.monotonic()
        if not always and now < self._next_report:
            return
        self._next_report = now + REPORT_SECONDS
        present = self._workers.ready_actors()
        self._figures.sample_actors(len(present), len(present & self._waiting.keys()))
        self._sink.handle(self._figures.snapshot(self.episodes, self.turns, self._ratio, self._seconds))


def _resume_ratio(start: Counters, ratio: TurnsPerUpdate) -> TurnsPerUpdate:
    if start.turns:
        ratio.resume(start.turns, start.slack_turns or 0)
        if start.slack_turns is None:
            ratio.refill()
    return ratio
