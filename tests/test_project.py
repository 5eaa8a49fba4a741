"""What surrounds the code agrees with it: the workflow, the documentation site, CONTRIBUTING.md and pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PYTHONS = ["3.11", "3.12", "3.13"]
CHECKS = ["lint", "types", "docs", "test"]


def read_project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def targets_of_make() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def pages_in_toctrees(index: str) -> list[str]:
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", index, flags=re.DOTALL | re.MULTILINE)
    return [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]


def test_the_workflow_checks_every_python_that_the_package_names() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())
    job = workflow["jobs"]["check"]
    assert job["strategy"]["matrix"]["python"] == PYTHONS
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert [command.split()[:2] for command in commands] == [
        ["make", "setup"],
        ["make", "check"],
        ["make", "coverage"],
    ]
    assert "vars.TORCH_INDEX" in commands[0]


def test_pyproject_names_the_same_pythons() -> None:
    project = read_project()["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert named == PYTHONS
    assert project["requires-python"] == f">={PYTHONS[0]}"


@pytest.mark.parametrize("command", [["bash", "-n", ".ci/run"], ["make", "--dry-run", "check"]], ids=" ".join)
def test_what_runs_the_checks_can_be_read(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_one_command_runs_every_check_once() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert f"\ncheck: {' '.join(CHECKS)}\n" in makefile
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make check"


def test_contributing_shows_only_commands_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    shown = set(re.findall(r"(?:`|\$ )make ([a-z]+)", text))
    assert {"setup", "check", *CHECKS} <= shown | {"test"}
    assert shown <= targets_of_make()


def test_every_page_is_on_the_site_once() -> None:
    docs = ROOT / "docs"
    assert (docs / "conf.py").is_file()
    shown = pages_in_toctrees((docs / "index.md").read_text())
    assert sorted(shown) == sorted(page.stem for page in docs.glob("*.md") if page.name != "index.md")


def test_the_licence_is_the_one_that_the_package_declares() -> None:
    project = read_project()["project"]
    assert project["license"] == "MIT"
    (file,) = project["license-files"]
    assert (ROOT / file).read_text().startswith("MIT License")


def test_the_checks_run_with_the_versions_that_are_pinned() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements" / "tested.txt").read_text(), re.MULTILINE))
    for tool in ("coverage", "furo", "mypy", "myst-parser", "pytest", "ruff", "Sphinx"):
        assert metadata.version(tool) == pinned[tool], f"run make setup: {tool} differs from requirements/tested.txt"
