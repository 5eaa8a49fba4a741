"""Every command and every piece of Python shown in the documentation runs, in the order in which it is shown."""

from __future__ import annotations

import ast
import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from docs import generate
from tests.test_structure import RANKS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHORTER = [
    (r"--minutes [\d.]+", "--minutes 0.03"),
    (r"--training-episodes 300\b", "--training-episodes 100 --max-turns-per-episode 20 --train-every 32"),
    (r"evaluate \S+", r"\g<0> --episodes 4"),
    (r"check my_game.py", "check my_game.py --seconds 0.5 --turns 500"),
]
"""Long work is shortened, never left out."""
GAME = ROOT / "tests" / "games" / "documented"
ENTER = b"\r"
DEADLINE_SECONDS = 120


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    lines = "".join(blocks(page, "console")).splitlines()
    return [line[2:].split("  #")[0].strip() for line in lines if line.startswith("$ ")]


def shorten(command: str) -> str:
    for pattern, replacement in SHORTER:
        command = re.sub(pattern, replacement, command)
    return command


def run_in_terminal(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run a command that takes over the terminal, press Enter once it has drawn, and return its status and output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        arguments, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed: the command has ended
                break
        if "╔" in shown.decode(errors="replace"):
            os.write(ours, ENTER)
    try:
        return process.wait(timeout=10), shown.decode(errors="replace")
    finally:
        process.kill()
        os.close(ours)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in GAME.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    return tmp_path


# Those of docs/cluster.md need a cluster and run in tests/cluster/test_documented.py.
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in ("README.md", "cluster.md")], ids=lambda page: page.stem
)
def test_commands_run(page: Path, folder: Path) -> None:
    for command in commands(page):
        arguments = shlex.split(shorten(command))
        assert arguments[0] == "retro-gamer", f"{page.name} shows a command this test does not know: {command}"
        arguments = [sys.executable, "-m", "retro_gamer", *arguments[1:]]
        if "play" in arguments:
            status, output = run_in_terminal(arguments, folder)
        else:
            done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
            status, output = done.returncode, done.stdout + done.stderr
        assert status == 0, f"{command}\n{output[-2000:]}"


