from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from retro.game import Game
from retro.views.headless import HeadlessView

from retro_gamer.games.board import BoardEncoder, cell_character, is_blank, is_one_character
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import find_source
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.session import GameSession

CHARACTERS = ["@", "*", "█", "é", "猫", "🐍"]
ARROWS = ("KEY_RIGHT", "KEY_DOWN", "KEY_LEFT", "KEY_UP")
UNKNOWN = ["?", "ß", "☃"]


def framework_board(game: Any) -> list[list[str]]:
    """What the framework's view shows of a board whose position cache is fresh."""
    view = HeadlessView()
    game._position_cache = None
    view.render(game)
    game._position_cache = None
    characters: list[list[str]] = view.board_characters
    return characters


def assert_same_board(encoder: BoardEncoder, game: Any) -> None:
    board = framework_board(game)
    code_of = {character: code for code, character in enumerate(encoder.character_set, start=1)}
    expected = [[code_of.get(cell, 0) for cell in row] for row in board]
    unknown: dict[str, int] = {}
    for cell in (cell for row in board for cell in row):
        if cell.strip() and cell not in code_of:
            unknown[cell] = unknown.get(cell, 0) + 1
    codes = np.full((encoder.height, encoder.width), 77, dtype=np.uint8)
    encoder.unknown = {}
    encoder.encode(game, codes)
    np.testing.assert_array_equal(codes, expected)
    assert encoder.unknown == unknown


def random_agent(rng: random.Random, width: int, height: int) -> Any:
    agent = SimpleNamespace(character=rng.choice([*CHARACTERS, *UNKNOWN, "", " "]))
    columns = rows = 1
    if rng.random() < 0.3:
        columns, rows = rng.randint(1, min(4, width)), rng.randint(1, min(3, height))
        agent.size = (columns, rows)
        if rng.random() < 0.7:
            agent.character = [
                "".join(rng.choice([*CHARACTERS, "?", " "]) for _ in range(rng.randint(0, columns)))
                for _ in range(rng.randint(0, rows))
            ]
    elif rng.random() < 0.1:
        agent.size = None
    agent.position = (rng.randint(0, width - columns), rng.randint(0, height - rows))
    if rng.random() < 0.2:
        agent.display = rng.choice([True, False])
    if rng.random() < 0.4:
        agent.z = rng.choice([-1, 0, 0, 1, 1, 2, None, True])
    return agent


def test_thousands_of_random_boards_equal_the_frameworks() -> None:
    rng = random.Random(1)
    encoders: dict[tuple[int, int], BoardEncoder] = {}
    for _ in range(5000):
        size = (rng.randint(1, 9), rng.randint(1, 7))
        game = Game([], {}, board_size=size)
        game.agents = [random_agent(rng, *size) for _ in range(rng.randint(0, 14))]
        assert_same_board(encoders.setdefault(size, BoardEncoder(CHARACTERS, size)), game)


BOARDS = 2000
"""Of each example."""


def compare_boards(start: Callable[[], GameSession], characters: Sequence[str]) -> None:
    """Play at random until so many boards were the same as the framework's, in as many games as it takes."""
    compared = 0
    while compared < BOARDS:
        session = start()
        encoder = BoardEncoder(characters, session.game.board_size)
        assert_same_board(encoder, session.game)
        while not session.is_over and compared < BOARDS:
            session.step(random.randrange(session.metadata.n_actions))
            compared += 1
            assert_same_board(encoder, session.game)


@pytest.mark.parametrize("name", ["snake", "nav", "beast", "simple", "debug", "virus"])
def test_the_boards_of_the_examples_equal_the_frameworks(name: str) -> None:
    source = find_source(f"retro.examples.{name}")
    metadata = GameMetadata(actions=(*ARROWS, " ", "KEY_ENTER"), reward="@turns")
    session = GameSession(load_factory(source), metadata, source)
    session.seed(5)

    def start() -> GameSession:
        session.start()
        return session

    compare_boards(start, ["*", "^", "O", "@", "o", "H", "█", "$", ">", "<", "v"])


def test_the_board_of_the_labyrinth_equals_the_frameworks() -> None:
    from retro.examples.labyrinth.goal import Goal
    from retro.examples.labyrinth.maze import Maze
    from retro.examples.labyrinth.player import Player

    def make_game() -> Game:  # a smaller one: that of the example takes seconds to build
        maze = Maze(21, 11)
        start, end = maze.choose_start_and_end()
        return Game([Player(start), Goal(end), *maze.get_agents()], {"score": 0}, board_size=(21, 11))

    session = GameSession(make_game, GameMetadata(actions=ARROWS, reward="@turns"))

    def start() -> GameSession:
        session.start()
        return session

    compare_boards(start, ["*", "$", "█"])


def draw(agents: list[Any], characters: list[str], size: tuple[int, int] = (4, 1)) -> tuple[list[int], dict[str, int]]:
    encoder = BoardEncoder(characters, size)
    codes = np.zeros((size[1], size[0]), dtype=np.uint8)
    encoder.encode(SimpleNamespace(agents=agents), codes)
    return codes.ravel().tolist(), encoder.unknown


