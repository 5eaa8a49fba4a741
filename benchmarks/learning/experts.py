"""Scripted experts that read a game's own objects: the upper end of the normalised score.

Snake: the shortest way to the apple from which the tail can still be reached; else the way that leaves most room.
Nav: the move after which the ship can go on longest, by looking at every asteroid on the board.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

Cell = tuple[int, int]
KEYS: dict[Cell, str] = {(1, 0): "KEY_RIGHT", (0, -1): "KEY_UP", (-1, 0): "KEY_LEFT", (0, 1): "KEY_DOWN"}
NAV_MOVES = (0, -1, 1)


def choose_snake_key(game: Any) -> str | None:
    """Return the key to press in this turn of Snake, or None where every move ends the game."""
    head = game.get_agent_by_name("Snake head")
    body = _read_body(head)
    apple = game.get_agent_by_name("Apple").position
    snake = [head.position, *body]
    way = _find_way(snake, apple, game.board_size, growing=head.growing)
    move = way[0] if way and _is_safe_after(snake, way, game.board_size) else _choose_roomiest(snake, game.board_size)
    if move is None:
        return None
    return KEYS[(move[0] - snake[0][0], move[1] - snake[0][1])]


def _read_body(head: Any) -> list[Cell]:
    cells, segment = [], head.next_segment
    while segment is not None:
        cells.append(segment.position)
        segment = segment.next_segment
    return cells


def _neighbours(cell: Cell, size: Cell) -> list[Cell]:
    x, y = cell
    return [(x + dx, y + dy) for dx, dy in KEYS if 0 <= x + dx < size[0] and 0 <= y + dy < size[1]]


def _find_way(snake: list[Cell], goal: Cell, size: Cell, *, growing: bool = False) -> list[Cell]:
    """Return the cells of a shortest way from the head to `goal`, [] if there is none.

    Segment i of n leaves its cell after n - i moves, one later if the snake grows; the head moves before the tail does.
    """
    free_after = {cell: len(snake) - i + growing for i, cell in enumerate(snake) if i}
    came_from: dict[Cell, Cell] = {snake[0]: snake[0]}
    waiting = deque([(snake[0], 1)])
    while waiting:
        cell, moves = waiting.popleft()
        for near in _neighbours(cell, size):
            if near in came_from or free_after.get(near, 0) >= moves:
                continue
            came_from[near] = cell
            if near == goal:
                return _trace(came_from, snake[0], goal)
            waiting.append((near, moves + 1))
    return []


def _trace(came_from: Mapping[Cell, Cell], start: Cell, goal: Cell) -> list[Cell]:
    way = [goal]
    while came_from[way[-1]] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _is_safe_after(snake: list[Cell], way: list[Cell], size: Cell) -> bool:
    """Return whether the tail can be followed once the apple at the end of `way` is eaten."""
    after = [*reversed(way), *snake][: len(snake) + 1]
    return len(after) < 3 or bool(_find_way(after, after[-1], size))


def _choose_roomiest(snake: list[Cell], size: Cell) -> Cell | None:
    """Return the next cell that keeps the tail within reach and leaves most room, None if every one is taken."""
    taken = set(snake)
    best, best_room = None, (-1, -1)
    for near in _neighbours(snake[0], size):
        if near in taken:
            continue
        after = [near, *snake[:-1]]
        follows = len(after) < 3 or bool(_find_way(after, after[-1], size))
        room = (int(follows), _count_room(near, set(after), size))
        if room > best_room:
            best, best_room = near, room
    return best


def _count_room(start: Cell, taken: set[Cell], size: Cell) -> int:
    reached, waiting = {start}, [start]
    while waiting:
        for near in _neighbours(waiting.pop(), size):
            if near not in reached and near not in taken:
                reached.add(near)
                waiting.append(near)
    return len(reached)


def choose_nav_key(game: Any) -> str | None:
    """Return the key to press in this turn of Nav: the first of the moves after which the ship lives longest."""
    ship = game.get_agent_by_name("ship").position
    asteroids = {agent.position for agent in game.agents if getattr(agent, "character", "") == "O"}
    width, height = game.board_size
    alive = {move: {ship[0] + move} for move in NAV_MOVES if _can_be_at(ship[0] + move, ship, asteroids, width)}
    alive = {move: _after_turn(columns, game.turn_number + 1, 0, asteroids, ship[1]) for move, columns in alive.items()}
    turn, fallen = game.turn_number + 1, (game.turn_number + 1) % 2 == 0
    for _ in range(2 * height):
        alive = {move: columns for move, columns in alive.items() if columns} or alive
        if len(alive) == 1 or not any(alive.values()):
            break
        turn += 1
        now = {(x, y + fallen) for x, y in asteroids}
        alive = {
            move: _after_turn(_reach(columns, now, ship[1], width), turn, fallen, asteroids, ship[1])
            for move, columns in alive.items()
        }
        fallen += turn % 2 == 0
    best = max(alive, key=lambda move: (len(alive[move]), move == 0), default=0)
    return {0: None, -1: "KEY_LEFT", 1: "KEY_RIGHT"}[best]


def _can_be_at(column: int, ship: Cell, asteroids: set[Cell], width: int) -> bool:
    return 0 <= column < width and (column == ship[0] or (column, ship[1]) not in asteroids)


def _reach(columns: set[int], asteroids: set[Cell], row: int, width: int) -> set[int]:
    """Return the columns that the ship can be in after its key, the asteroids being where they are."""
    moved = {column + move for column in columns for move in NAV_MOVES}
    return {c for c in moved if 0 <= c < width and (c in columns or (c, row) not in asteroids)}


def _after_turn(columns: set[int], turn: int, fallen: int, asteroids: set[Cell], row: int) -> set[int]:
    """Return the columns in which the ship is not hit when, in even turns, all asteroids fall by one more."""
    if turn % 2:
        return columns
    return {column for column in columns if (column, row - fallen - 1) not in asteroids}


EXPERTS = {"retro.examples.snake": choose_snake_key, "retro.examples.nav": choose_nav_key}
