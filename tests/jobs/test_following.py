from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retro_gamer.errors import ClusterError, UsageError
from retro_gamer.jobs import following
from retro_gamer.jobs.client import JobInfo, UnreachableError
from retro_gamer.jobs.following import JobEnd, JobFollower, RunFiles, RunFollower
from retro_gamer.jobs.submission import JobNote, load_job_note
from retro_gamer.run.directory import RunDirectory
from retro_gamer.run.events import Progress, Remark, Starting, TrainingOutcome
from retro_gamer.run.status import STATUS_NAME, StatusPublisher
from retro_gamer.training.loop.end_conditions import StopRequest
from tests.training.corridors import make_corridor_run
from tests.training.stand_ins import RecordingSink

NOTE = JobNote(address="http://h:1", submission_id="job", storage=None, resumed_from=None, episodes=0)
OUTCOME = TrainingOutcome(
    episodes=3, training_episodes=3, turns=9, updates=1, seconds=1.0, complete=True, signal_number=None,
    checkpoint="final",
)  # fmt: skip
PROGRESS = Progress(
    episodes=1, training_episodes=3, turns=5, updates=0, turns_per_second=1, updates_per_second=0, mean_reward=1.5,
    epsilon=1, learning_rate=0.1, loss=math.nan, turns_per_update=math.nan, target_turns_per_update=4,
    elapsed_seconds=2, seconds_left=math.nan, n_actors=2,
)  # fmt: skip


