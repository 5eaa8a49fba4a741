"""The package is built as docs/architecture.md draws it: each rule is first shown to catch a breach, then applied."""

from __future__ import annotations

import ast
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from retro_gamer.hyperparameters import SETTINGS
from tests.retired_words import find_retired, words_of

PROJECT = Path(__file__).parent.parent
ROOT = PROJECT / "retro_gamer"
LAYERS: tuple[tuple[str, ...], ...] = (
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
"""The layers, from the lowest up. `retro_gamer/__init__.py` may import from all of them, and none imports from it."""
RANKS = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}
MOST_FILES = 131
MOST_LINES = 20_900
MOST_MODULES_IN_A_FOLDER = 10
LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 50
SHORT_FUNCTION_LINES = 20
SHORT_FUNCTIONS_SHARE = 0.95

MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imports_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and dotted name of everything imported, wherever it is in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def find_upward_imports(module: Path, tree: ast.AST) -> list[str]:
    """Return the imports of `module` that lead to a higher layer or to the package itself."""
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


def find_printing(module: Path, tree: ast.AST) -> list[str]:
    """Return the calls that print or end the process."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    printing = [(call.lineno, ast.unparse(call.func)) for call in calls]
    return [f"{module}:{line} calls {name}" for line, name in printing if name in ("print", "sys.exit", "exit", "quit")]


def find_long_functions(module: Path, tree: ast.AST) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lengths = [(f.name, (f.end_lineno or f.lineno) - f.lineno + 1) for f in functions]
    return [f"{module}: {name} has {lines} lines" for name, lines in lengths if lines > LONGEST_FUNCTION_LINES]


def lengths_of_bodies(tree: ast.AST) -> list[int]:
    """Return the lines of each function's statements, without signature and docstring."""
    lengths = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lengths.append((body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0)
    return lengths


def share_of_short(lengths: Iterable[int]) -> float:
    """Return the share of functions with fewer than 21 lines."""
    short = [length <= SHORT_FUNCTION_LINES for length in lengths]
    return sum(short) / len(short)


Graph = dict[Path, set[Path]]


def imports_between(trees: Mapping[Path, ast.AST]) -> Graph:
    """Return which module imports which, wherever in a file and for whatever purpose it does."""
    graph: Graph = {module: set() for module in trees}
    for module, tree in trees.items():
        for _, name in imports_of(tree):
            parts = name.split(".")[1:] if name.startswith("retro_gamer.") else []
            while parts:
                target = Path(*parts)
                found = {target.with_suffix(".py"), target / "__init__.py"} & set(trees)
                if found:
                    graph[module] |= found - {module}
                    break
                parts.pop()
    return graph


def folder_of(module: Path) -> Path:
    """Return the folder that a module lies in; one at the top of the package counts as a folder of its own."""
    return module.parent if len(module.parts) > 1 else module


def imports_between_folders(graph: Graph) -> Graph:
    folders: Graph = {}
    for module, targets in graph.items():
        folder = folder_of(module)
        folders.setdefault(folder, set()).update({folder_of(target) for target in targets} - {folder})
    return folders


def find_circle(graph: Graph) -> list[Path]:
    """Return those that lie on a circle or between two, in any order; none if there is no circle."""
    left = {node: set(targets) for node, targets in graph.items()}
    while True:
        pointed_at = set().union(*left.values()) if left else set()
        ends = {node for node, targets in left.items() if not targets & set(left) or node not in pointed_at}
        if not ends:
            return sorted(left)
        left = {node: targets - ends for node, targets in left.items() if node not in ends}


def find_doubles(modules: Iterable[Path]) -> list[str]:
    """Return the file names that occur twice."""
    names = Counter(module.name for module in modules if module.name != "__init__.py")
    return sorted(name for name, count in names.items() if count > 1)


def find_crowded(modules: Iterable[Path], most: int) -> list[str]:
    counts = Counter(module.parent for module in modules if module.name != "__init__.py")
    return [f"{folder} has {count} modules" for folder, count in sorted(counts.items()) if count > most]


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


def write_modules(sources: Mapping[str, str]) -> dict[Path, ast.AST]:
    return {Path(name): ast.parse(source) for name, source in sources.items()}


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
    assert [line.split()[0][-1] for line in find_upward_imports(module, tree)] == ["3", "4", "4", "5"]
    assert find_imports("torch", module, tree) == ["run/log.py:1 imports torch.nn"]
    assert [line.split()[-1] for line in find_printing(module, tree)] == ["sys.exit", "print"]
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


@pytest.mark.parametrize(
    ("sources", "files", "folders"),
    [
        ({"a.py": "", "b.py": "from retro_gamer import a", "c.py": "import retro_gamer.b"}, "", ""),
        (
            {"a.py": "def f():\n    import retro_gamer.b", "b.py": "from retro_gamer.a import f"},
            "a.py b.py",
            "a.py b.py",
        ),
        (
            {"x/a.py": "if TYPE_CHECKING:\n    from retro_gamer.y.b import B", "y/b.py": "import retro_gamer.x.a"},
            "x/a.py y/b.py",
            "x y",
        ),
        (
            {"x/a.py": "import retro_gamer.y.b", "y/b.py": "", "y/c.py": "import retro_gamer.x.d", "x/d.py": ""},
            "",
            "x y",
        ),
        ({"x/a.py": "import retro_gamer.x.z.b", "x/z/b.py": "import retro_gamer.x.c", "x/c.py": ""}, "", "x x/z"),
        (
            {"x/__init__.py": "import retro_gamer.y", "y.py": "from retro_gamer.x import f"},
            "x/__init__.py y.py",
            "x y.py",
        ),
    ],
)
def test_the_rule_against_circles_catches_them(sources: dict[str, str], files: str, folders: str) -> None:
    graph = imports_between(write_modules(sources))
    assert [str(module) for module in find_circle(graph)] == files.split()
    assert [str(folder) for folder in find_circle(imports_between_folders(graph))] == folders.split()


def test_no_circle_joins_files_or_folders() -> None:
    graph = imports_between({module: parse(module) for module in MODULES if str(module) != "__init__.py"})
    assert sum(map(len, graph.values())) > len(graph)
    assert find_circle(graph) == []
    assert find_circle(imports_between_folders(graph)) == []


def test_the_rules_on_folders_and_names_catch_what_they_forbid() -> None:
    modules = [Path(f"x/{name}.py") for name in ("a", "b", "__init__")] + [Path("y/a.py"), Path("y/__init__.py")]
    assert find_doubles(modules) == ["a.py"]
    assert find_crowded(modules, most=1) == ["x has 2 modules"]
    assert find_crowded(modules, most=2) == []
    assert share_of_short([3, 20, 21, 50]) == 0.5
    tree = ast.parse('def f():\n    """Docstring."""\n    a = (\n        1\n    )\n\ndef g(\n    b,\n): return b\n')
    assert lengths_of_bodies(tree) == [3, 1]


def test_the_package_is_small_and_no_two_modules_share_a_name() -> None:
    assert len(MODULES) <= MOST_FILES
    assert sum(len((ROOT / module).read_text().splitlines()) for module in MODULES) <= MOST_LINES
    assert find_crowded(MODULES, MOST_MODULES_IN_A_FOLDER) == []
    assert find_doubles(MODULES) == []


def test_most_functions_are_short() -> None:
    lengths = itertools.chain.from_iterable(lengths_of_bodies(parse(module)) for module in MODULES)
    assert share_of_short(lengths) >= SHORT_FUNCTIONS_SHARE


def test_every_room_has_its_layer() -> None:
    assert {room_of(module) for module in MODULES} - {"__init__"} == set(RANKS)


@pytest.mark.parametrize("module", [m for m in MODULES if str(m) != "__init__.py"], ids=str)
def test_imports_run_downward_only(module: Path) -> None:
    assert find_upward_imports(module, parse(module)) == []


def test_ray_is_in_one_place_and_torch_in_one_room() -> None:
    rayed = {module for module in MODULES if find_imports("ray", module, parse(module))}
    torched = {module for module in MODULES if find_imports("torch", module, parse(module))}
    assert rayed
    assert torched
    assert {module.parent for module in rayed} == {Path("backends/ray")}
    assert {module.parts[0] for module in torched} == {"learning"}


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[0] not in ("cli", "__main__.py")], ids=str)
def test_only_the_command_line_prints_or_exits(module: Path) -> None:
    assert find_printing(module, parse(module)) == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_files_and_functions_are_short(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= LONGEST_FILE_LINES
    assert find_long_functions(module, parse(module)) == []


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "py.typed").is_file()


