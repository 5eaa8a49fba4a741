from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from retro_gamer.backends.ray.ray_processes import RayProcesses, ray_messages_discarded
from retro_gamer.training.loop.backend import EngineLostError
from tests.test_signals import ENDLESS, Training, processes_below
from tests.trained_runs import make_run


def end_all(training: Training, number: signal.Signals, *names: str) -> None:
    """Send a signal to the processes below a training with these programs."""
    for pid in processes_below(training.process.pid):
        program = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        if not names or os.path.basename(program) in names:
            os.kill(pid, number)


def start_training(folder: Path) -> Training:
    training = Training(make_run(folder, **ENDLESS), "--actors", "1")
    training.read_until("turns/update 4")
    return training


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_when_ray_is_killed_a_checkpoint_of_the_last_episode_and_one_message_remain(tmp_path: Path, name: str) -> None:
    training = start_training(tmp_path)
    training.shown = ""
    end_all(training, signal.SIGKILL, name)
    assert training.end() == 1
    assert training.shown.count("Error: ") == 1
    assert f"Error: {name}, a process of Ray, was killed by SIGKILL, so training cannot continue." in training.shown
    assert training.shown.rstrip().endswith("Resume: --resume latest")
    assert "state-dump" not in training.shown
    assert "Raylet is terminated" not in training.shown
    assert training.run.checkpoints()[-1].episode == training.episodes()


def test_a_warning_to_all_processes_stops_with_a_checkpoint_and_its_memory(tmp_path: Path) -> None:
    """So Slurm warns, and so a terminal window ends what runs in it."""
    training = start_training(tmp_path)
    end_all(training, signal.SIGUSR1)
    assert training.end(signal.SIGUSR1) == 128 + signal.SIGUSR1, training.shown
    assert "Stopped by SIGUSR1" in training.shown
    assert "could not be saved" not in training.shown
    assert training.run.checkpoints()[-1].episode == training.episodes()
    assert list((training.run.path / "replay").iterdir())


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes the place of raylet."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        node = types.SimpleNamespace(all_processes={"raylet": [types.SimpleNamespace(process=process)]})
        monkeypatch.setattr(ray._private.worker, "_global_node", node)
        yield process


def test_a_loss_is_named_by_signal_or_status(sleeper: subprocess.Popen[bytes]) -> None:
    processes = RayProcesses()
    processes.check()
    assert processes.find_loss() is None
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(EngineLostError, match="raylet, a process of Ray, was killed by SIGKILL") as raised:
        processes.check()
    assert "--resume latest" in str(raised.value)


def test_an_end_by_itself_is_named_by_its_status(sleeper: subprocess.Popen[bytes]) -> None:
    processes = RayProcesses()
    sleeper.communicate(b"\n")
    assert processes.find_loss() == "raylet, a process of Ray, ended with status 0"


def test_on_a_cluster_no_process_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray._private.worker, "_global_node", None)
    RayProcesses().check()


def test_what_ray_prints_is_discarded_only_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    worker = ray._private.worker
    message = {"lines": ["Raylet is terminated"], "pid": "raylet", "is_err": False}
    before = worker.print_to_stdstream
    with ray_messages_discarded():
        worker.print_to_stdstream(message, ignore_prefix=False)
    assert capsys.readouterr() == ("", "")
    assert worker.print_to_stdstream is before