class FolderFiles(RunFiles):
    """A run in another folder of this machine, which may not answer for a while."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.silent = 0

    def read(self, name: str) -> bytes | None:
        self.asked.append(name)
        if self.silent:
            self.silent -= 1
            raise UnreachableError("no answer")
        path = self.folder / name
        return path.read_bytes() if path.exists() else None


@dataclasses.dataclass
class Pair:
    home: RunDirectory
    away: RunDirectory
    status: StatusPublisher
    files: FolderFiles
    display: RecordingSink
    follower: RunFollower


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    home, away = (make_corridor_run(tmp_path, run_name=name) for name in ("home", "away"))
    (away.path / "config.toml").write_bytes(home.config_path.read_bytes())
    files, display = FolderFiles(away.path), RecordingSink()
    status = StatusPublisher(away, NOTE.submission_id)
    return Pair(home, away, status, files, display, RunFollower(home, NOTE, files, display))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_status_of_an_earlier_job_in_the_storage_is_ignored(pair: Pair) -> None:
    StatusPublisher(pair.away, "the job before").handle(OUTCOME)
    assert pair.follower.update(whole=True) is None
    pair.status.write("running")
    status = pair.follower.update()
    assert status is not None
    assert status.state == "running"


def test_before_the_first_status_there_is_nothing(pair: Pair) -> None:
    assert pair.follower.update() is None


def test_what_is_written_there_appears_here_and_is_shown_once(pair: Pair) -> None:
    pair.status.handle(Starting("Architecture"))
    pair.away.log_path.write_text("Architecture\n")
    pair.status.handle(Remark("a remark"))
    pair.status.handle(PROGRESS)
    pair.status.write("running")
    for _ in range(2):
        pair.follower.update()
    assert pair.home.log_path.read_text() == "Architecture\n"
    assert (pair.display.texts, pair.display.remarks) == (["Architecture"], ["a remark"])
    assert pair.display.progresses[-1].mean_reward == 1.5
    assert math.isnan(pair.display.progresses[-1].loss)
    assert pair.files.asked.count("training.log") == 1
    pair.away.log_path.write_text("Architecture\n[EP 0001] and more\n")
    pair.away.write_checkpoint("ep_0100", b"weights")
    pair.status.write("running")
    pair.follower.update()
    assert pair.home.log_path.read_bytes() == pair.away.log_path.read_bytes()
    assert pair.home.resolve_checkpoint("latest").path.read_bytes() == b"weights"


def test_a_log_that_has_grown_is_fetched_up_to_the_size_in_the_status(pair: Pair) -> None:
    pair.away.log_path.write_text("one\n")
    pair.status.handle(Starting("text"))
    pair.away.log_path.write_text("one\ntwo\n")
    pair.follower.update()
    assert pair.home.log_path.read_text() == "one\n"
    pair.away.log_path.write_text("another log\n")
    pair.follower.update()
    assert pair.home.log_path.read_text() == "one\n"


def test_snapshots_are_fetched_at_the_end_only(pair: Pair) -> None:
    name = "replay/ep_0100-0123abcd.npz"
    (pair.away.path / "replay").mkdir()
    (pair.away.path / name).write_bytes(b"memory")
    pair.status.handle(Starting("text"))
    pair.follower.update()
    assert not (pair.home.path / name).exists()
    pair.follower.update(whole=True)
    assert (pair.home.path / name).read_bytes() == b"memory"


def test_what_came_after_the_resumed_checkpoint_is_moved_aside_here_too(pair: Pair) -> None:
    for episode in (100, 200):
        pair.home.write_checkpoint(f"ep_{episode:04d}", b"old")
    pair.away.write_checkpoint("ep_0100", b"old")
    note = dataclasses.replace(NOTE, resumed_from="ep_0100", episodes=100)
    follower = RunFollower(pair.home, note, pair.files, pair.display)
    pair.status.write("running")  # not begun yet: nothing here is touched
    follower.update()
    assert len(pair.home.checkpoints()) == 2
    pair.away.log_path.write_text("rewound\n")
    pair.status.handle(Starting("text"))
    follower.update()
    assert [file.name for file in pair.home.checkpoints()] == ["ep_0100"]
    assert (pair.home.checkpoints_dir / "abandoned-1" / "ep_0200.pt").exists()
    assert load_job_note(pair.home.path).is_rewound
    pair.away.write_checkpoint("ep_0200", b"new")
    pair.status.write("running")
    RunFollower(pair.home, load_job_note(pair.home.path), pair.files, pair.display).update()
    assert pair.home.resolve_checkpoint("ep_0200").path.read_bytes() == b"new"


def test_a_checkpoint_from_elsewhere_comes_home_and_nothing_here_is_lost_to_it(pair: Pair) -> None:
    for name in ("ep_0100", "ep_0200", "final"):
        pair.home.write_checkpoint(name, b"own")
    pair.away.write_checkpoint("ep_0200", b"from elsewhere")
    note = dataclasses.replace(NOTE, resumed_from="/elsewhere/final.pt", episodes=200)
    follower = RunFollower(pair.home, note, pair.files, pair.display)
    pair.status.write("running")  # not begun yet: nothing here is touched
    follower.update()
    assert contents(pair.home.checkpoints_dir) == {"ep_0100.pt": b"own", "ep_0200.pt": b"own", "final.pt": b"own"}
    pair.status.handle(Starting("text"))
    follower.update()
    assert contents(pair.home.checkpoints_dir) == {"ep_0100.pt": b"own", "ep_0200.pt": b"from elsewhere"}
    assert contents(pair.home.checkpoints_dir / "abandoned-1") == {"ep_0200.pt": b"own", "final.pt": b"own"}
    pair.away.write_checkpoint("final", b"new")
    pair.status.write("ended")
    RunFollower(pair.home, load_job_note(pair.home.path), pair.files, pair.display).update(whole=True)
    assert pair.home.resolve_checkpoint("final").path.read_bytes() == b"new"
    assert not (pair.home.checkpoints_dir / "abandoned-2").exists()


def test_what_the_job_moved_aside_takes_the_place_of_nothing_that_was_moved_aside_here(pair: Pair) -> None:
    for run, data in ((pair.home, b"own"), (pair.away, b"the job's")):
        (run.checkpoints_dir / "abandoned-1").mkdir()
        (run.checkpoints_dir / "abandoned-1" / "ep_0200.pt").write_bytes(data)
    pair.status.handle(Starting("text"))
    for _ in range(2):
        pair.follower.update()
    assert contents(pair.home.checkpoints_dir / "abandoned-1") == {"ep_0200.pt": b"the job's"}
    assert contents(pair.home.checkpoints_dir / "abandoned-2") == {"ep_0200.pt": b"own"}
    assert not (pair.home.checkpoints_dir / "abandoned-3").exists()


def test_a_status_without_news_moves_nothing(pair: Pair) -> None:
    for run in (pair.home, pair.away):
        run.write_checkpoint("final", b"own")
    pair.status.handle(Starting("text"))
    note = dataclasses.replace(NOTE, resumed_from="final", episodes=250)
    RunFollower(pair.home, note, pair.files, pair.display).update(whole=True)
    assert contents(pair.home.checkpoints_dir) == {"final.pt": b"own"}


def test_one_that_is_here_already_by_chance_is_here_in_the_end(pair: Pair) -> None:
    for run in (pair.home, pair.away):
        run.write_checkpoint("ep_0200", b"copied elsewhere")
    pair.away.log_path.write_text("rewound\n")
    note = dataclasses.replace(NOTE, resumed_from="/elsewhere/ep_0200.pt", episodes=200)
    pair.status.handle(Starting("text"))
    RunFollower(pair.home, note, pair.files, pair.display).update(whole=True)
    assert contents(pair.home.checkpoints_dir) == {"ep_0200.pt": b"copied elsewhere"}


def test_one_of_this_run_under_the_name_of_another_episode_comes_home_as_one_from_elsewhere_does(pair: Pair) -> None:
    pair.home.write_checkpoint("ep_0100", b"own")
    pair.home.write_checkpoint("ep_0150", b"renamed")
    pair.away.write_checkpoint("ep_0100", b"renamed")
    note = dataclasses.replace(NOTE, resumed_from="ep_0150", episodes=100)
    pair.status.handle(Starting("text"))
    RunFollower(pair.home, note, pair.files, pair.display).update()
    assert contents(pair.home.checkpoints_dir) == {"ep_0100.pt": b"renamed"}
    assert contents(pair.home.checkpoints_dir / "abandoned-1") == {"ep_0100.pt": b"own", "ep_0150.pt": b"renamed"}


def test_a_run_without_checkpoints_gets_the_one_from_elsewhere(pair: Pair) -> None:
    pair.away.write_checkpoint("ep_0200", b"from elsewhere")
    note = dataclasses.replace(NOTE, resumed_from="/elsewhere/final.pt", episodes=200)
    pair.status.handle(Starting("text"))
    RunFollower(pair.home, note, pair.files, pair.display).update()
    assert contents(pair.home.checkpoints_dir) == {"ep_0200.pt": b"from elsewhere"}


def test_the_final_checkpoint_that_is_resumed_is_kept_under_its_episode(pair: Pair) -> None:
    pair.home.write_checkpoint("final", b"own")
    pair.away.write_checkpoint("ep_0250", b"own")
    note = dataclasses.replace(NOTE, resumed_from="final", episodes=250)
    pair.status.handle(Starting("text"))
    RunFollower(pair.home, note, pair.files, pair.display).update()
    assert contents(pair.home.checkpoints_dir) == {"ep_0250.pt": b"own"}
    # As if it had been killed before it could note that: it is done once more, and nothing is lost.
    RunFollower(pair.home, note, pair.files, pair.display).update()
    assert contents(pair.home.checkpoints_dir) == {"ep_0250.pt": b"own"}


class Server:
    """A fake job server: reports the given statuses in order, and the last one for ever."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.stopped: list[str] = []

    def info(self, submission_id: str) -> JobInfo:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return JobInfo(status=status, message="line\nError: no module there", node_id="n1")

    def stop(self, submission_id: str) -> None:
        self.stopped.append(submission_id)


