"""Evaluating on all cores: the games of each player are dealt out in shares to processes of their own."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from retro_gamer.errors import CheckpointError, CheckpointNotFoundError, GameFailedError
from retro_gamer.evaluation.playing import GAMES_AT_A_TIME, Chooser, SeededGame, choose_randomly, play_games
from retro_gamer.evaluation.statistics import Evaluation, GameResult, character_statistics, find_telling_keys
from retro_gamer.games.loading.launcher import load_factory
from retro_gamer.games.loading.watchdog import Watchdog
from retro_gamer.games.session import GameSession
from retro_gamer.learning import set_threads
from retro_gamer.policy import TrainedPolicy
from retro_gamer.run.config import load_config

SHARES_A_PROCESS = 4
"""At least so many shares of many games, so that what is done can be told and no process is left waiting."""
SEED_STRIDE = 1_000_003
"""Far more than games are played, so that two seeds have no game in common."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """The games one process plays at a time. `checkpoint` None plays at random.

    `checks_board`: whether the checkpoint is held against the game's board first, which builds a game
    """

    run_dir: str
    checkpoint: str | None
    seeds: tuple[int, ...]
    max_turns: int
    checks_board: bool = False


def evaluate_checkpoints(
    run_dir: str,
    checkpoints: Sequence[str],
    *,
    episodes: int,
    seed: int,
    max_turns: int,
    n_processes: int,
    on_played: Callable[[int], None] | None = None,
    on_skipped: Callable[[str], None] | None = None,
) -> dict[str | None, Evaluation]:
    """Return the figures of random play (None) and of each checkpoint by name, all on the same seeds.

    `on_played` is told the number of games played so far, of all players, `on_skipped` why a checkpoint of several
    is left out: training that goes on removes those it has replaced, and one may be damaged.

    Raises:
        CheckpointError, CheckpointNotFoundError: if no checkpoint is left.
        GameFailedError: if no game can be started, or one takes its whole process down.
        RetroGamerError: from whatever else is wrong with the run or its game.
    """
    players = (None, *checkpoints)
    shares = [
        Share(run_dir=run_dir, checkpoint=player, seeds=seeds, max_turns=max_turns, checks_board=number == 0)
        for player in players
        for number, seeds in enumerate(deal_seeds(seed, episodes, n_processes))
    ]
    played, left_out = _play_shares(shares, min(n_processes, len(shares)), on_played or (lambda n_games: None))
    if checkpoints and len(left_out) == len(checkpoints):
        raise left_out[checkpoints[0]]
    if on_skipped is not None:
        for error in left_out.values():
            on_skipped(str(error))
    reward = load_config(run_dir).metadata.reward
    keys = find_telling_keys((result for results in played.values() for result in results), reward)
    return {
        player: character_statistics(sorted(played[player], key=lambda result: result.seed), keys)
        for player in players
        if player not in left_out
    }


def deal_seeds(seed: int, episodes: int, n_processes: int) -> list[tuple[int, ...]]:
    """Return the seeds of one player's games in shares: the same seeds whatever the number of processes."""
    seeds = tuple(seed * SEED_STRIDE + i for i in range(episodes))
    a_process = math.ceil(episodes / n_processes)
    size = max(min(a_process, GAMES_AT_A_TIME), math.ceil(a_process / SHARES_A_PROCESS))
    return [seeds[start : start + size] for start in range(0, episodes, size)]


def _play_shares(
    shares: Sequence[Share], n_processes: int, on_played: Callable[[int], None]
) -> tuple[dict[str | None, list[GameResult]], dict[str | None, Exception]]:
    """Return the results of each player, and why a checkpoint could not play."""
    results: dict[str | None, list[GameResult]] = {}
    left_out: dict[str | None, Exception] = {}
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(n_processes, multiprocessing.get_context("spawn"), _begin_process)
    try:
        waiting = {pool.submit(play_share, share): share for share in shares}
        for future in as_completed(waiting):
            player = waiting[future].checkpoint
            try:
                results.setdefault(player, []).extend(future.result())
            except (CheckpointError, CheckpointNotFoundError) as error:
                left_out[player] = error
            on_played(sum(map(len, results.values())))
        pool.shutdown()
    except BrokenProcessPool:
        raise GameFailedError(
            "the process that played the game came to an end: the game's code ended it (os._exit, a crash), or the "
            "memory ran out"
        ) from None
    finally:
        # After an error or Ctrl-C they would play on to the end of their shares.
        left = set(multiprocessing.active_children()) - others
        for process in left:
            process.terminate()
        for process in left:
            process.join()
    for player in left_out:
        results.pop(player, None)
    return results, left_out


def _begin_process() -> None:
    """Ctrl-C ends the process at once and without a word, and nothing the game prints is shown."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def play_share(share: Share) -> list[GameResult]:
    """Return the results of a share; runs in a process of its own."""
    set_threads(1)
    config = load_config(share.run_dir)
    source = config.require_source()

    def make_session() -> GameSession:
        return GameSession(load_factory(source), config.metadata, source)

    policy = TrainedPolicy(share.run_dir, share.checkpoint) if share.checkpoint is not None else None
    with Watchdog(config.hyperparameters.hang_seconds):
        if policy is not None and share.checks_board:
            policy.check_game(make_session)
        choose = choose_randomly if policy is None else _greedily(policy)
        return play_games(make_session, share.seeds, choose, share.max_turns)


def _greedily(policy: TrainedPolicy) -> Chooser:
    def choose(games: Sequence[SeededGame]) -> list[int]:
        return policy.choose_actions([game.session.game for game in games])

    return choose
