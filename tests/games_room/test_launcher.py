from __future__ import annotations

import dataclasses
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from retro.game import Game

from retro_gamer.errors import GameFailedError, GameNotFoundError
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import Launcher, find_framework_changes, load_factory
from retro_gamer.games.session import GameSession

Project = Callable[[dict[str, str]], Path]
GAMES = Path(__file__).parents[1] / "games"
METADATA = GameMetadata(actions=("KEY_RIGHT", "KEY_LEFT"), reward="score")
GAME = 'Game([ArrowKeyAgent()], {"score": 0}, board_size=(5, 4))'
HEAD = "from retro.game import Game\nfrom retro.agent import ArrowKeyAgent\n"


def load(folder: Path, **changes: object) -> Launcher:
    return load_factory(dataclasses.replace(find_source(str(folder)), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (f"{HEAD}{GAME}.play()\n", "running game.py"),
        (f"{HEAD}def main():\n    {GAME}.play()\nmain()\n", "running game.py"),
        (f"{HEAD}if __name__ == '__main__':\n    {GAME}.play()\n", "running game.py"),
        (f"{HEAD}def main():\n    {GAME}.play()\nif __name__ == '__main__':\n    main()\n", "running game.py"),
        (f"{HEAD}def main():\n    {GAME}.play()\n", "main()"),
        (f"{HEAD}def play(width=5):\n    return {GAME}\n", "play()"),
        (f"{HEAD}def create_game():\n    return {GAME}\ncreate_game().play()\n", "create_game()"),
        (f"{HEAD}def create_game():\n    {GAME}.play()\n", "create_game()"),
        (f"{HEAD}def create_game(width):\n    return {GAME}\ncreate_game(3).play()\n", "running game.py"),
        (f"{HEAD}game = {GAME}\n", "running game.py"),
        (
            f"{HEAD}class Own(Game):\n    def __init__(self):\n        super().__init__([ArrowKeyAgent()], "
            '{"score": 0}, board_size=(5, 4))\n',
            "Own()",
        ),
    ],
)
def test_games_that_begin_in_every_way(text: str, how: str, make_project: Project) -> None:
    launcher = load(make_project({"game.py": text}))
    assert launcher.how == how
    session = GameSession(launcher, METADATA)
    games = []
    for _ in range(3):
        session.start()
        session.step(0)
        assert session.game.board_size == (5, 4)
        assert session.game.agents[0].position == (1, 0)
        games.append(session.game)
    assert len({id(game) for game in games}) == 3


def test_a_package_is_run_by_its_main_module() -> None:
    launcher = load(GAMES / "packaged")
    assert launcher.how == "running packaged/__main__.py"
    assert launcher().state["energy"] == 20


def test_the_frameworks_own_unguarded_example_plays() -> None:
    launcher = load_factory(find_source("retro.examples.simple"))
    assert launcher().board_size == (64, 32)
    assert launcher() is not launcher()


def test_eight_slots_share_no_globals_and_a_new_game_begins_with_fresh_ones() -> None:
    sessions = [GameSession(load(GAMES / "module_score"), METADATA) for _ in range(8)]
    for round_number in range(2):
        for session in sessions:
            session.start()
        for turn in range(1, 11):
            for number, session in enumerate(sessions):
                if number >= turn % 3:
                    session.step(0)
        turns = [session.turns for session in sessions]
        assert len(set(turns)) > 1, round_number
        assert [session.game.state["score"] for session in sessions] == turns


def test_two_games_with_a_board_of_their_own_play_side_by_side() -> None:
    first, second = load(GAMES / "in_main"), load(GAMES / "inside_guard")
    for _ in range(2):
        assert (first().board_size, second().board_size) == ((6, 5), (8, 8))
    assert "board" not in sys.modules


def test_what_surrounds_a_game_is_as_it_was_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = (sys.stdin, sys.stdout, sys.stderr, sys.argv, list(sys.path), sys.modules["__main__"])
    session = GameSession(load(GAMES / "title_screen"), METADATA)
    session.start()
    session.step(0)
    assert (sys.stdin, sys.stdout, sys.stderr, sys.argv, sys.path, sys.modules["__main__"]) == before
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_questions_are_answered_from_the_list_anew_for_each_game() -> None:
    launcher = load(GAMES / "menu", answers=("nonsense", "2"))
    session = GameSession(launcher, METADATA)
    for _ in range(2):
        session.start()
        session.step(0)
        session.step(0)
        assert session.game.state["distance"] == 4  # of the fast one


def test_a_game_that_asks_without_end_is_refused_with_its_question() -> None:
    with pytest.raises(GameFailedError, match="What is your name") as raised:
        load(GAMES / "asks_forever")
    assert 'answers = ["1", ""]' in str(raised.value)
    assert load(GAMES / "asks_forever", answers=("Ada", "1"))().state["score"] == 0