def attach(pair: Pair, server: Any, monkeypatch: pytest.MonkeyPatch, stop: StopRequest | None = None) -> JobEnd:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.0)
    follower = JobFollower(
        pair.home, NOTE, server, pair.display, stop or StopRequest(), files=pair.files, retry_seconds=60.0
    )
    return follower.follow()


def test_a_job_is_followed_to_its_end_through_a_lost_connection(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.status.handle(Starting("text"))
    pair.away.write_checkpoint("final", b"weights")
    pair.status.handle(OUTCOME)
    pair.files.silent = 2
    end = attach(pair, Server("PENDING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"), monkeypatch)
    assert end.explain_failure() is None
    assert end.status is not None
    assert end.outcome() == OUTCOME
    assert pair.home.resolve_checkpoint("final").path.read_bytes() == b"weights"
    lost, back = pair.display.remarks
    assert "connection is lost" in lost
    assert back == "The connection is back."


def test_a_request_to_stop_is_forwarded_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, server = StopRequest(), Server("RUNNING", "RUNNING", "RUNNING", "STOPPED")
    stop.make(2)
    pair.status.handle(dataclasses.replace(OUTCOME, complete=False, signal_number=15))
    end = attach(pair, server, monkeypatch, stop)
    assert server.stopped == ["job"]
    assert end.explain_failure() is None


def test_failures_are_reported_with_their_own_message(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    end = attach(pair, Server("FAILED"), monkeypatch)
    assert end.explain_failure() == "the job ended without a result.\nno module there"
    pair.status.write("failed", error="no node had room")
    assert attach(pair, Server("FAILED"), monkeypatch).explain_failure() == "no node had room"
    (pair.away.path / STATUS_NAME).unlink()
    assert "before its last checkpoint" in str(attach(pair, Server("STOPPED"), monkeypatch).explain_failure())


STORED = dataclasses.replace(NOTE, storage="copy")


class GoneServer(Server):
    """Does not answer, or does not know the job."""

    def __init__(self, error: ClusterError) -> None:
        super().__init__("RUNNING")
        self.error = error
        self.on_info: Callable[[], None] = lambda: None

    def info(self, submission_id: str) -> JobInfo:
        self.on_info()
        raise self.error


def attach_stored(pair: Pair, server: Any, monkeypatch: pytest.MonkeyPatch, stop: StopRequest) -> JobEnd:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(following, "UNKNOWN_JOB_SECONDS", 0.05)
    return JobFollower(pair.home, STORED, server, pair.display, stop, files=pair.files, retry_seconds=0.05).follow()


@pytest.mark.parametrize("error", [UnreachableError("no answer"), ClusterError("no such job")])
def test_a_job_without_news_in_its_storage_is_not_followed_for_ever(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, error: ClusterError
) -> None:
    name = "replay/ep_0100-0123abcd.npz"
    (pair.away.path / "replay").mkdir()
    (pair.away.path / name).write_bytes(b"memory")
    pair.away.write_checkpoint("ep_0100", b"weights")
    pair.status.handle(Starting("text"))
    pair.status.handle(PROGRESS)  # with values that are no numbers yet
    pair.status.write("running")  # and then its machine is lost
    with pytest.raises(ClusterError, match="Nothing new arrives in copy") as raised:
        attach_stored(pair, GoneServer(error), monkeypatch, StopRequest())
    assert str(error) in str(raised.value)
    assert "--resume latest" in str(raised.value)
    assert pair.home.resolve_checkpoint("ep_0100").path.read_bytes() == b"weights"
    assert (pair.home.path / name).read_bytes() == b"memory"


def test_a_job_is_followed_to_its_end_by_its_storage_alone(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    server, polls = GoneServer(UnreachableError("no answer")), [0]

    def go_on() -> None:
        polls[0] += 1
        pair.status.handle(Remark(f"poll {polls[0]}"))
        if polls[0] == 30:  # far beyond the time for retries
            pair.away.write_checkpoint("final", b"weights")
            pair.status.handle(OUTCOME)
        else:
            pair.status.write("running")

    pair.status.handle(Starting("text"))
    server.on_info = go_on
    end = attach_stored(pair, server, monkeypatch, StopRequest())
    assert (end.explain_failure(), polls[0]) == (None, 30)
    assert pair.home.resolve_checkpoint("final").path.read_bytes() == b"weights"


def test_a_request_to_stop_that_cannot_be_sent_ends_the_following(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopRequest()
    stop.make(2)
    pair.status.handle(Starting("text"))
    with pytest.raises(ClusterError, match="could not be asked to stop"):
        attach_stored(pair, GoneServer(UnreachableError("no answer")), monkeypatch, stop)


def test_for_a_cluster_that_stays_away_the_command_to_return_is_shown(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    pair.files.silent = 10**6
    follower = JobFollower(
        pair.home,
        NOTE,
        Server("RUNNING"),  # type: ignore[arg-type]
        pair.display,
        StopRequest(),
        files=pair.files,
        retry_seconds=0.05,
    )
    with pytest.raises(ClusterError, match="retro-gamer attach"):
        follower.follow()


def test_a_run_that_was_not_submitted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="retro-gamer submit"):
        load_job_note(tmp_path)
    (tmp_path / ".job.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        load_job_note(tmp_path)
    NOTE.save(tmp_path)
    assert load_job_note(tmp_path) == NOTE


def test_a_killed_job_is_named_by_its_exit_code_and_not_by_its_last_output() -> None:
    message = "Job entrypoint command failed with exit code -9, last available logs:\nepisode 3/10\nError: an old one"
    end = JobEnd(info=JobInfo(status="FAILED", message=message, node_id=None), status=None)
    failure = end.explain_failure()
    assert failure is not None
    assert failure.startswith("the process of the job was killed (exit code -9)")
    assert failure.endswith("Resume: --resume latest")
    assert "episode 3" not in failure