WRITTEN = sorted(
    path.relative_to(PROJECT)
    for pattern in (
        "*.md",
        "retro_gamer/**/*.py",
        "benchmarks/**/*.py",
        "docs/*.md",
        "docs/*.py",
        "cluster/*",
        "docker/*",
    )
    for path in PROJECT.glob(pattern)
    if path.name != "CHANGELOG.md" and path.is_file()
)
"""All that is read for retired words: code with its messages, and documentation."""


def test_the_rule_on_words_catches_them_in_names_and_prose() -> None:
    retired = {"seen batch": "FeatureBatch", "mailbox": "event queue"}
    text = "class SeenBatch:\n    # Look at seen batches.\n    def empty_mailboxes(self): HTTPMailbox"
    assert words_of("HTTPMailbox of_SeenBatch2") == " http mailbox of seen batch "
    assert list(find_retired(text, "x.py", retired)) == [
        "x.py says 'seen batch' 2 times; the word now is 'FeatureBatch'",
        "x.py says 'mailbox' 2 times; the word now is 'event queue'",
    ]
    assert list(find_retired("as seen: batchy mails", "x.py", retired)) == []
    assert len(list(find_retired("Nowhere() to go", "x.py", {"Nowhere": "DiscardedOutput"}))) == 1
    assert list(find_retired("goes nowhere", "x.py", {"Nowhere": "DiscardedOutput"})) == []


def test_no_retired_word_is_used() -> None:
    found = [line for path in WRITTEN for line in find_retired((PROJECT / path).read_text(), str(path))]
    assert found == []


def test_no_file_has_a_retired_name() -> None:
    named = [path for folder in ("retro_gamer", "benchmarks", "tests") for path in (PROJECT / folder).rglob("*.py")]
    assert [line for path in named for line in find_retired(path.stem, str(path.relative_to(PROJECT)))] == []


def rooms_of_map(page: str) -> list[str]:
    """Return the rooms that the map of docs/architecture.md names, from the highest layer down."""
    drawn = page.partition("\n## Map\n")[2].partition("```text\n")[2].partition("```")[0]
    return re.findall(r"^    ([a-z_]+)(?:/|\.py) ", drawn, flags=re.MULTILINE)


def test_the_map_of_the_documentation_shows_the_layers() -> None:
    rooms = rooms_of_map((PROJECT / "docs" / "architecture.md").read_text())
    assert set(RANKS) - set(rooms) <= {"__main__", "version"}
    ranks = [RANKS[room] for room in rooms]
    assert ranks == sorted(ranks, reverse=True)
