"""A job as what other schedulers take: a RayJob for KubeRay, a batch script for Slurm."""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from retro_gamer.jobs.submission import JobPlan

IMAGE = "retro-gamer:latest"
RAY_VERSION = "2.60.0"
SHARED = "/shared"
VOLUME_CLAIM = "retro-gamer-shared"
TOKEN_SECRET = "ray-auth-token"
MOST_WORKERS = 8
DEFAULT_WORKERS = 2
CPUS_A_NODE = 4


def make_rayjob(plan: JobPlan) -> str:
    """Return the manifest. The package and the copy of the run are on a volume that all pods share."""
    name = plan.submission_id.lower()[:47].strip("-")
    package = f"{SHARED}/{plan.submission_id}.zip"
    storage = plan.storage or f"{SHARED}/runs/{plan.submission_id}"
    entrypoint = plan.entrypoint if plan.storage else f"{plan.entrypoint} --storage {shlex.quote(storage)}"
    runtime_env = {"working_dir": f"file://{package}", "env_vars": plan.env_vars}
    manifest = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": entrypoint,
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
        f"# Put the package onto the shared volume as {package} (submit --package FILE writes it), then:\n"
        "#   kubectl apply -f THIS_FILE\n"
        f"# The run is kept in {storage}: copy it home from there, or play it there.\n"
    )
    return head + yaml.safe_dump(manifest, sort_keys=False, width=120)


def _make_ray_cluster(plan: JobPlan) -> dict[str, Any]:
    workers = DEFAULT_WORKERS if plan.n_actors is None else max(1, -(-(plan.n_actors + 2) // CPUS_A_NODE))
    groups = [
        {
            "groupName": "workers",
            "replicas": min(workers, MOST_WORKERS),
            "minReplicas": 0,
            "maxReplicas": MOST_WORKERS,
            "rayStartParams": {},
            "template": _make_pod("ray-worker", {"cpu": str(CPUS_A_NODE), "memory": "8Gi"}),
        }
    ]
    if plan.options.gpus:
        gpu = {"cpu": str(CPUS_A_NODE), "memory": "16Gi", "nvidia.com/gpu": str(plan.options.gpus)}
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
            # Nothing but the job's entry point runs on the head.
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
                    "volumeMounts": [
                        {"name": "shared", "mountPath": SHARED},
                        {"name": "shm", "mountPath": "/dev/shm"},
                    ],
                }
            ],
            "volumes": [
                {"name": "shared", "persistentVolumeClaim": {"claimName": VOLUME_CLAIM}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            ],
        }
    }


def make_slurm_script(plan: JobPlan) -> str:
    """Return a batch script for the run directory itself, which lies on the file system that all nodes share."""
    n_nodes = DEFAULT_WORKERS if plan.n_actors is None else max(1, -(-(plan.n_actors + 2) // CPUS_A_NODE))
    options = {
        "--actors": plan.n_actors,
        "--minutes": plan.minutes,
        "--learner-cpus": plan.options.learner_cpus,
        "--gpus": plan.options.gpus or None,
        "--retries": plan.options.retries,
        "--resume": plan.resume.file.path.resolve() if plan.resume else None,
        "--storage": plan.storage,
    }
    given = " ".join(f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None)
    gpus = f"#SBATCH --gpus-per-node={plan.options.gpus}\n" if plan.options.gpus else ""
    return _SLURM.format(
        name=plan.submission_id, nodes=n_nodes, cpus=CPUS_A_NODE, gpus=gpus, run=shlex.quote(str(plan.run_dir)),
        options=given, grace=120,
    )  # fmt: skip


_SLURM = """\
#!/usr/bin/env bash
# Made by: retro-gamer submit RUN_DIR --dry-run --format slurm
# Submit with sbatch. RUN_DIR, the game and the environment lie on the file system that all nodes share.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
{gpus}#SBATCH --signal=B:TERM@{grace}
#SBATCH --output=%x-%j.out
set -euo pipefail

# The environment with retro-gamer in it: activate it before sbatch, or name it in RETRO_GAMER_VENV.
if [[ -n "${{RETRO_GAMER_VENV:-}}" ]]; then
    # shellcheck disable=SC1091
    source "$RETRO_GAMER_VENV/bin/activate"
fi
run_dir={run}

# A token of this job's own: nobody else on these nodes can join its cluster.
RAY_AUTH_TOKEN_PATH="$(mktemp "$HOME/.retro-gamer-token.XXXXXX")"
export RAY_AUTH_TOKEN_PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH"
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_node="${{nodes[0]}}"
port=$((20000 + SLURM_JOB_ID % 20000))

# One Ray on all nodes for as long as the command on the first one runs.
srun --kill-on-bad-exit=1 \\
    ray symmetric-run --address "$head_node:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \\
    --num-cpus "$SLURM_CPUS_PER_TASK" -- \\
    retro-gamer train "$run_dir" --address auto {options} &
training=$!
# Slurm sends SIGTERM to this script {grace} seconds before the time is over; the run then writes a checkpoint.
trap 'kill -TERM "$training"' TERM
wait "$training" || wait "$training"
"""
