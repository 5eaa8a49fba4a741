"""The house stands as docs/architecture.md draws it: each rule is first shown to catch a breach, then applied."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from retro_gamer.hyperparameters import SETTINGS

ROOT = Path(__file__).parent.parent / "retro_gamer"
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "version", "toml"),
    ("hyperparameters",),
    ("games",),
    ("replay",),
    ("features",),
    ("learning",),
    ("acting",),
    ("run",),
    ("policy", "evaluation"),
    ("training",),
    ("jobs",),
    ("backends",),
    ("driver",),
    ("cli",),
    ("__main__",),
)
"""From the ground up. `retro_gamer/__init__.py` is the door: it opens on every floor and nothing stands on it."""
RANKS = {room: rank for rank, floor in enumerate(FLOORS) for room in floor}
LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 50

MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and dotted name of everything imported, wherever it stands in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def find_climbing(module: Path, tree: ast.AST) -> list[str]:
    """Return the imports of `module` that lead to a higher floor, or through the door."""
    room = room_of(module)
    found = []
    for line, name in imports_of(tree):
        parts = name.split(".")
        if parts[0] != "retro_gamer" or len(parts) < 2 or parts[1] == room:
            continue
        if parts[1] not in RANKS or RANKS[parts[1]] > RANKS[room]:
            found.append(f"{module}:{line} imports {name}")
    return found


def find_imports(package: str, module: Path, tree: ast.AST) -> list[str]:
    return [f"{module}:{line} imports {name}" for line, name in imports_of(tree) if name.split(".")[0] == package]


def find_speaking(module: Path, tree: ast.AST) -> list[str]:
    """Return the calls that print or end the process."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    spoken = [(call.lineno, ast.unparse(call.func)) for call in calls]
    return [f"{module}:{line} calls {name}" for line, name in spoken if name in ("print", "sys.exit", "exit", "quit")]


def find_long_functions(module: Path, tree: ast.AST) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lengths = [(f.name, (f.end_lineno or f.lineno) - f.lineno + 1) for f in functions]
    return [f"{module}: {name} has {lines} lines" for name, lines in lengths if lines > LONGEST_FUNCTION_LINES]


def settings_read(tree: ast.AST) -> set[str]:
    """Return the attributes read from anything called settings or hyperparameters."""
    read = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            holder = ast.unparse(node.value).rpartition(".")[2]
            if holder.lstrip("_") in ("settings", "hyperparameters"):
                read.add(node.attr)
    return read


def parse(module: Path) -> ast.AST:
    return ast.parse((ROOT / module).read_text())


def test_the_rules_catch_what_they_forbid() -> None:
    tree = ast.parse(
        "import torch.nn as nn\n"
        "def f():\n"
        "    from retro_gamer.training import loop\n"
        "    from retro_gamer import cli, TrainedPolicy\n"
        "    import retro_gamer.policy\n"
        "    from retro_gamer.games.loading.keys import x\n"
        "    from retro_gamer.run import log\n"
        "    sys.exit(1)\n"
        "    print(2)\n" + "    x = 1\n" * 50
    )
    module = Path("run/log.py")
    assert [line.split()[0][-1] for line in find_climbing(module, tree)] == ["3", "4", "4", "5"]
    assert find_imports("torch", module, tree) == ["run/log.py:1 imports torch.nn"]
    assert [said.split()[-1] for said in find_speaking(module, tree)] == ["sys.exit", "print"]
    assert find_long_functions(module, tree) == ["run/log.py: f has 58 lines"]


def test_a_setting_counts_as_read_only_where_it_is_used() -> None:
    tree = ast.parse(
        "settings.gamma\nself._settings.n_step\nconfig.hyperparameters.seed\n"
        "other.epsilon\nsettings.layer_size = 3\n'settings.n_layers'\n"
    )
    assert settings_read(tree) == {"gamma", "n_step", "seed"}


def test_every_hyperparameter_is_read_somewhere() -> None:
    elsewhere = [module for module in MODULES if room_of(module) != "hyperparameters"]
    read = set().union(*(settings_read(parse(module)) for module in elsewhere))
    assert set(SETTINGS) - read == set()


def test_every_room_has_its_floor() -> None:
    assert {room_of(module) for module in MODULES} - {"__init__"} == set(RANKS)


@pytest.mark.parametrize("module", [m for m in MODULES if str(m) != "__init__.py"], ids=str)
def test_imports_run_downward_only(module: Path) -> None:
    assert find_climbing(module, parse(module)) == []


def test_ray_is_in_one_place_and_torch_in_one_room() -> None:
    rayed = {module for module in MODULES if find_imports("ray", module, parse(module))}
    torched = {module for module in MODULES if find_imports("torch", module, parse(module))}
    assert rayed
    assert torched
    assert {module.parent for module in rayed} == {Path("backends/ray")}
    assert {module.parts[0] for module in torched} == {"learning"}


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[0] not in ("cli", "__main__.py")], ids=str)
def test_only_the_command_line_prints_or_exits(module: Path) -> None:
    assert find_speaking(module, parse(module)) == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_files_and_functions_fit_the_eye(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= LONGEST_FILE_LINES
    assert find_long_functions(module, parse(module)) == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").is_file()
