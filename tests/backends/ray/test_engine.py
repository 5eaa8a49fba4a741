from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import ray

from retro_gamer.backends.ray import engine
from retro_gamer.backends.ray.engine import join_ray, start_local_ray
from retro_gamer.errors import ClusterError, EngineError, printable

SCRIPT = """
import os, signal, sys
from pathlib import Path

import ray
from retro_gamer.backends.ray.engine import start_local_ray

before, path = os.getcwd(), os.environ.get("PYTHONPATH")
received = []
signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
with start_local_ray(n_cpus=1):
    os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]
    assert os.getcwd() == before
    assert os.environ.get("PYTHONPATH") == path

    @ray.remote
    def look():
        import random  # the one of the standard library, not that of the user's folder
        import retro_gamer
        return os.getcwd(), random.__file__

    folder, random_file = ray.get(look.remote())
    assert Path(folder) != Path(before), folder
    assert Path(random_file) != Path(before) / "random.py", random_file
    assert Path(folder).is_dir()
    assert ray.cluster_resources()["CPU"] == 1
    raylets = ray.nodes()
assert not ray.is_initialized()
assert not Path(folder).exists()
children = [
    entry.name
    for entry in Path("/proc").iterdir()
    if entry.name.isdigit() and f"\\nPPid:\\t{os.getpid()}\\n" in (entry / "status").read_text()
] if Path("/proc/self/status").exists() else []
assert children == [], children
print("clean")
"""


def test_ray_starts_in_a_neutral_folder_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('the wrong random')\n")
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "start.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["clean"], done.stderr


@pytest.mark.usefixtures("local_ray")
def test_a_ray_that_runs_already_is_used_and_not_ended() -> None:
    with start_local_ray(n_cpus=9):
        assert ray.cluster_resources()["CPU"] == 4
    assert ray.is_initialized()


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for Ray's start and collect what it is asked for."""
    asked: list[dict[str, Any]] = []

    def init(**given: Any) -> None:
        asked.append({**given, "folder": os.getcwd(), "PYTHONPATH": os.environ.get("PYTHONPATH")})

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return asked


def test_no_other_cluster_is_joined_and_nothing_is_opened(starts: list[dict[str, Any]]) -> None:
    before = (os.getcwd(), os.environ.get("PYTHONPATH"))
    with start_local_ray(n_cpus=3):
        assert (os.getcwd(), os.environ.get("PYTHONPATH")) == before
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    (asked,) = starts
    assert asked["address"] == "local"
    assert asked["num_cpus"] == 3
    assert asked["include_dashboard"] is False
    assert asked["object_store_memory"] <= 2**30
    assert asked["folder"] != before[0]
    assert str(Path(engine.__file__).parents[3]) in asked["PYTHONPATH"].split(os.pathsep)
    assert not Path(asked["folder"]).exists()


def test_what_ray_writes_goes_to_a_private_folder_with_a_short_path(starts: list[dict[str, Any]]) -> None:
    with start_local_ray(n_cpus=1):
        folder = Path(starts[0]["_temp_dir"]).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(str(folder)) < 42  # the paths of the sockets below it have to fit 107 bytes
        assert folder in Path(starts[0]["folder"]).parents
    assert not folder.exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no port"),
        TimeoutError("\x1b[31mslow"),
        OSError(28, "disk full"),
        Exception("The current node timed out during startup."),
        AssertionError(),
        KeyError("node"),
        SystemExit(1),
    ],
)
def test_a_start_that_fails_says_how_to_do_without(
    starts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    scratch: list[str] = []

    def init(**given: Any) -> None:
        scratch.append(os.getcwd())
        raise error

    monkeypatch.setattr(ray, "init", init)
    before = os.getcwd()
    with pytest.raises(EngineError, match="--actors 0") as raised, start_local_ray(n_cpus=1):
        pass
    assert "\x1b" not in str(raised.value)
    assert raised.value.__cause__ is error
    reason = "AssertionError" if not str(error) else printable(str(error))
    assert str(raised.value).startswith(f"Ray did not start on this machine: {reason}\n")
    assert os.getcwd() == before
    assert not Path(scratch[0]).exists()


def test_a_ray_that_does_not_answer_is_given_up_with_advice(
    starts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(engine, "START_SECONDS", 0.1)
    monkeypatch.setattr(ray, "init", lambda **given: threading.Event().wait())
    with pytest.raises(EngineError, match="did not answer within") as raised, start_local_ray(n_cpus=1):
        pass
    assert "--actors 0" in str(raised.value)
    assert signal.getsignal(signal.SIGALRM) == before


def test_ctrl_c_during_the_start_ends_ray_and_restores_the_process(
    starts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []

    def init(**given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    before = (os.getcwd(), os.environ.get("RAY_AUTH_TOKEN"))
    with pytest.raises(KeyboardInterrupt), start_local_ray(n_cpus=1):
        pass
    assert ended == [True]
    assert (os.getcwd(), os.environ.get("RAY_AUTH_TOKEN")) == before


def test_a_ray_that_listens_elsewhere_is_ended(starts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "192.0.2.7")
    with pytest.raises(EngineError, match=r"listens on 192\.0\.2\.7"), start_local_ray(n_cpus=1):
        pass


def test_whatever_ray_raises_while_a_cluster_is_joined_becomes_an_error_with_advice(
    starts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**given: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ClusterError, match="could not be joined: The current node timed out"), join_ray("auto"):
        pass
