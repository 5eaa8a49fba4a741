"""The framework's own view of a game, on the terminal it is watched in."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from blessed import Terminal
from retro.graph import Graph
from retro.views.terminal import TerminalView

from retro_gamer.errors import GameFailedError, TerminalError
from retro_gamer.games.loading.failures import describe_failure


class Screen(TerminalView):
    """Draws a game as the framework does, where it differs for these reasons only.

    The frame is centred with its state pane, so that it fits a terminal of just the needed size. A turn is
    written in one piece and without line feeds, which scroll the last row. What is drawn is compared with what the
    screen shows rather than with the turn before, so that changes in place, resizing and new state keys show.
    """

    def __init__(self, terminal: Terminal, game: Any) -> None:
        super().__init__(terminal, color=game.color, show_state=game.show_state)
        self.has_log = bool(game.debug)
        """Whether the game's log is shown beside the board."""
        self._shown: dict[tuple[int, int], str] = {}
        self._state_rows = -1

    def render(self, game: Any) -> None:
        """Show the game as it is now.

        Raises:
            TerminalError: with the size needed, if the terminal is smaller.
            GameFailedError: if something the game shows cannot be drawn.
        """
        self.check_size(game)
        if self.state_height(game) != self._state_rows:
            self._state_rows = self.state_height(game)
            self.initial_render = True
        drawn = io.StringIO()
        try:
            with contextlib.redirect_stdout(drawn), contextlib.redirect_stderr(io.StringIO()):
                super().render(game)
                if self.show_state:
                    self.render_state(game)  # by now the game has forgotten that its state changed
        except Exception as error:
            raise GameFailedError(f"the game cannot be drawn: {describe_failure(error)}") from error
        self._write(drawn.getvalue())

    def show_status(self, game: Any, text: str) -> None:
        """Show one line of ours below the frame, or over its lower edge where there is no row left."""
        _, height = needed_size(self, game)
        _, top = self.get_view_origin_coords(game)
        row = min(top - 1 + height, self.terminal.height - 1)
        clipped = text[: self.terminal.width - 1]
        column = max(0, (self.terminal.width - len(clipped)) // 2)
        self._write(self.terminal.move_xy(column, row) + self.terminal.reverse(clipped))

    def check_size(self, game: Any) -> None:
        """Return if the game fits the terminal.

        Raises:
            TerminalError: with the size needed.
        """
        width, height = needed_size(self, game)
        if self.terminal.width < width or self.terminal.height < height:
            raise TerminalError(
                f"this terminal has {self.terminal.width} columns and {self.terminal.height} rows, and the game needs "
                f"{width} columns and {height} rows. Enlarge the window or choose a smaller font, and play again."
            )

    def get_view_origin_coords(self, game: Any) -> tuple[int, int]:
        """Return the column and row of the board's first cell."""
        width, height = needed_size(self, game)
        return (self.terminal.width - width) // 2 + 1, (self.terminal.height - height) // 2 + 1

    def render_layout(self, game: Any) -> None:
        """Clear the screen and draw the frame."""
        super().render_layout(game)
        self._shown = {}

    def get_layout_graph(self, game: Any) -> Graph:
        """Return the frame. That of a log beside a state pane the framework draws askew, and then refuses to draw."""
        debug, game.debug = game.debug, False
        try:
            graph = super().get_layout_graph(game)
        finally:
            game.debug = debug
        if self.has_log:
            width, height = needed_size(self, game)
            left, top = (place - 1 for place in self.get_view_origin_coords(game))
            middle, right, bottom = left + width - 1 - self.DEBUG_WIDTH, left + width - 1, top + height - 1
            if not self.state_height(game):
                bottom = top + game.view_size[1] + 1
            graph.get_or_create_edge(middle, top, right, top)
            graph.get_or_create_edge(right, top, right, bottom)
            graph.get_or_create_edge(middle, bottom, right, bottom)
        return graph

    def get_board_view_diff(
        self, prior: dict[tuple[int, int], str], board_view: dict[tuple[int, int], str]
    ) -> dict[tuple[int, int], str]:
        """Return what has to be drawn for the screen to show `board_view`."""
        diff: dict[tuple[int, int], str] = super().get_board_view_diff(self._shown, board_view)
        self._shown = board_view
        # Nothing but a colour would leave on the screen what was there before.
        blank = self.get_color(self.color)(" ")
        return {at: shown if self.terminal.strip_seqs(shown) else blank for at, shown in diff.items()}

    def _write(self, text: str) -> None:
        self.terminal.stream.write(text.replace("\n", ""))
        self.terminal.stream.flush()


def needed_size(view: Screen, game: Any) -> tuple[int, int]:
    """Return the columns and rows that the frame around the game takes."""
    width, height = game.view_size
    log_width = view.DEBUG_WIDTH if view.has_log else 0
    return width + view.BORDER_X + log_width, height + view.BORDER_Y + view.state_height(game)
