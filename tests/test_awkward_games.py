"""Games as people write them: each goes through check, create, train and play unchanged, or is refused with the reason.

Every folder of tests/games holds one game with a habit from the wild.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from retro_gamer.cli import run
from retro_gamer.cli.commands.check import _find_mismatch, check_game
from retro_gamer.cli.display.check_text import CheckReport
from retro_gamer.driver.creation import create_run
from retro_gamer.driver.training_run import train
from retro_gamer.errors import ConfigurationError, DescriptionNotFoundError, RetroGamerError
from retro_gamer.games.description import complete_description, find_description_place
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.watchdog import Watchdog
from retro_gamer.games.probe import workers
from retro_gamer.games.probe.findings import KeyEffects, ProbeFindings
from retro_gamer.games.probe.game_probe import Probe, ProbePlan
from retro_gamer.games.session import GameSession
from retro_gamer.policy import TrainedPolicy
from retro_gamer.run.config import load_config
from retro_gamer.run.events import EventLogger
from retro_gamer.run.log import TrainingLog
from retro_gamer.training.planning import measurements
from tests.cli.terminals import show
from tests.test_checked_games import CHECKED

GAMES = Path(__file__).parent / "games"
ANSWERS = {"menu": '[tool.retro-gamer]\nanswers = ["2"]\n'}
REWARDS = {
    "arguments": "gems", "at_import": "score", "bare_except": "points", "crashing": "score", "in_main": "score",
    "inside_guard": None, "leaking": "slime", "levels": "x", "menu": "distance", "messages": "@end",
    "module_score": "score", "no_state": "@turns", "off_the_board": "@turns", "old_style": "score",
    "own_class": "height", "own_start": "score", "packaged": "@turns", "shadowed_module": "score",
    "standard_names": "score", "starts_again": "score", "still_score": None, "threads": "ticks",
    "title_screen": "bubbles", "two_players": "left", "wide_world": "trees", "writes_files": "depth",
}  # fmt: skip
"""What is proposed, None if no reward tells a good game from a bad one."""
REFUSED = {
    "blackjack": "is no retro-games game: none of its files imports retro",
    "asks_forever": "asks again and again, last with 'What is your name?'",
    "needs_package": "game.py:1: ModuleNotFoundError: No module named 'a_package_nobody_has'",
    "no_game": "no function create_game(), plays no game when it is run",
}
APART = {"changes_framework", "documented", "several_scripts", "shadowed_numbers", "two_in_a_folder"}
"""The first changes what this process tests with; the others have tests of their own."""
SETTINGS = {
    "training_episodes": 4,
    "max_turns_per_episode": 25,
    "learning_starts": 10,
    "batch_size": 8,
    "exploration_turns": 20,
    "games_per_actor": 2,
}
SEED = 2
"""With it what is worth a reward is met in so few random turns, such as more goals on the left."""


def quietly(turns: int) -> None:
    """Show no progress."""


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def copy_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Copy a game to a place of its own and stand there."""

    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(GAMES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        if name in ANSWERS:
            (folder / "pyproject.toml").write_text(ANSWERS[name])
        monkeypatch.chdir(folder)
        return folder

    return copy


@pytest.fixture
def probe_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probe games in this process, and estimate no cost."""

    def probe(plan: ProbePlan, n_processes: int, report: Callable[[int], None]) -> ProbeFindings:
        with Watchdog(plan.hang_seconds):
            return Probe(plan, report).run()

    monkeypatch.setattr(workers, "probe_in_processes", probe)
    monkeypatch.setattr(measurements, "estimate_cost", lambda metadata, source, findings: None)


def test_every_game_of_the_collection_is_here() -> None:
    names = {path.name for path in GAMES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert names == {*REWARDS, *REFUSED, *APART, *CHECKED}
    assert len(names) >= 15


@pytest.mark.usefixtures("probe_here")
@pytest.mark.parametrize("name", REWARDS)
def test_a_game_is_checked_described_trained_and_played(name: str, copy_of, capfd: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    folder = copy_of(name)
    before = files_in(folder)
    arguments, stdin = list(sys.argv), sys.stdin
    checked = check_game(
        str(folder), turns=250, seconds=0.6, seed=SEED, n_processes=1, report=quietly
    )  # fmt: skip
    if name != "threads":  # whose best candidate depends on the clock
        assert checked.proposed.get("reward") == REWARDS[name]
        assert any("no reward" in obstacle for obstacle in checked.obstacles) == (REWARDS[name] is None)
    assert checked.findings.turns > 0
    path = folder / "pyproject.toml"
    place = find_description_place(find_source(str(folder)))
    path.write_text(complete_description(place, {"reward": "@turns", **checked.proposed})[0])

    run_dir = folder.parent / "run"
    create_run(str(folder), run_dir, SETTINGS)
    outcome = train(run_dir, n_actors=0, display=EventLogger())
    assert outcome.complete
    assert len(TrainingLog(run_dir / "training.log").read_episodes()) == 4

    policy = TrainedPolicy(run_dir)
    source = policy.config.require_source()
    session = GameSession.load(source, policy.metadata)
    session.seed(3)
    session.start()
    while not session.is_over and session.turns < 20:
        try:
            session.step(policy.choose_actions([session.game])[0])
        except RetroGamerError as error:
            assert name == "crashing", error  # noqa: PT017
    assert session.turns > 0

    after = files_in(folder)
    after.pop("pyproject.toml")
    before.pop("pyproject.toml", None)
    assert after == before, "the user's folder holds what it held"
    assert (sys.argv, sys.stdin, Path.cwd()) == (arguments, stdin, folder)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


@pytest.mark.usefixtures("probe_here")
@pytest.mark.parametrize("name", REFUSED)
def test_a_game_that_cannot_be_played_is_refused_with_the_reason(name: str, copy_of) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RetroGamerError) as refused:
        check_game(str(copy_of(name)), turns=10, seconds=0.5, seed=1, n_processes=1, report=quietly)
    assert REFUSED[name] in str(refused.value)


@pytest.mark.parametrize("name", ["module_score", "writes_files", "bare_except", "starts_again"])
def test_games_train_in_processes_of_their_own(name: str, copy_of, local_ray: object) -> None:  # type: ignore[no-untyped-def]
    folder = copy_of(name)
    before = files_in(folder)
    actions = '["KEY_RIGHT", "KEY_LEFT", "KEY_UP", "KEY_DOWN"]'
    (folder / "pyproject.toml").write_text(f'[tool.retro-gamer]\nactions = {actions}\nreward = "{REWARDS[name]}"\n')
    run_dir = folder.parent / "run"
    create_run(str(folder), run_dir, {**SETTINGS, "training_episodes": 12, "games_per_actor": 8})
    assert train(run_dir, n_actors=1, display=EventLogger()).complete
    episodes = TrainingLog(run_dir / "training.log").read_episodes()
    assert len(episodes) == 12
    if name == "module_score":  # games in lock step that shared their score would see each other's points
        assert {(line.steps, line.total_reward) for line in episodes} == {(21, 21.0)}
    after = files_in(folder)
    after.pop("pyproject.toml")
    assert after == before


def test_a_game_that_changes_the_framework_gets_one_slot_a_process(copy_of, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = copy_of("changes_framework")
    script = (
        "import sys\nfrom retro_gamer.driver.creation import create_run\n"
        "from retro_gamer.run.directory import RunDirectory\n"
        "from retro_gamer.run.config import load_config\n"
        "from retro_gamer.training.preparation import prepare_run\n"
        f"create_run('.', 'run', {SETTINGS!r})\n"
        "prepared = prepare_run(RunDirectory.open('run'), load_config('run'))\n"
        "print(prepared.run_spec.settings.games_per_actor, prepared.sharing)\n"
    )
    (folder / "pyproject.toml").write_text('[tool.retro-gamer]\nactions = ["KEY_RIGHT"]\nreward = "score"\n')
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.stdout == "1 it changes the framework itself (ArrowKeyAgent.character)\n", done.stderr
    assert load_config(folder / "run").hyperparameters.games_per_actor == 2


def test_a_game_for_an_older_framework_in_four_typed_lines(copy_of) -> None:  # type: ignore[no-untyped-def]
    folder = copy_of("old_style")
    code = (folder / "nav_game.py").read_bytes()
    lines = [
        "check nav_game.py --write",
        "create --game nav_game.py --output runs/nav",
        "train runs/nav --minutes 0.05",
    ]
    for line in lines:
        command = [sys.executable, "-m", "retro_gamer", *line.split()]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
    with show("play", "runs/nav", folder=folder) as screen:
        screen.wait_for("^")
        screen.press("\r")
        assert screen.wait() == 0
    assert (folder / "nav_game.py").read_bytes() == code
    assert sorted(path.name for path in folder.iterdir()) == ["nav_game.py", "pyproject.toml", "runs"]


def test_files_named_like_standard_modules_disturb_no_command(copy_of) -> None:  # type: ignore[no-untyped-def]
    copy_of("standard_names")
    lines = [
        "check walk.py --write --turns 200 --seconds 0.5",
        "create --game walk.py --output run",
        "train run --minutes 0.02 --actors 0",
        "evaluate run --episodes 4",
    ]
    for line in lines:
        done = subprocess.run(
            [sys.executable, "-m", "retro_gamer", *line.split()], capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr


def reports(game: str, *, turns: int = 250) -> CheckReport:
    return check_game(game, turns=turns, seconds=0.6, seed=SEED, n_processes=1, report=quietly)


@pytest.mark.usefixtures("probe_here")
@pytest.mark.parametrize("game", [".", "src/lander", "src/lander/cli.py", "src/lander/__init__.py"])
def test_a_game_starts_by_the_script_of_its_project_that_plays(game: str, copy_of) -> None:  # type: ignore[no-untyped-def]
    folder = copy_of("several_scripts")
    assert reports(game).findings.how == "app.start() of [project.scripts]"
    assert run(["check", game, "--write", "--turns", "100", "--seconds", "0.3"]) == 0
    create_run(game, folder.parent / "run", SETTINGS)
    source = load_config(folder.parent / "run").require_source()
    assert "lander.cli:app.start" in source.scripts
    assert list(folder.rglob("pyproject.toml")) == [folder / "pyproject.toml"]
    assert train(folder.parent / "run", n_actors=0, display=EventLogger()).complete


@pytest.mark.usefixtures("probe_here")
def test_two_games_in_a_folder_get_a_description_each(copy_of, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    folder = copy_of("two_in_a_folder")
    options = ["--write", "--turns", "300", "--seconds", "0.6"]
    assert run(["check", "pong.py", *options]) == 0
    with pytest.raises(DescriptionNotFoundError, match="describes pong"):
        create_run("digger.py", folder / "run", SETTINGS)
    assert run(["check", "digger", *options]) == 0
    assert "Wrote actions, reward" in capsys.readouterr().out
    for game, reward in (("digger", "gold"), (str(folder / "digger.py"), "gold"), ("pong.py", "hits")):
        created = create_run(game, folder / "run", SETTINGS, force=True)
        assert created.config.metadata.reward == reward
        assert created.remark is None


@pytest.mark.usefixtures("probe_here")
def test_a_description_that_was_made_for_another_game_is_reported(  # type: ignore[no-untyped-def]
    copy_of, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of("two_in_a_folder")
    path = folder / "pyproject.toml"
    pong = '[tool.retro-gamer]\nactions = ["KEY_LEFT", "KEY_RIGHT"]\nreward = "hits"\ncharacter_set = ["=", "o"]\n'
    path.write_text(pong)
    options = ["--turns", "300", "--seconds", "0.6"]
    assert run(["check", "digger.py", *options]) == 1
    shown = capsys.readouterr().out
    assert "seems to be made for another game (pong.py): reward is not a key of the game's state" in shown
    assert "[tool.retro-gamer.games.digger]" in shown
    with pytest.raises(ConfigurationError, match=r"it also describes pong\.py; check --write gives a game its own"):
        create_run("digger.py", folder / "run", SETTINGS)
    assert run(["check", "digger.py", "--write", *options]) == 0
    assert path.read_text().startswith(pong)
    assert create_run("digger.py", folder / "run", SETTINGS).config.metadata.reward == "gold"
    assert create_run("pong.py", folder / "run", SETTINGS, force=True).remark is None


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        ({"character_set": ["#", "D"]}, "the board showed $, which is missing from character_set"),
        ({"actions": ["KEY_UP"]}, "the game reacts to a, d, w, s, not to KEY_UP"),
        ({"actions": ["a"], "character_set": ["D", "$", "#"]}, None),
        ({"actions": ["a"], "character_set": ["D"]}, None),
    ],
)
def test_a_description_suits_a_game_or_not(described: dict[str, list[str]], reason: str | None) -> None:
    keys = {key: KeyEffects(tries=5, changed=5) for key in "adws"}
    findings = ProbeFindings(keys=keys, keys_in_code=tuple("adws"), characters=Counter("D$"))
    report = CheckReport(
        game="g", findings=findings, described=described, origin="", proposed={}, problems=(), cost=None, seconds=1.0
    )
    assert _find_mismatch(report) == reason
