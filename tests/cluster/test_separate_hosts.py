"""Two hosts with addresses of their own: the link between them is cut and restored, then one is gone for good."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retro_gamer.run.directory import RunDirectory
from tests.cluster.hosts import TwoHosts, two_hosts
from tests.cluster.nodes import wait_until
from tests.training.corridors import episodes_of, make_corridor_run, make_slow_game

pytestmark = pytest.mark.hosts
EPISODES = 500
"""Of minutes, until a test tells the game to hurry."""
CUT_SECONDS = 3.0
"""Less than the five lost answers after which Ray gives a node up."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    with two_hosts(tmp_path_factory.mktemp("home")) as made:
        yield made


def count_episodes(run: RunDirectory) -> int:
    return run.log_path.read_text().count("\n[EP ") if run.log_path.exists() else 0


def make_slow_run(folder: Path) -> tuple[RunDirectory, Path]:
    """Return a run that takes minutes, and the file that makes it hurry."""
    hurry = folder / "hurry"
    game = make_slow_game(hurry)
    return make_corridor_run(folder, game=game, training_episodes=EPISODES, max_turns_per_episode=30), hurry


def train_over_both(hosts: TwoHosts, run: RunDirectory) -> subprocess.Popen[str]:
    return hosts.start("train", str(run.path), "--address", hosts.address, "--actors", "2", "--learner-cpus", "1")


def both_play(hosts: TwoHosts, run: RunDirectory, training: subprocess.Popen[str]) -> Callable[[], bool]:
    """Return whether there are episodes, an actor far and one near."""

    def look() -> bool:
        assert training.poll() is None, training.communicate()[0]
        return count_episodes(run) >= 5 and hosts.nodes_of("ActorProcess") == ["far", "head"]

    return look


def test_a_link_cut_for_seconds_costs_nothing(hosts: TwoHosts, tmp_path: Path) -> None:
    run, hurry = make_slow_run(tmp_path)
    training = train_over_both(hosts, run)
    try:
        wait_until("actors near and far", both_play(hosts, run, training), every=0.4)
        before = count_episodes(run)
        hosts.link.cut()
        restored = time.monotonic() + CUT_SECONDS
        wait_until("the link's return", lambda: time.monotonic() > restored and count_episodes(run) > before)
        hosts.link.restore()
        hurry.touch()
        said, _ = training.communicate(timeout=120)
    finally:
        training.kill()
    assert training.returncode == 0, said
    assert len(episodes_of(run)) == EPISODES
    assert "was lost" not in run.log_path.read_text()
    assert hosts.count_nodes() == 2


def test_a_host_gone_for_good_costs_its_grants(hosts: TwoHosts, tmp_path: Path) -> None:
    run, hurry = make_slow_run(tmp_path)
    training = train_over_both(hosts, run)
    try:
        wait_until("actors near and far", both_play(hosts, run, training), every=0.4)
        hosts.link.cut()
        wait_until("the loss of the far actor", lambda: "was lost" in run.log_path.read_text())
        hurry.touch()
        said, _ = training.communicate(timeout=120)
    finally:
        training.kill()
    assert training.returncode == 0, said
    assert len(episodes_of(run)) == EPISODES
    assert run.log_path.read_text().count("was lost") == 1
    assert hosts.count_nodes() == 1
