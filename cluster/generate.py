"""Writes the generated files in this folder: python -m cluster.generate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from retro_gamer.games.loading.find import GameSource
from retro_gamer.jobs.manifests import make_rayjob, make_slurm_script
from retro_gamer.jobs.package import Package
from retro_gamer.jobs.submission import JobPlan
from retro_gamer.training.planning.allocation import ClusterOptions

HERE = Path(__file__).parent
NAME = "retro-gamer-snake"
PANELS = (
    ("Turns per second", "ray_retro_gamer_turns_per_second", "ops"),
    ("Updates per second", "ray_retro_gamer_updates_per_second", "ops"),
    ("Episodes", "ray_retro_gamer_episodes", "short"),
    ("Mean reward of the last 100 episodes", "ray_retro_gamer_mean_reward", "short"),
    ("Turns per update (achieved)", "ray_retro_gamer_turns_per_update", "short"),
    ("Turns per update (wanted)", "ray_retro_gamer_target_turns_per_update", "short"),
    ("Learner waits", "ray_retro_gamer_learner_wait_share", "percentunit"),
    ("Actors wait", "ray_retro_gamer_actor_wait_share", "percentunit"),
    ("Replay filled", "ray_retro_gamer_replay_fill", "percentunit"),
    ("Policy lag in updates", "ray_retro_gamer_policy_lag_updates", "short"),
    ("Actors present", "ray_retro_gamer_present_actors", "short"),
    ("Actors lost", "ray_retro_gamer_lost_actors", "short"),
    ("Learners restarted", "ray_retro_gamer_learner_restarts", "short"),
    ("Loss", "ray_retro_gamer_loss", "short"),
)


def make_plan() -> JobPlan:
    """Return the job of the examples: Snake with six actors."""
    game = GameSource(module="retro.examples.snake")
    return JobPlan(
        submission_id=NAME,
        run_dir=Path("/shared/runs/snake"),
        package=Package(files=(), source=game, left_out=()),
        resume=None,
        options=ClusterOptions(address="auto"),
        n_actors=6,
        minutes=None,
        storage=None,
    )


def make_dashboard() -> str:
    """Return a Grafana dashboard with a panel for each metric, filtered by the cluster's session."""
    panels: list[dict[str, Any]] = []
    for number, (title, metric, unit) in enumerate(PANELS):
        place = {"h": 7, "w": 12, "x": 12 * (number % 2), "y": 7 * (number // 2)}
        target = {"expr": f'{metric}{{SessionName=~"$session"}}', "legendFormat": "{{JobId}}", "refId": "A"}
        panels.append(
            {
                "id": number + 1,
                "type": "timeseries",
                "title": title,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "gridPos": place,
                "targets": [target],
            }
        )
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    session = {
        "name": "session",
        "type": "query",
        "label": "Ray session",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": "label_values(ray_retro_gamer_episodes, SessionName)",
        "includeAll": True,
        "allValue": ".*",
        "refresh": 2,
    }
    dashboard = {
        "title": "retro-gamer",
        "uid": "retro-gamer",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, session]},
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2) + "\n"


def make_files() -> dict[str, str]:
    """Return the generated files by name."""
    plan = make_plan()
    return {
        "rayjob.yaml": make_rayjob(plan),
        "slurm.sh": make_slurm_script(plan),
        "grafana-dashboard.json": make_dashboard(),
    }


if __name__ == "__main__":
    for name, text in make_files().items():
        (HERE / name).write_text(text)
