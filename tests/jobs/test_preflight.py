from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from retro_gamer.jobs import preflight
from retro_gamer.jobs.preflight import describe_missing


def test_on_this_machine_nothing_is_missing() -> None:
    assert describe_missing() is None


def test_a_missing_package_is_named_with_the_python_that_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "NEEDED", ("numpy", "no-such-package", "none-either"))
    text = describe_missing()
    assert text is not None
    assert f"({sys.executable}) lacks no-such-package, none-either. Start Ray" in text


def test_an_old_python_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "LOWEST_PYTHON", (99, 0))
    assert f"it has {sys.version_info[0]}.{sys.version_info[1]}" in str(describe_missing())


def test_it_runs_on_the_standard_library_alone() -> None:
    path = Path(preflight.__file__)
    code = f"import runpy; print(runpy.run_path({str(path)!r})['NEEDED'][0])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ray\n"
