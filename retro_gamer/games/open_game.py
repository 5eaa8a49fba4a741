"""Holding a description against a started game, some of whose agents may come only later."""

from __future__ import annotations

from retro_gamer.errors import GameFailedError, Problem
from retro_gamer.games.game_rules import find_game_problems, find_problems_against
from retro_gamer.games.observation import names_of_all
from retro_gamer.games.session import GameSession, make_player_generator

MEETING_TURNS = 200
"""Random turns, at most, in which a player that is not there at the start is waited for."""


def find_session_problems(session: GameSession) -> list[Problem]:
    """Return what the description of the `session`, whose game was just started, says that the game does not bear out.

    Where the player is not among the first agents, the game is played on at random until it is met.
    """
    game, metadata = session.game, session.metadata
    problems = find_game_problems(metadata, game)
    if metadata.player is None or all(problem.field != "player" for problem in problems):
        return problems
    names, state = names_of_all(game.agents), dict(game.state)
    generator = make_player_generator(0)
    while not session.is_over and session.turns < MEETING_TURNS:
        try:
            session.step(generator.randrange(metadata.n_actions))
        except GameFailedError:
            break  # what of it is to be told is told when the game is played to learn
        met = [called for called in names_of_all(game.agents) if called not in names]
        names += met
        if any(metadata.player in called for called in met):
            break
    return find_problems_against(metadata, state, names)
