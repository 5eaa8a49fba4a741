from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.cli import run
from tests.trained_runs import make_trained_run


def test_a_skipped_checkpoint_is_reported_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = make_trained_run(tmp_path, ("ep_0100", "final"))
    (run_dir / "checkpoints" / "final.pt").write_bytes(b"")
    assert run(["submit", str(run_dir), "--resume", "latest", "--dry-run", "--format", "slurm"]) == 0
    printed, told = capsys.readouterr()
    assert printed.startswith("#!/usr/bin/env bash\n")
    assert "ep_0100.pt" in printed
    assert "Note: skipped a damaged newer checkpoint: " in told
    assert "final.pt is damaged" in told
