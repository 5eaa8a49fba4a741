"""Every command of docs/cluster.md runs, in the order in which it is shown, against a real cluster."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from retro_gamer.run.directory import RunDirectory
from tests.cluster.nodes import Cluster
from tests.test_docs import GAME, ROOT, commands, shorten
from tests.training.corridors import episodes_of

SHOWN_ADDRESS = "http://127.0.0.1:8265"


def test_the_commands_of_the_page_run(cluster: Cluster, tmp_path: Path) -> None:
    cluster.wait_for_nodes(3)
    for file in GAME.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    shown = [shorten(command) for command in commands(ROOT / "docs" / "cluster.md")]
    assert {command.split()[1] for command in shown} == {"create", "submit", "info", "attach", "train"}
    said = []
    for command in shown:
        arguments = shlex.split(command.replace(SHOWN_ADDRESS, cluster.dashboard))
        done = subprocess.run(
            [sys.executable, "-m", "retro_gamer", *arguments[1:]], cwd=tmp_path, capture_output=True, text=True,
            timeout=300, env={**cluster.environment, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        said.append(done.stdout)
    run = RunDirectory(tmp_path / "runs" / "far")
    assert len(episodes_of(run)) == 100
    assert (tmp_path / "copies" / "far" / "checkpoints" / "final.pt").read_bytes() == (
        run.checkpoints_dir / "final.pt"
    ).read_bytes()
    assert json.loads((tmp_path / "copies" / "far" / "status.json").read_bytes())["state"] == "ended"
