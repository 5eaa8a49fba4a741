"""A cluster that is not there, does not let us in or has no room: one message each, and no secret in any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.nodes import Cluster, free_port
from tests.training.corridors import make_corridor_run


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RAY_AUTH_TOKEN": "a-wrong-token"}, "does not accept the token"),
        ({"RAY_AUTH_TOKEN_PATH": ""}, "none was found"),
    ],
)
def test_no_token_and_a_wrong_one_at_the_job_server(
    cluster: Cluster, tmp_path: Path, environment: dict[str, Any], said: str
) -> None:
    run = make_corridor_run(tmp_path)
    done = cluster.run("submit", str(run.path), "--address", cluster.dashboard, **environment)
    assert done.returncode == 1
    assert said in done.stderr
    assert "a-wrong-token" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_a_wrong_token_when_joining_directly(cluster: Cluster, tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    done = cluster.run("train", str(run.path), "--address", cluster.address, RAY_AUTH_TOKEN="a-wrong-token")
    assert done.returncode == 1
    assert "refused the connection" in done.stderr
    assert "a-wrong-token" not in done.stdout + done.stderr


@pytest.mark.parametrize(("command", "scheme"), [("submit", "http://"), ("train", "")])
def test_a_wrong_address(cluster: Cluster, tmp_path: Path, command: str, scheme: str) -> None:
    run = make_corridor_run(tmp_path)
    done = cluster.run(command, str(run.path), "--address", f"{scheme}127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "nothing answers at" in done.stderr


def test_for_a_full_cluster_the_error_names_what_was_requested_and_what_exists(
    cluster: Cluster, tmp_path: Path
) -> None:
    run = make_corridor_run(tmp_path)
    wants = ("--learner-cpus", "500", "--wait-seconds", "1")
    done = cluster.run("submit", str(run.path), "--address", cluster.dashboard, *wants)
    assert done.returncode == 1
    assert "no node of the cluster had 501 CPU free" in done.stderr
    assert "the cluster has" in done.stderr
    assert "--learner-cpus 1" in done.stderr


def test_a_storage_that_denies_access_ends_the_job_before_it_begins(cluster: Cluster, tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)
    done = cluster.run("submit", str(run.path), "--address", cluster.dashboard, "--storage", "s3://nobodys/run")
    assert done.returncode == 1
    assert "s3://nobodys/run" in done.stderr
