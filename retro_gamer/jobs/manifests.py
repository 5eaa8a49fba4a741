"""A job in the format of other schedulers: a RayJob for KubeRay, a batch script for Slurm."""

from __future__ import annotations

import dataclasses
import math
import shlex
from typing import Any

import yaml

from retro_gamer.jobs.submission import ENVIRONMENT, STOP_SECONDS, JobPlan

IMAGE = "retro-gamer:latest"
RAY_VERSION = "2.60.0"
SHARED = "/shared"
VOLUME_CLAIM = "retro-gamer-shared"
MOST_WORKERS = 8
DEFAULT_WORKERS = 2
CPUS_PER_NODE = 4


def make_rayjob(plan: JobPlan) -> str:
    """Return the manifest of a RayJob. Package and run are kept on a volume that all pods share."""
    name = plan.submission_id.lower()[:47].strip("-")
    package = f"{SHARED}/{plan.submission_id}.zip"
    storage = plan.storage or f"{SHARED}/runs/{plan.submission_id}"
    runtime_env = {"working_dir": f"file://{package}", "env_vars": ENVIRONMENT}
    manifest = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": dataclasses.replace(plan, storage=storage).entrypoint,
            "submissionMode": "HTTPMode",
            "jobId": plan.submission_id,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 60,
            "runtimeEnvYAML": yaml.safe_dump(runtime_env, sort_keys=True),
            "rayClusterSpec": _make_ray_cluster(plan),
        },
    }
    head = (
        "# Made by: retro-gamer submit RUN_DIR --dry-run --format rayjob\n"
        f"# Copy the package to {package} on the shared volume (submit --package FILE writes it), then:\n"
        "#   kubectl apply -f THIS_FILE\n"
        f"# The run is kept in {storage}: copy it from there.\n"
    )
    return head + yaml.safe_dump(manifest, sort_keys=False, width=120)


def _count_workers(plan: JobPlan) -> int:
    """Return the number of nodes that have a core for each actor, the learner and the replay memory."""
    if plan.n_actors is None:
        return DEFAULT_WORKERS
    return max(1, math.ceil((plan.n_actors + 2) / CPUS_PER_NODE))


def _make_ray_cluster(plan: JobPlan) -> dict[str, Any]:
    groups = [
        {
            "groupName": "workers",
            "replicas": min(_count_workers(plan), MOST_WORKERS),
            "minReplicas": 0,
            "maxReplicas": MOST_WORKERS,
            "rayStartParams": {},
            "template": _make_pod("ray-worker", {"cpu": str(CPUS_PER_NODE), "memory": "8Gi"}),
        }
    ]
    if plan.options.gpus:
        gpu = {"cpu": str(CPUS_PER_NODE), "memory": "16Gi", "nvidia.com/gpu": str(plan.options.gpus)}
        template = _make_pod("ray-worker", gpu)
        groups.append(
            {"groupName": "gpu", "replicas": 1, "minReplicas": 0, "maxReplicas": 1, "rayStartParams": {},
             "template": template}
        )  # fmt: skip
    return {
        "rayVersion": RAY_VERSION,
        "enableInTreeAutoscaling": True,
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            # Only the job's entry point runs on the head.
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
            "template": _make_pod("ray-head", {"cpu": "2", "memory": "4Gi"}),
        },
        "workerGroupSpecs": groups,
    }


def _make_pod(name: str, resources: dict[str, str]) -> dict[str, Any]:
    return {
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
            "containers": [
                {
                    "name": name,
                    "image": IMAGE,
                    "resources": {"requests": resources, "limits": dict(resources)},
                    "volumeMounts": [{"name": "shared", "mountPath": SHARED}, {"name": "shm", "mountPath": "/dev/shm"}],
                }
            ],
            "volumes": [
                {"name": "shared", "persistentVolumeClaim": {"claimName": VOLUME_CLAIM}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            ],
        }
    }


def make_slurm_script(plan: JobPlan) -> str:
    """Return a batch script that trains the run directory itself, on a file system that all nodes share."""
    resume = str(plan.resume.file.path.resolve()) if plan.resume else None
    # All nodes are there before training starts, so that the learner never waits for one.
    options = plan.train_options(resume=resume)
    at = options.index("--wait-seconds")
    gpus = f"#SBATCH --gpus-per-node={plan.options.gpus}\n" if plan.options.gpus else ""
    return _SLURM.format(
        name=plan.submission_id, nodes=_count_workers(plan), cpus=CPUS_PER_NODE, gpus=gpus,
        run=shlex.quote(str(plan.run_dir)), options=shlex.join(options[:at] + options[at + 2 :]), grace=STOP_SECONDS,
    )  # fmt: skip


_SLURM = """\
#!/usr/bin/env bash
# Made by: retro-gamer submit RUN_DIR --dry-run --format slurm
# Submit with sbatch. RUN_DIR, the game and the environment are on a file system that all nodes share.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
{gpus}#SBATCH --signal=B:TERM@{grace}
#SBATCH --output=%x-%j.out
set -euo pipefail

# Activate the environment with retro-gamer before sbatch, or name it in RETRO_GAMER_VENV.
if [[ -n "${{RETRO_GAMER_VENV:-}}" ]]; then
    # shellcheck disable=SC1091
    source "$RETRO_GAMER_VENV/bin/activate"
fi
run_dir={run}

# A token for this job alone: nobody else on these nodes can join its cluster.
RAY_AUTH_TOKEN_PATH="$(mktemp "$HOME/.retro-gamer-token.XXXXXX")"
export RAY_AUTH_TOKEN_PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH"
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_node="${{nodes[0]}}"
port=$((20000 + SLURM_JOB_ID % 20000))

# Start Ray on all nodes; it stops when the command on the first node ends.
srun --kill-on-bad-exit=1 \\
    ray symmetric-run --address "$head_node:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \\
    --num-cpus "$SLURM_CPUS_PER_TASK" -- \\
    retro-gamer train "$run_dir" --address auto {options} &
training=$!
# Slurm sends SIGTERM to this script {grace} seconds before the time limit; the run then writes a checkpoint.
trap 'kill -TERM "$training"' TERM
wait "$training" || wait "$training"
"""
