"""The training loop: hand out grants, poll the workers, update the network, complete episodes, save checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from retro_gamer.acting.actor import Episode, Grant
from retro_gamer.errors import EngineError, printable
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.learner import Learner
from retro_gamer.run.events import EventSink, Remark
from retro_gamer.run.log import EpisodeLine
from retro_gamer.training.loop.backend import WorkerPool
from retro_gamer.training.loop.checkpointing import Checkpointing, Counters
from retro_gamer.training.loop.diagnostics import Diagnostics
from retro_gamer.training.loop.end_conditions import StopRequest
from retro_gamer.training.loop.progress import ProgressMeter
from retro_gamer.training.loop.reports import ReportHandler
from retro_gamer.training.loop.schedules import TurnsPerUpdate, epsilon_after, learning_rate_after
from retro_gamer.training.loop.tickets import EpisodeTickets
from retro_gamer.training.planning.allocation import Allocation

UPDATES_AT_A_TIME = 16
SKIPPED_UPDATES_LIMIT = 100
IDLE_SECONDS = 0.2
REPORT_SECONDS = 0.25


class TrainingLoop:
    """Trains from the start to the last episode, the time limit or a stop request.

    Episodes are completed in the order of their reports. The updates that their turns allow are spread evenly between
    them; epsilon and the learning rate advance with each.
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
        diagnostics: Diagnostics,
        stop: StopRequest,
        start: Counters,
        seconds: float = math.inf,
    ) -> None:
        self._learner = learner
        self._workers = workers
        self._settings = settings
        self._allocation = allocation
        self._sink = sink
        self.checkpointing = checkpointing
        self._diagnostics = diagnostics
        self._stop = stop
        self._seconds = seconds
        self.episodes = self._first_episode = start.episodes
        n_games = allocation.games_per_actor * max(1, allocation.n_actors)
        self._ratio = _resume_ratio(start, TurnsPerUpdate(settings, allocation.dead_band_turns, n_games))
        self._tickets = EpisodeTickets(start.episodes + 1, settings.training_episodes)
        self._meter = ProgressMeter(settings, allocation.n_actors, start, learner.total_updates)
        self._reports = ReportHandler(
            n_actors=workers.n_actors,
            learner=learner,
            settings=settings,
            tickets=self._tickets,
            ratio=self._ratio,
            meter=self._meter,
            diagnostics=diagnostics,
            sink=sink,
        )
        self._published: tuple[int, int] | None = None
        self._next_progress = 0.0

    @property
    def turns(self) -> int:
        """Turns played since the run began, also before it was resumed."""
        return self._ratio.turns

    @property
    def counters(self) -> Counters:
        """The counters of the run now."""
        return Counters(
            episodes=self.episodes,
            turns=self.turns,
            slack_turns=self._ratio.slack_turns,
            recent_rewards=self._meter.recent_rewards,
            largest_reward=self._diagnostics.largest_reward,
        )

    def run(self) -> bool:
        """Train; return whether all episodes or the whole time were used, rather than stopped on request.

        Raises:
            GameFailedError: if the game fails again and again.
            EngineError: if workers are lost again and again, or updates fail.
        """
        self._set_learning_rate()
        self._remark(self._diagnostics.foresee())
        while not self._is_complete() and not self._must_stop() and not self._is_out_of_time():
            self._hand_out_grants()
            self._poll_workers()
            self._advance()
            self.checkpointing.advance()
            self._emit_progress()
        if not self._stop.is_made:
            self._finish_updates()
        self._reports.conclude(self.episodes - self._first_episode)
        if self._is_out_of_time():
            self._remark(self._diagnostics.conclude(self.episodes))
        self._emit_progress(always=True)
        return not self._stop.is_made

    def _is_complete(self) -> bool:
        return self.episodes >= self._settings.training_episodes

    def _must_stop(self) -> bool:
        """Return whether to stop now on request. With actors in this process that waits for the end of a game.

        No game is in flight then, so a resumed run equals one that never stopped.
        """
        between_games = not self._reports.finished and self._tickets.n_held == 0
        return self._stop.is_made and (between_games or not self._allocation.is_inline)

    def _is_out_of_time(self) -> bool:
        return self._meter.elapsed_seconds >= self._seconds

    def _hand_out_grants(self) -> None:
        """Grant turns to the actors that wait, as many as the ratio of turns to updates allows."""
        if self._tickets.n_waiting == 0 and self._tickets.n_held == 0:
            return
        if self._allocation.is_inline and self._reports.finished:
            return  # learn from the finished game first, so that there are moments with nothing in flight
        ready = self._workers.ready_actors()
        for actor in [actor for actor in self._reports.waiting if actor in ready]:
            turns = min(self._allocation.grant_turns, self._ratio.turns_allowed(self._reports.granted_turns))
            if turns < self._smallest_grant:
                return
            self._grant(actor, turns)

    @property
    def _smallest_grant(self) -> int:
        """The turns an actor waits for: more with many actors, because each grant costs a copy of the weights.

        A single actor plays with weights that are as fresh as possible.
        """
        return min(self._allocation.grant_turns, self._allocation.games_per_actor * max(1, self._allocation.n_actors))

    def _grant(self, actor: int, turns: int) -> None:
        """Grant an actor so many turns with the newest weights, unless it has no episode to play."""
        in_flight = len(self._tickets.held_by(actor))
        # In this process a grant ends with its game, so that nothing is in flight between two of them.
        spare = 0 if self._allocation.is_inline else turns // 8
        tickets = self._tickets.hand_out(actor, max(self._allocation.games_per_actor - in_flight, 0) + spare)
        if not tickets and not in_flight:
            return
        self._publish()
        self._reports.add_grant(actor, turns)
        epsilon = epsilon_after(self.episodes, self._settings)
        grant = Grant(turns=turns, seconds=self._allocation.grant_seconds, epsilon=epsilon, tickets=tickets)
        self._workers.grant(actor, grant)

    def _publish(self) -> None:
        version = (self._learner.total_updates, len(self._learner.characters))
        if version != self._published:
            self._workers.publish(self._learner.publish())
            self._published = version

    def _poll_workers(self) -> None:
        is_busy = bool(self._reports.finished) or self._ratio.updates_due > 0
        with self._meter.waiting():
            events = self._workers.poll(0.0 if is_busy else IDLE_SECONDS)
        for event in events:
            self._reports.handle(event)

    def _advance(self) -> None:
        """Do some of the updates that are due; complete an episode when its share of them is done."""
        finished = self._reports.finished
        due = self._ratio.updates_due
        share = math.ceil(due / (len(finished) + 1)) if finished else due
        for _ in range(min(share, UPDATES_AT_A_TIME)):
            if self._must_stop():
                return
            if not self._update(due):
                return
            due -= 1
        if finished and share <= UPDATES_AT_A_TIME:
            self._complete(finished.popleft())

    def _update(self, due: int) -> bool:
        """Do one update and return True; return False if replay was lost."""
        with self._meter.waiting():
            batch = self._workers.replay.next_batch(due, self._learner.spec)
        if batch is None:
            return False
        self._reports.add_update()
        result = self._learner.update(batch)
        self._ratio.updates += 1
        self._meter.add_update(result.loss)
        self._diagnostics.add_update(result.loss, result.largest_q)
        if result.skipped:
            self._check_skipped_updates()
        elif self._settings.prioritize_experiences:
            self._workers.replay.update_priorities(batch.ids, result.errors)
        return True

    def _check_skipped_updates(self) -> None:
        if self._learner.skipped_updates == 1:
            self._remark(["An update was skipped: its loss or gradient was not finite. Try a smaller learning_rate."])
        if self._learner.skipped_updates >= SKIPPED_UPDATES_LIMIT:
            raise EngineError(
                f"{SKIPPED_UPDATES_LIMIT} updates were skipped because their loss or gradient was not finite. Resume "
                "from an earlier checkpoint with a smaller learning_rate."
            )

    def _finish_updates(self) -> None:
        """Complete the finished episodes, then do the updates that are still due."""
        while self._reports.finished and not self._is_complete():
            before = (len(self._reports.finished), self._ratio.updates)
            self._advance()
            if before == (len(self._reports.finished), self._ratio.updates):
                return  # a stop was requested meanwhile, or replay was lost
        while not self._is_out_of_time() and not self._stop.is_made and self._ratio.updates_due:
            if not self._update(self._ratio.updates_due):
                return

    def _complete(self, episode: Episode) -> None:
        """Emit the line of an episode, advance the schedules, and save a checkpoint if one is due."""
        self._reports.complete(episode)
        epsilon = epsilon_after(self.episodes, self._settings)
        self.episodes += 1
        self._meter.add_episode(episode)
        line = EpisodeLine(
            episode=self.episodes,
            total_reward=episode.total_reward,
            steps=episode.turns,
            epsilon=epsilon,
            avg_loss=self._meter.pop_mean_loss(),
        )
        self._sink.handle(line)
        self._set_learning_rate()
        self._diagnostics.add_episode(episode.total_reward, epsilon)
        self._remark(self._diagnostics.check(self.episodes, self._meter.elapsed_seconds))
        self.checkpointing.after_episode(self.counters)

    def _set_learning_rate(self) -> None:
        self._learner.set_learning_rate(learning_rate_after(self.episodes, self._settings))

    def _remark(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._sink.handle(Remark(printable(text)))

    def _emit_progress(self, *, always: bool = False) -> None:
        now = time.monotonic()
        if not always and now < self._next_progress:
            return
        self._next_progress = now + REPORT_SECONDS
        ready = self._workers.ready_actors()
        self._meter.sample_actors(len(ready), len(ready & self._reports.waiting.keys()))
        self._sink.handle(self._meter.snapshot(self.episodes, self.turns, self._ratio, self._seconds))


def _resume_ratio(start: Counters, ratio: TurnsPerUpdate) -> TurnsPerUpdate:
    if start.turns:
        ratio.resume(start.turns, start.slack_turns or 0)
        if start.slack_turns is None:
            ratio.refill()
    return ratio