def test_questions_within_a_turn_are_answered_and_asking_without_end_is_a_failure(make_project: Project) -> None:
    ask = "input('Again? ')"
    text = (
        f"{HEAD}class P(ArrowKeyAgent):\n    def play_turn(self, game):\n        if game.turn_number == 2:\n"
        f"            game.state['score'] = len({ask})\n        while game.turn_number == 3:\n            {ask}\n"
        'Game([P()], {"score": 0}, board_size=(5, 4)).play()\n'
    )
    session = GameSession(load(make_project({"game.py": text}), answers=("yes",)), METADATA)
    session.start()
    assert [session.step(0).reward for _ in range(2)] == [0, 3]
    with pytest.raises(GameFailedError, match="asks again and again, last with 'Again"):
        session.step(0)
    assert session.is_over


def test_files_are_read_from_beside_the_game_and_written_elsewhere() -> None:
    before = sorted(path.name for path in (GAMES / "writes_files").rglob("*"))
    session = GameSession(load(GAMES / "writes_files"), METADATA)
    session.start()
    while not session.is_over:
        session.step(0)
    assert session.turns == 20
    assert sorted(path.name for path in (GAMES / "writes_files").rglob("*")) == before


def test_a_game_that_starts_another_one_is_over_and_so_is_one_that_leaves_python() -> None:
    session = GameSession(load(GAMES / "starts_again"), METADATA)
    session.seed(1)
    session.start()
    while not session.is_over:
        session.step(0)
    assert session.game.state["score"] == session.turns - 5
    session = GameSession(load(GAMES / "arguments"), METADATA)
    session.start()
    while not session.is_over:
        session.step(0)
    assert session.turns == 30


def test_threads_of_a_game_end_with_it() -> None:
    session = GameSession(load(GAMES / "threads"), METADATA)
    started = []
    for _ in range(3):
        before = set(threading.enumerate())
        session.start()
        started.append((set(threading.enumerate()) - before).pop())
    for thread in started[:2]:
        thread.join(10)
        assert not thread.is_alive()
    assert started[2].is_alive()
    assert started[2].daemon


def test_own_folders_that_a_game_puts_on_the_path_stay_its_own(make_project: Project) -> None:
    folder = make_project(
        {
            "game.py": "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"
            f"import walls\n{HEAD}Game([], {{'score': walls.HEIGHT}}).play()\n",
            "lib/walls.py": "HEIGHT = 3\n",
        }
    )
    path = list(sys.path)
    assert load(folder)().state["score"] == 3
    assert sys.path == path
    assert "walls" not in sys.modules


def test_a_game_that_works_only_as_the_program_itself(make_project: Project) -> None:
    folder = make_project(
        {
            "game.py": f"import helper\n{HEAD}game = {GAME}\nhelper.go()\n",
            "helper.py": "def go():\n    from __main__ import game\n    game.play()\n",
        }
    )
    launcher = load(folder)
    assert launcher.how == "running game.py"
    assert launcher().board_size == (5, 4)


def test_signals_are_handled_as_before(make_project: Project) -> None:
    before = signal.getsignal(signal.SIGINT)
    text = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{HEAD}{GAME}.play()\n"
    load(make_project({"game.py": text}))()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_game_that_seeds_its_generator_is_the_same_each_time() -> None:
    session = GameSession(load(GAMES / "arguments"), METADATA)
    gems = []
    for seed in (1, 2):
        session.seed(seed)
        session.start()
        for _ in range(20):
            session.step(0)
        gems.append(session.game.state["gems"])
    assert gems[0] == gems[1]
    random.seed()


def test_changes_of_the_framework_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = load(GAMES / "module_score")
    assert find_framework_changes() == []
    assert launcher.sharing is None
    monkeypatch.setattr("retro.agent.ArrowKeyAgent.character", "%")
    assert find_framework_changes() == ["ArrowKeyAgent.character"]
    assert launcher.sharing is not None
    assert "ArrowKeyAgent.character" in launcher.sharing


