"""Ctrl-C ends a job with a checkpoint, which comes home through S3; the run is then finished by joining directly.

Meanwhile its metrics are on the metrics endpoints of its nodes. The second part finds the object stores full.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import boto3

from retro_gamer.backends.ray.learner_process import METRICS
from retro_gamer.run.config import update_config
from tests.cluster.nodes import S3_SECRET, Cluster, wait_until
from tests.training.corridors import episodes_of, make_corridor_run


def shown_metrics(cluster: Cluster) -> set[str]:
    """Return the metrics of the run that a Prometheus would find."""
    return set(re.findall(r"^ray_retro_gamer_(\w+)\{.*\} [0-9.e+-]+$", cluster.scrape(), re.MULTILINE))


def test_a_job_is_stopped_cleanly_and_its_run_finished_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    cluster.wait_for_nodes(3)
    objects = boto3.client(
        "s3", endpoint_url=cluster.s3_endpoint, aws_access_key_id="test", aws_secret_access_key=S3_SECRET,
        region_name="us-east-1",
    )  # fmt: skip
    objects.create_bucket(Bucket="runs")
    run = make_corridor_run(tmp_path, training_episodes=100_000)
    storage = "s3://runs/corridor"
    options = ("--address", cluster.dashboard, "--actors", "2", "--storage", storage)
    submitted = cluster.start("submit", str(run.path), *options)

    def has_begun() -> bool:
        assert submitted.poll() is None, submitted.communicate()[0]
        return run.log_path.exists() and "\n[EP " in run.log_path.read_text()

    try:
        wait_until("episodes at home", has_begun)
        wait_until("all metrics", lambda: shown_metrics(cluster) >= set(METRICS), every=1.0)
        submitted.send_signal(signal.SIGINT)
        said, _ = submitted.communicate(timeout=240)
    finally:
        submitted.kill()
    assert submitted.returncode == 130, said
    assert S3_SECRET not in said
    count = len(episodes_of(run))
    checkpoint = run.resolve_checkpoint(f"ep_{count:04d}").path
    kept = objects.get_object(Bucket="runs", Key=f"corridor/checkpoints/{checkpoint.name}")["Body"].read()
    assert kept == checkpoint.read_bytes()
    update_config(run.path, {("hyperparameters", "training_episodes"): count + 15})
    with cluster.full_object_stores():
        done = cluster.run("train", str(run.path), "--resume", "latest", "--address", cluster.address, "--actors", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(episodes_of(run)) == count + 15
    assert run.resolve_checkpoint("final").episode is None
