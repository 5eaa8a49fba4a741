"""What operators are given: checked against the schemas and linters of those who will read it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.generate import NAME, PANELS, make_files, make_plan
from retro_gamer.backends.ray.learner_process import METRICS
from retro_gamer.jobs.manifests import make_rayjob, make_slurm_script
from tests.training.corridors import make_corridor_run

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
SCHEMA = Path(__file__).parent / "schemas" / "rayjobs.v1.schema.json"


def check_rayjob(manifest: dict[str, Any]) -> None:
    """Hold a manifest against KubeRay's own schema, in which a field that is not declared is wrong."""
    jsonschema.validate(manifest, closed(json.loads(SCHEMA.read_text())))


def closed(schema: Any) -> Any:
    """Return the schema with every object that declares its fields refusing others, as the API server prunes them."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        open_ended = "additionalProperties" in made or made.get("x-kubernetes-preserve-unknown-fields")
        return made if open_ended else {**made, "additionalProperties": False}
    return made


def bare(manifest: dict[str, Any]) -> dict[str, Any]:
    """Leave out what every Kubernetes object has and the schema of the custom resource does not repeat."""
    return {"spec": manifest["spec"]}


@pytest.mark.parametrize("name", make_files())
def test_the_examples_are_what_the_code_makes(name: str) -> None:
    assert (CLUSTER / name).read_text() == make_files()[name], "run: python -m cluster.generate"


def test_the_rayjob_is_one_that_kuberay_takes() -> None:
    manifest = yaml.safe_load((CLUSTER / "rayjob.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"])
    check_rayjob(bare(manifest))
    spec = manifest["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    environment = yaml.safe_load(spec["runtimeEnvYAML"])
    assert environment["working_dir"] == f"file:///shared/{NAME}.zip"
    assert int(environment["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) >= 60
    pods = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in pods):
        (container,) = pod["containers"]
        assert container["resources"]["requests"]["cpu"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/shared", "/dev/shm"}
        assert pod["securityContext"]["runAsNonRoot"] is True


def test_the_check_of_rayjobs_finds_a_field_that_is_none() -> None:
    manifest = bare(yaml.safe_load((CLUSTER / "rayjob.yaml").read_text()))
    manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["repliccas"] = 3
    with pytest.raises(jsonschema.ValidationError, match="repliccas"):
        check_rayjob(manifest)


@pytest.mark.parametrize("name", ["on-premise.yaml", "aws.yaml"])
def test_ray_up_takes_its_files(name: str) -> None:
    config = yaml.safe_load((CLUSTER / name).read_text())
    validate_config(prepare_config(config))
    assert config["file_mounts"]["~/.ray/auth_token"]
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token" in commands[-1]


def test_the_volume_is_the_one_that_the_rayjob_mounts() -> None:
    volume = yaml.safe_load((CLUSTER / "shared-volume.yaml").read_text())
    assert volume["metadata"]["name"] in (CLUSTER / "rayjob.yaml").read_text()
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_the_slurm_script_is_sound(tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", str(CLUSTER / "slurm.sh")], check=True)
    subprocess.run([tool("shellcheck"), str(CLUSTER / "slurm.sh")], check=True)


def test_the_slurm_script_runs_training_on_the_nodes_it_was_given(tmp_path: Path) -> None:
    """With stand-ins for Slurm's own commands, which say what they were asked."""
    stand_ins = {
        "srun": 'echo "srun $*"; echo "token $(wc -c < "$RAY_AUTH_TOKEN_PATH") $RAY_AUTH_MODE"',
        "scontrol": "printf 'node7\\nnode8\\n'",
        "python": f'exec {shlex.quote(sys.executable)} "$@"',
    }
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": "123", "SLURM_JOB_NUM_NODES": "2"}
    done = subprocess.run(
        ["bash", str(CLUSTER / "slurm.sh")], capture_output=True, text=True, check=True,
        env={**slurm, "SLURM_CPUS_PER_TASK": "4", "HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    asked, token = done.stdout.splitlines()
    assert "ray symmetric-run --address node7:20123 --min-nodes 2 --num-cpus 4 -- retro-gamer train" in asked
    assert asked.endswith("train /shared/runs/snake --address auto --actors 6 --retries 3")
    assert token == "token 64 token"
    assert not list(tmp_path.glob(".retro-gamer-token*"))


def test_dry_run_prints_this_very_run(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path)

    def printed(*arguments: str) -> str:
        command = [sys.executable, "-m", "retro_gamer", "submit", str(run.path), "--dry-run", "--actors", "5"]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout

    words = printed("--package", str(tmp_path / "package.zip"))
    assert "game/game.py" in words
    assert "run/config.toml" in words
    assert (tmp_path / "package.zip").stat().st_size > 1000
    manifest = yaml.safe_load(printed("--format", "rayjob", "--gpus", "1", "--storage", "s3://bucket/run"))
    check_rayjob(bare(manifest))
    assert "--actors 5" in manifest["spec"]["entrypoint"]
    assert "--storage s3://bucket/run" in manifest["spec"]["entrypoint"]
    assert '"path": "game/game.py"' in manifest["spec"]["entrypoint"]
    gpu = manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"][1]["template"]["spec"]["containers"][0]
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == "1"
    script = printed("--format", "slurm")
    assert f"run_dir={run.path}\n" in script
    assert "--actors 5" in script
    assert not (run.path / ".job.json").exists()


def test_names_that_need_quoting_stay_one_word() -> None:
    import dataclasses

    plan = dataclasses.replace(make_plan(), run_dir=Path("/shared/my runs/it's"), storage="/shared/my copies")
    script = make_slurm_script(plan)
    done = subprocess.run([tool("shellcheck"), "-"], input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in script.splitlines() if line.startswith("run_dir=")]
    assert shlex.split(line) == ["run_dir=/shared/my runs/it's"]
    check_rayjob(bare(yaml.safe_load(make_rayjob(plan))))


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    shown = {metric.removeprefix("ray_retro_gamer_") for _, metric, _ in PANELS}
    assert shown <= {*METRICS, "replay_fill", "learner_restarts"}
    dashboard = json.loads((CLUSTER / "grafana-dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(PANELS)


def test_the_dockerfile_is_sound() -> None:
    subprocess.run([tool("hadolint"), str(ROOT / "docker" / "Dockerfile")], check=True)


def test_the_image_gets_what_it_copies_and_all_that_a_run_needs() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    copied = [part for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for part in line.split()[:-1]]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)
    pinned = (ROOT / "requirements" / "tested.txt").read_text().partition("# for tests and checks")[0].lower()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    for name in (re.match(r"[\w-]+", requirement) for requirement in needed):
        assert name is not None
        assert re.search(rf"^{name[0].lower()}==", pinned, re.MULTILINE), f"{name[0]} would not be in the image"


def test_the_compose_file_has_a_head_two_workers_and_a_submitter() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"head", "worker", "submitter"}
    assert services["worker"]["deploy"]["replicas"] == 2
    for service in services.values():
        assert service["shm_size"] == "2gb"
        assert service["secrets"] == ["token"]
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/token"
        for volume in service["volumes"]:
            name = volume.split(":")[0]
            assert name.startswith(".") or name in compose["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in services["head"]["ports"])
    assert (ROOT / "docker" / services["head"]["build"]["context"] / services["head"]["build"]["dockerfile"]).is_file()