def test_a_stale_position_cache_does_not_show() -> None:
    agent = SimpleNamespace(character="@", position=(0, 0))
    game = Game([agent], {}, board_size=(4, 1))
    game.get_agents_by_position()
    agent.position = (2, 0)
    codes = np.zeros((1, 4), dtype=np.uint8)
    BoardEncoder(["@"], (4, 1)).encode(game, codes)
    assert codes.tolist() == [[0, 0, 1, 0]]


def test_what_is_off_the_board_is_left_out() -> None:
    agents = [SimpleNamespace(character="@", position=p) for p in ((-1, 0), (4, 0), (0, 1), (0, -1), (3, 0))]
    agents.append(SimpleNamespace(character=["ab@"], size=(3, 1), position=(-2, 0)))
    assert draw(agents, ["@"]) == ([1, 0, 0, 1], {})


def test_two_letters_in_a_cell_count_as_the_first_and_colours_are_dropped() -> None:
    agents = [
        SimpleNamespace(character="[]", position=(0, 0)),
        SimpleNamespace(character="\x1b[31m@\x1b[0m", position=(1, 0)),
        SimpleNamespace(character="##", position=(2, 0)),
        SimpleNamespace(character="❤️", position=(3, 0)),
    ]
    assert draw(agents, ["[", "@", "❤️"]) == ([1, 2, 0, 3], {"#": 1})


def test_what_no_view_could_draw_is_an_empty_cell() -> None:
    agents = [
        SimpleNamespace(character=None, position=(0, 0)),
        SimpleNamespace(character=["@"], position=(1, 0)),
        SimpleNamespace(position=(2, 0)),
        SimpleNamespace(character="@", position=None),
        SimpleNamespace(character="@"),
        SimpleNamespace(character="@", position=(3, 0), z="top"),
        SimpleNamespace(character="\x07", position=(0, 0)),
    ]
    assert draw(agents, ["@"]) == ([0, 0, 0, 1], {})


def test_covered_unknown_characters_are_not_counted() -> None:
    agents = [
        SimpleNamespace(character="@", position=(0, 0)),
        SimpleNamespace(character="?", position=(0, 0)),
        SimpleNamespace(character="?", position=(1, 0)),
        SimpleNamespace(character="!", position=(1, 0), z=1),
    ]
    assert draw(agents, ["@"]) == ([1, 0, 0, 0], {"!": 1})


def test_extend_keeps_the_codes_of_the_others() -> None:
    agents = [SimpleNamespace(character=c, position=(x, 0)) for x, c in enumerate("ab?")]
    game = SimpleNamespace(agents=agents)
    encoder = BoardEncoder(["b"], (4, 1))
    codes = np.zeros((1, 4), dtype=np.uint8)
    encoder.encode(game, codes)
    assert codes.tolist() == [[0, 1, 0, 0]]
    encoder.extend("?")
    encoder.encode(game, codes)
    assert codes.tolist() == [[0, 1, 2, 0]]
    assert encoder.character_set == ("b", "?")
    assert encoder.unknown == {"a": 2, "?": 1}


@pytest.mark.parametrize("character", ["b", " ", "", "ab", "\x1b"])
def test_extend_refuses_what_has_no_place_of_its_own(character: str) -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        BoardEncoder(["b"], (4, 1)).extend(character)


def test_a_board_has_at_most_254_characters() -> None:
    encoder = BoardEncoder([chr(0x4E00 + i) for i in range(254)], (4, 1))
    with pytest.raises(ValueError, match="at most 254"):
        encoder.extend("@")
    codes = np.zeros((1, 4), dtype=np.uint8)
    encoder.encode(SimpleNamespace(agents=[SimpleNamespace(character=chr(0x4E00 + 253), position=(0, 0))]), codes)
    assert codes[0, 0] == 254


def test_endless_new_characters_do_not_fill_the_memory() -> None:
    encoder = BoardEncoder(["@"], (4, 1))
    codes = np.zeros((1, 4), dtype=np.uint8)
    agent = SimpleNamespace(character="", position=(0, 0))
    for number in range(3000):
        agent.character = chr(0x4E00 + number)
        encoder.encode(SimpleNamespace(agents=[agent]), codes)
    assert len(encoder.unknown) == 1000
    assert len(encoder._code_of) <= 2000


@pytest.mark.parametrize("text", ["a", "█", "é", "e\u0301", "❤️", "🐍", "🧑‍🚀", "👍🏽", "🇫🇷", "\ue0b0"])
def test_what_a_reader_sees_as_one_character_is_one(text: str) -> None:
    assert is_one_character(text)
    assert cell_character(text) == text


@pytest.mark.parametrize(("text", "first"), [("ab", "a"), ("[]", "["), ("🐍🐍", "🐍"), ("\x1b[1m#\x1b[0m", "#")])
def test_several_letters_count_as_the_first(text: str, first: str) -> None:
    assert not is_one_character(text)
    assert cell_character(text) == first


@pytest.mark.parametrize("shown", ["", " ", "\t", "\u00a0", " x", "\x07", "\u200b", "\ud800", None, 5, ["@"]])
def test_what_shows_nothing_is_no_character(shown: object) -> None:
    assert cell_character(shown) == ""


def test_blank_is_empty_or_white_space() -> None:
    assert [is_blank(text) for text in ("", " \t", "x")] == [True, True, False]