def test_an_installed_game_is_shared_by_all_slots(make_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_project({"site-packages/lone_game.py": f"{HEAD}def create_game():\n    return {GAME}\n"})
    monkeypatch.syspath_prepend(str(folder / "site-packages"))
    launcher = load_factory(find_source("lone_game"))
    assert isinstance(launcher(), Game)
    assert launcher.sharing == "it is an installed module, which a process loads only once"


@pytest.mark.parametrize("name", ["snake", "nav", "beast"])
def test_the_frameworks_examples_load(name: str) -> None:
    game = load_factory(find_source(f"retro.examples.{name}"))()
    assert isinstance(game, Game)
    assert game.state["score"] == 0


def test_a_module_of_the_current_directory_loads(
    make_project: Project, plain_game_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_project({"pkg/__init__.py": "", "pkg/play.py": plain_game_text}))
    assert load_factory(find_source("pkg.play"))().board_size == (5, 4)


@pytest.mark.parametrize("game", ["", "game.py"])
def test_a_game_whose_sibling_hides_a_standard_module_loads(game: str) -> None:
    source = find_source(str(GAMES / "shadowed_numbers" / game))
    first, second = load_factory(source), load_factory(source)
    assert [first().state["plays"], first().state["plays"], second().state["plays"]] == [1, 2, 1]
    assert first().state["start"] == 7


def test_numpy_imports_after_such_a_game(tmp_path: Path) -> None:
    script = (
        "from retro_gamer.games.loading.find import find_source\n"
        "from retro_gamer.games.loading.launcher import load_factory\n"
        f"load_factory(find_source({str(GAMES / 'shadowed_numbers')!r}))()\n"
        "import numbers, numpy.ma, statistics\nassert numbers.Real and not hasattr(numbers, 'START')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=60)


@pytest.mark.parametrize("factory", ["game:build", "build:Builder.make", "game:ready"])
def test_a_factory_may_have_another_name_and_place(factory: str, make_project: Project, plain_game_text: str) -> None:
    folder = make_project(
        {
            "game.py": plain_game_text.replace("create_game", "build") + "\nclass ready:\n    pass\n",
            "build.py": "from game import build\nclass Builder:\n    make = staticmethod(build)\n",
        }
    )
    assert callable(load_factory(dataclasses.replace(find_source(str(folder / "game.py")), factory=factory)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nimport no_such_package_here\n", "game.py:2: ModuleNotFoundError: No module named 'no_such_package_here'"),
        ("x = 1\n1 / 0\n", "game.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\n\ndef (\n", "game.py:3: SyntaxError"),
        ("import sys\nsys.exit(3)\n", "game.py:2: the game left Python (SystemExit: 3)"),
        ("import helper\n", "helper.py:2: ValueError: [2Jbad"),
        ("from helper2 import missing\n", "ImportError: cannot import name 'missing' from 'helper2'"),
    ],
)
def test_a_module_that_fails_on_import_is_named_by_file_and_line(
    text: str, message: str, make_project: Project
) -> None:
    folder = make_project({"game.py": text, "helper.py": "\nraise ValueError('\\x1b[2Jbad')\n", "helper2.py": ""})
    before = set(sys.modules)
    with pytest.raises(GameFailedError) as raised:
        load_factory(find_source(str(folder / "game.py")))
    assert message.replace("[2J", "\\x1b[2J") in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert str(folder / "game.py") in str(raised.value)
    assert not {name for name in set(sys.modules) - before if name.startswith("retro_game_")}


def test_a_module_that_plays_nothing_says_what_was_tried(make_project: Project) -> None:
    folder = make_project({"game.py": "import retro\ndef main(): ...\ndef run(): ...\n"})
    with pytest.raises(GameNotFoundError) as raised:
        load_factory(find_source(str(folder / "game.py")))
    for piece in ("no function create_game()", "main(), play(), run()", 'factory = "game:NAME"'):
        assert piece in str(raised.value)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("game:build", "no function build"),
        ("missing:build", "no module missing"),
        ("game:NUMBER", "no function NUMBER"),
    ],
)
def test_a_missing_factory_is_an_error(factory: str, message: str, make_project: Project) -> None:
    folder = make_project({"game.py": "NUMBER = 3\n"})
    with pytest.raises(GameNotFoundError, match=message):
        load_factory(dataclasses.replace(find_source(str(folder / "game.py")), factory=factory))


def test_a_missing_module_is_an_error(make_project: Project, plain_game_text: str) -> None:
    source = find_source(str(make_project({"game.py": plain_game_text}) / "game.py"))
    with pytest.raises(GameNotFoundError, match="no module gone"):
        load_factory(dataclasses.replace(source, module="gone"))
    with pytest.raises(GameNotFoundError, match="no module"):
        load_factory(find_source("retro.examples.snake").__class__(module="retro.examples.gone"))


def test_a_package_without_main_is_started_by_its_init(make_project: Project) -> None:
    text = "from retro.game import Game\nfrom retro.agent import ArrowKeyAgent\nGame([ArrowKeyAgent()], {}).play()\n"
    launcher = load_factory(find_source(str(make_project({"snake/__init__.py": text}) / "snake")))
    assert launcher.how == "running snake/__init__.py"
    launcher.unload()


def test_a_program_without_the_framework_is_refused_as_such_wherever_its_import_is(make_project: Project) -> None:
    folder = make_project({"game.py": "import table\n", "table.py": "def deal(): ...\n"})
    with pytest.raises(GameNotFoundError, match="is no retro-games game: none of its files imports retro"):
        load_factory(find_source(str(folder / "game.py")))
    (folder / "table.py").write_text("from retro.agent import ArrowKeyAgent\n")
    with pytest.raises(GameNotFoundError, match="has no function create_game"):
        load_factory(find_source(str(folder / "game.py")))
