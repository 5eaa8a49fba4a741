from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from retro.agent import ArrowKeyAgent

from retro_gamer.games.loading.importing import ModuleSpace
from retro_gamer.games.loading.keys import ARROWS
from retro_gamer.games.probe.key_scan import find_certain_keys, find_keys

Project = Callable[[dict[str, str]], Path]


@pytest.mark.parametrize(
    ("code", "keys"),
    [
        ("if keystroke.name == 'KEY_UP': pass", {"KEY_UP"}),
        ("if keystroke.name in ('KEY_ENTER', 'KEY_BACKSPACE'): pass", {"KEY_ENTER", "KEY_BACKSPACE"}),
        ("if keystroke == ' ' or keystroke == 'q': pass", {" ", "q"}),
        ("if keystroke in 'wasd': pass", {"w", "a", "s", "d"}),
        ("if keystroke in '0123': pass", {"0", "1", "2", "3"}),
        ("if keystroke in {'j', 'k'}: pass", {"j", "k"}),
        ("game.state['score'] += 1; game.log('help me')", set()),
        ("match keystroke.name:\n            case 'KEY_F1': pass", {"KEY_F1"}),
        ("moves = {'a': -1, 'KEY_RIGHT': 1}", {"a", "KEY_RIGHT"}),
    ],
)
def test_keys_named_in_a_handler(code: str, keys: set[str], make_project: Project) -> None:
    text = f"class P:\n    character = '@'\n    def handle_keystroke(self, keystroke, game):\n        {code}\n"
    space = ModuleSpace([str(make_project({"game.py": text}))])
    assert set(find_keys([space.load("game")], [])) == keys
    space.unload()


def test_tables_beside_handlers_count_and_other_texts_do_not(make_project: Project) -> None:
    text = "MOVES = {'KEY_LEFT': -1, 'l': 1}\nNAME = 'x'\ndef greet():\n    return '@'\n"
    space = ModuleSpace([str(make_project({"game.py": text}))])
    found = find_keys([space.load("game")], [])
    assert {"KEY_LEFT", "l"} <= set(found)
    assert "@" not in found
    space.unload()


def test_the_handlers_of_the_framework_and_the_attributes_of_agents_count() -> None:
    assert set(find_keys([], [ArrowKeyAgent()])) == set(ARROWS)
    agent = ArrowKeyAgent()
    agent.fire, agent.character, agent.turn = "f", "A", 3
    assert set(find_keys([], [agent])) == {*ARROWS, "f"}
    assert find_keys([], [agent])[:4] == tuple(sorted(ARROWS, key=find_keys([], [agent]).index))


SHIP = """\
MOVES = {"KEY_LEFT": -1, "l": 1}

class Ship:
    character = "@"
    def handle_keystroke(self, keystroke, game):
        if keystroke == "x" or "y" == keystroke or keystroke in ("u", "v"):
            self.character = "*"
            game.add_agent(Bullet("!"))
"""


def test_keys_beyond_doubt_are_compared_or_keys_of_a_table(make_project: Project) -> None:
    space = ModuleSpace([str(make_project({"game.py": SHIP}))])
    module = space.load("game")
    assert set(find_certain_keys([module], [])) == {"KEY_LEFT", "l", "x", "y", "u", "v"}
    assert {"*", "!"} <= set(find_keys([module], []))
    assert find_certain_keys([], [ArrowKeyAgent()]) == (), "the framework's own handler may name more than a game uses"
    space.unload()
