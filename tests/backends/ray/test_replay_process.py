from __future__ import annotations

import subprocess
import sys


def test_the_process_of_replay_does_without_torch() -> None:
    code = (
        "import sys; from retro_gamer.backends.replay_service import ReplayService; "
        "from retro_gamer.training.planning.run_spec import RunSpec; "
        "print('torch' in sys.modules, ReplayService.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "ReplayService"]