def test_readme_commands_exist() -> None:
    """The README's make targets are in the Makefile, and its own commands are those of the tutorial and more."""
    shown = commands(ROOT / "README.md")
    targets = [command.split()[1] for command in shown if command.startswith("make ")]
    assert targets == ["demo", "test"]
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_the_demo_runs_twice(folder: Path) -> None:
    """The demo's own commands, shortened; a second demo keeps the first one aside."""
    printed = subprocess.run(
        ["make", "--dry-run", "demo", "DEMO_MINUTES=0.03"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    start = ".venv/bin/retro-gamer "
    shown = [line.removeprefix(start) for line in printed.splitlines() if line.startswith(start)]
    assert [command.split()[0] for command in shown] == ["create", "train", "info"]
    for command in (*shown, shown[0]):
        arguments = [sys.executable, "-m", "retro_gamer", *shlex.split(command)]
        arguments += ["--actors", "0"] if "train" in arguments else []  # Ray is started often enough elsewhere
        subprocess.run(arguments, cwd=folder, check=True, capture_output=True, timeout=DEADLINE_SECONDS)
    assert (folder / "runs" / "snake" / "checkpoints" / "abandoned-1" / "final.pt").is_file()
    assert shlex.split(shown[0])[-1] == "--force"
    assert "play runs/snake" in blocks(ROOT / "README.md", "console")[1]


def test_readme_game_commands_run(folder: Path) -> None:
    watch, *game = [c for c in commands(ROOT / "README.md") if c.startswith("retro-gamer ")]
    assert watch == "retro-gamer play runs/snake"  # of the demo's run
    assert [c.split()[1] for c in game] == ["check", "create", "train", "play"]
    for command in game:
        arguments = [sys.executable, "-m", "retro_gamer", *shlex.split(command)[1:]]
        if command.split()[1] == "train":
            arguments += ["--minutes", "0.03"]
        if command.split()[1] == "play":
            status, output = run_in_terminal(arguments, folder)
            assert status == 0, output[-2000:]
        else:
            subprocess.run(arguments, cwd=folder, check=True, capture_output=True, timeout=DEADLINE_SECONDS)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_python_runs(page: Path, folder: Path) -> None:
    script = "if __name__ == '__main__':\n" + "".join(
        f"    {line}\n" for block in blocks(page, "python") for line in block.splitlines()
    )
    (folder / "shown.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "shown.py"], cwd=folder, capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", ["reliability.md", "security.md"])
def test_the_tests_that_a_page_names_exist(page: str) -> None:
    named = set(re.findall(r"`([\w/]*test_\w+\.py)`", (ROOT / "docs" / page).read_text()))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_relative_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.is_file(), f"{page.name} links to {target}"
        assert not anchor or anchor in headings(linked), f"{page.name} links to {target}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, spelled as GitHub and the docs site spell them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_hyperparameter_tables_are_those_declared() -> None:
    text = generate.REFERENCE.read_text()
    assert generate.insert_tables(text) == text, "run: python docs/generate.py"
    assert text.count("| `learning_rate` |") == 1


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGE = ROOT / "retro_gamer"
OF_THE_GAMES = {"Game": {"step", "play"}, "create_game": set[str]()}
"""What the page mentions of retro-games and of games."""
WALKS = {
    "### Walk 1: one transition, from `Game.step` to a changed weight": 18,
    "### Walk 2a: `--gamma`": 10,
    "### Walk 2b: `--learning-rate`": 10 - 6,  # after six steps that both share
    "### Walk 3a: one checkpoint, from the learner to the disk": 7,
    "### Walk 3b: the same checkpoint, home from a cluster": 12,
    "### Walk 4: one episode of a game without a factory": 9,
}
"""The most files that each walk may open."""


def section(title: str) -> str:
    """Return the text below a heading of docs/architecture.md, up to the next heading of its level or above."""
    level = len(title.split()[0])
    _, found, rest = ARCHITECTURE.partition(f"\n{title}\n")
    assert found, f"docs/architecture.md has no heading {title!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table_rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:] if not line.startswith("| ---")]


def files_named(text: str) -> list[str]:
    return re.findall(r"`([\w./-]+\.py)`", text)


def names_in(text: str) -> list[str]:
    """Return the code spans that name something of Python: `Class`, `Class.method`, `function()`, `CONSTANT`."""
    return re.findall(r"`([A-Z]\w*(?:\.\w+)?|\w+\(\))`", text)


def names_defined(path: Path) -> dict[str, set[str]]:
    """Return the functions, classes and constants of a file, each class with its attributes."""
    defined: dict[str, set[str]] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            inside = list(ast.walk(node))
            functions = {inner.name for inner in inside if isinstance(inner, ast.FunctionDef)}
            defined[node.name] = functions | {ast.unparse(i.target) for i in inside if isinstance(i, ast.AnnAssign)}
        elif isinstance(node, ast.FunctionDef):
            defined[node.name] = set()
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined.update({ast.unparse(target): set() for target in targets})
    return defined


def find_missing(names: list[str], defined: dict[str, set[str]]) -> list[str]:
    parted = {name: name.removesuffix("()").partition(".") for name in names}
    return [
        name
        for name, (first, _, then) in parted.items()
        if then not in {"", *defined.get(first, ())} or first not in defined
    ]


def test_every_file_and_name_of_the_architecture_page_exists() -> None:
    missing = [
        name for name in files_named(ARCHITECTURE) if not ((PACKAGE / name).is_file() or (ROOT / name).is_file())
    ]
    assert missing == []
    defined: dict[str, set[str]] = {name: set(attributes) for name, attributes in OF_THE_GAMES.items()}
    for path in PACKAGE.rglob("*.py"):
        for name, attributes in names_defined(path).items():
            defined.setdefault(name, set()).update(attributes)
    assert len(names_in(ARCHITECTURE)) > 100
    assert find_missing(names_in(ARCHITECTURE), defined) == []


def test_the_glossary_names_the_file_that_owns_each_word() -> None:
    rows = table_rows("## Glossary")
    assert 40 <= len(rows) <= 60
    assert [row[0].lower() for row in rows] == sorted(row[0].lower() for row in rows)
    assert [word for word, meaning, _ in rows if ". " in meaning or meaning.endswith(".")] == []  # one phrase each
    missing = []
    for words, _, owner in rows:
        text = letters_of(owner + (PACKAGE / owner.strip("`")).read_text())
        missing += [f"{owner} lacks {word.strip()}" for word in words.split(",") if letters_of(word) not in text]
    assert missing == []


def letters_of(text: str) -> str:
    """Return the letters only, so that `ReplayBuffer`, `replay_buffer` and "replay buffer" are one word."""
    return re.sub(r"[^a-z]", "", text.lower())


@pytest.mark.parametrize("title", WALKS)
def test_a_walk_opens_few_files_and_each_step_names_what_is_in_its_file(title: str) -> None:
    steps = re.findall(r"^\d+\. (.*?)(?=^\d+\. |\Z)", section(title), flags=re.DOTALL | re.MULTILINE)
    opened = [files_named(step)[0] for step in steps]
    assert len(opened) == len(set(opened)) <= WALKS[title]
    assert len(opened) >= 4
    unfounded = []
    for step, file in zip(steps, opened, strict=True):
        names = names_in(step)
        if len(find_missing(names, names_defined(PACKAGE / file))) == len(names):
            unfounded.append(f"{file} defines none of {names}")
    assert unfounded == []


def test_the_look_up_table_names_what_is_in_the_file() -> None:
    rows = table_rows("## Look-up table")
    assert len(rows) >= 40
    assert [what for what, _, names in rows if not names_in(names)] == []
    found = {
        what: find_missing(names_in(names), names_defined(PACKAGE / file.strip("`"))) for what, file, names in rows
    }
    assert {what: missing for what, missing in found.items() if missing} == {}


def test_the_map_shows_every_room() -> None:
    rooms = re.findall(r"^    (\w+)(?:/|\.py)", section("## Map"), flags=re.MULTILINE)
    assert set(rooms) == set(RANKS) - {"__main__", "version"}
    assert [RANKS[room] for room in rooms] == sorted((RANKS[room] for room in rooms), reverse=True)
