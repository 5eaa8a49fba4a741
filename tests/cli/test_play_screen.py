from __future__ import annotations

import io
import random
from typing import Any

import pytest
from retro.agent import Agent
from retro.examples import beast, nav, snake
from retro.game import Game
from retro.input import ProgrammaticInput
from retro.views import HeadlessView

from retro_gamer.cli.display.play_screen import PrintingTerminal, Screen, needed_size
from retro_gamer.errors import GameFailedError, TerminalError
from tests.cli.emulator import Emulator


class SizedTerminal(PrintingTerminal):
    """A terminal of a given size that writes to a string."""

    columns, rows = 80, 24

    @property
    def width(self) -> int:
        return self.columns

    @property
    def height(self) -> int:
        return self.rows


class Watched:
    """A game shown on an emulated terminal."""

    def __init__(self, game: Game, size: tuple[int, int] | None = None) -> None:
        self.game = game
        self.keys = ProgrammaticInput()
        game.input_source = self.keys
        game.start()
        self.written = io.StringIO()
        self.terminal = SizedTerminal(kind="xterm-256color", stream=self.written, force_styling=True)
        self.screen = Screen(self.terminal, game)
        columns, rows = size or needed_size(self.screen, game)
        self.emulator = Emulator(columns, rows)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        self.terminal.columns, self.terminal.rows = columns, rows
        self.emulator.resize(columns, rows)

    def turn(self, key: str | None = None) -> None:
        self.keys.press(key)
        self.game.step()
        self.show()

    def show(self) -> None:
        self.screen.render(self.game)
        self.emulator.feed(self.written.getvalue())
        self.written.seek(0)
        self.written.truncate()

    def board(self) -> list[str]:
        """The rows between the sides of the frame."""
        width, height = self.game.view_size
        rows = [line for line in self.emulator.lines if "║" in line][:height]
        return [line.split("║")[1].ljust(width) for line in rows]


def board_of(game: Game) -> list[str]:
    view = HeadlessView()
    view.render(game)
    return ["".join(character or " " for character in row) for row in view.board_characters]


def agent_at(x: int, y: int, **values: Any) -> Agent:
    agent = Agent()
    agent.position = (x, y)
    agent.name = f"{x}/{y}"
    for name, value in values.items():
        setattr(agent, name, value)
    return agent


@pytest.mark.parametrize("example", [snake, nav, beast])
@pytest.mark.parametrize("extra", [0, 1, 7])
def test_the_board_shown_is_the_frameworks(example: Any, extra: int) -> None:
    random.seed(extra)
    watched = Watched(example.create_game())
    width, height = needed_size(watched.screen, watched.game)
    watched.resize(width + extra, height + extra)
    for _ in range(30):
        watched.turn(random.choice(["KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN", None]))
        assert watched.board() == board_of(watched.game)
        if not watched.game.playing:
            break
    assert watched.emulator.scrolled == 0


def test_frame_and_state_fit_a_terminal_of_just_the_needed_size() -> None:
    watched = Watched(Game([agent_at(1, 1)], {"b": 2, "a": "hi"}, board_size=(6, 3)))
    watched.turn()

    assert watched.emulator.lines == [
        "╔══════╗",
        "║      ║",
        "║ *    ║",
        "║      ║",
        "╠══════╣",
        "║a: hi ║",
        "║b: 2  ║",
        "╚══════╝",
    ]
    assert watched.emulator.scrolled == 0


def test_state_that_changes_is_shown_and_new_keys_find_room() -> None:
    watched = Watched(Game([agent_at(0, 0)], {"a": 1}, board_size=(8, 2)), size=(20, 12))
    watched.turn()
    assert "a: 1" in watched.emulator.text

    watched.game.state["a"] = 2
    watched.turn()
    assert "a: 2" in watched.emulator.text

    watched.game.state["new"] = 5
    watched.turn()
    assert "new: 5" in watched.emulator.text
    assert watched.emulator.text.count("╔") == 1
    assert watched.board() == board_of(watched.game)


def test_a_change_in_place_and_an_empty_character_show() -> None:
    agent = agent_at(2, 1)
    watched = Watched(Game([agent], {}, board_size=(5, 3)))
    watched.turn()
    agent.character = "#"
    watched.turn()
    assert watched.board()[1] == "  #  "
    agent.character = ""
    watched.turn()
    assert watched.board() == board_of(watched.game) == ["     "] * 3


def test_a_resized_terminal_is_drawn_anew() -> None:
    watched = Watched(Game([agent_at(2, 1)], {"a": 1}, board_size=(5, 3)))
    watched.turn()
    watched.resize(40, 20)
    watched.turn()
    assert watched.board()[1] == "  *  "
    assert "a: 1" in watched.emulator.text


def test_only_the_part_in_view_is_needed() -> None:
    game = Game([agent_at(50, 40)], {}, board_size=(100, 80), view_size=(10, 5), view_position=(45, 38))
    watched = Watched(game)
    watched.turn()
    assert needed_size(watched.screen, game) == (12, 8)
    assert watched.board()[2] == "     *    "


@pytest.mark.parametrize("too_small", [(31, 24), (34, 23), (5, 5)])
def test_for_a_small_terminal_the_size_needed_is_shown(too_small: tuple[int, int]) -> None:
    watched = Watched(snake.create_game(), size=too_small)
    with pytest.raises(TerminalError, match="34 columns and 24 rows") as error:
        watched.turn()
    assert f"{too_small[0]} columns and {too_small[1]} rows" in str(error.value)


def test_a_game_in_debug_mode_needs_room_for_its_log() -> None:
    game = Game([agent_at(0, 0)], {}, board_size=(10, 5), debug=True)
    watched = Watched(game)
    game.log("hello from the game")
    watched.turn()
    assert needed_size(watched.screen, game) == (72, 8)
    assert "hello from the game" in watched.emulator.text


def test_the_log_of_a_game_that_shows_its_state_has_a_straight_frame() -> None:
    game = Game([agent_at(0, 0)], {"points": 0, "lives": 3}, board_size=(10, 2), debug=True)
    watched = Watched(game)
    game.log("hello from the game")
    watched.turn()
    lines = [line.rstrip() for line in watched.emulator.lines]
    assert lines[0] == "╔" + "═" * 10 + "╦" + "═" * 59 + "╗"
    assert lines[1].startswith("║*         ║0. hello from the game")
    assert lines[1].endswith("║")
    assert lines[3] == "╠" + "═" * 10 + "╣" + " " * 59 + "║"
    assert lines[4].startswith("║lives: 3")
    assert lines[5].startswith("║points: 0")
    assert lines[6] == "╚" + "═" * 10 + "╩" + "═" * 59 + "╝"
    assert game.debug is True


@pytest.mark.filterwarnings("ignore:unknown terminal capability")
def test_what_cannot_be_drawn_is_a_failure_of_the_game() -> None:
    watched = Watched(Game([agent_at(0, 0, color="no such colour")], {}, board_size=(5, 3)))
    with pytest.raises(GameFailedError, match="cannot be drawn"):
        watched.turn()


@pytest.mark.parametrize(("rows", "row"), [(6, 5), (9, 7)])
def test_the_status_line_is_below_the_frame_or_over_its_edge(rows: int, row: int) -> None:
    watched = Watched(Game([agent_at(0, 0)], {}, board_size=(5, 3)), size=(30, rows))
    watched.turn()
    watched.screen.show_status(watched.game, " well played ")
    watched.emulator.feed(watched.written.getvalue())
    assert "well played" in watched.emulator.lines[row]
    assert watched.emulator.scrolled == 0
