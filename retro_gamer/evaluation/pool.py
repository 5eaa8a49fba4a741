"""Evaluation on all cores: the games of each player are divided into shares for a pool of processes."""

from __future__ import annotations

import dataclasses
import functools
import math
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from retro_gamer.errors import CheckpointError, CheckpointNotFoundError, GameFailedError
from retro_gamer.evaluation.playing import GAMES_AT_A_TIME, Chooser, SeededGame, choose_randomly, play_games
from retro_gamer.evaluation.statistics import Evaluation, GameResult, compute_statistics, find_varying_keys
from retro_gamer.games.loading.processes import isolated_start
from retro_gamer.games.loading.watchdog import Watchdog, discard_output
from retro_gamer.games.session import GameSession
from retro_gamer.learning import set_threads
from retro_gamer.policy import TrainedPolicy
from retro_gamer.run.config import load_config

SHARES_PER_PROCESS = 4
"""Shares of a long evaluation, at least: enough to show progress and to keep every process busy to the end."""
SEED_STRIDE = 1_000_003
"""More than the games of any evaluation, so that two seeds share no game."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """Games that one process plays for one player: a checkpoint, or random play if that is None.

    `checks_board`: whether the checkpoint's board size is compared with the game's first, which builds a game.
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
    """Return the statistics of random play (None) and of each checkpoint by name, all on the same seeds.

    `on_played` receives the number of games played so far, by all players. `on_skipped` receives the reason why one of
    several checkpoints was skipped: it is damaged, or a training that is running has deleted it.

    Raises:
        CheckpointError, CheckpointNotFoundError: if every checkpoint was skipped.
        GameFailedError: if no game can be started, or a game ends its process.
        RetroGamerError: if something else is wrong with the run or its game.
    """
    players = (None, *checkpoints)
    shares = [
        Share(run_dir=run_dir, checkpoint=player, seeds=seeds, max_turns=max_turns, checks_board=number == 0)
        for player in players
        for number, seeds in enumerate(divide_seeds(seed, episodes, n_processes))
    ]
    played, skipped = _play_shares(shares, min(n_processes, len(shares)), on_played or (lambda n_games: None))
    if checkpoints and len(skipped) == len(checkpoints):
        raise skipped[checkpoints[0]]
    if on_skipped is not None:
        for error in skipped.values():
            on_skipped(str(error))
    reward = load_config(run_dir).metadata.reward
    keys = find_varying_keys((result for results in played.values() for result in results), reward)
    return {
        player: compute_statistics(sorted(played[player], key=lambda result: result.seed), keys)
        for player in players
        if player not in skipped
    }


def divide_seeds(seed: int, episodes: int, n_processes: int) -> list[tuple[int, ...]]:
    """Return the seeds of a player's games, divided into shares. The seeds do not depend on the number of processes."""
    seeds = tuple(seed * SEED_STRIDE + i for i in range(episodes))
    per_process = math.ceil(episodes / n_processes)
    size = max(min(per_process, GAMES_AT_A_TIME), math.ceil(per_process / SHARES_PER_PROCESS))
    return [seeds[start : start + size] for start in range(0, episodes, size)]


def _play_shares(
    shares: Sequence[Share], n_processes: int, on_played: Callable[[int], None]
) -> tuple[dict[str | None, list[GameResult]], dict[str | None, Exception]]:
    """Return the results of each player, and the errors of the checkpoints that could not play."""
    results: dict[str | None, list[GameResult]] = {}
    skipped: dict[str | None, Exception] = {}
    others = set(multiprocessing.active_children())
    with isolated_start() as context:
        pool = ProcessPoolExecutor(n_processes, context, _begin_process)
        waiting = {pool.submit(play_share, share): share for share in shares}
    try:
        for future in as_completed(waiting):
            player = waiting[future].checkpoint
            try:
                results.setdefault(player, []).extend(future.result())
            except (CheckpointError, CheckpointNotFoundError) as error:
                skipped[player] = error
            on_played(sum(map(len, results.values())))
        pool.shutdown()
    except BrokenProcessPool:
        raise GameFailedError(
            "the process that played the game has ended: the game's code ended it (os._exit, a crash), or memory ran "
            "out"
        ) from None
    finally:
        # After an error or Ctrl-C the processes would finish their shares first.
        left = set(multiprocessing.active_children()) - others
        for process in left:
            process.terminate()
        for process in left:
            process.join()
    for player in skipped:
        results.pop(player, None)
    return results, skipped


def _begin_process() -> None:
    """Let Ctrl-C end the process silently, and discard what the game prints."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    discard_output(1, 2)


def play_share(share: Share) -> list[GameResult]:
    """Play a share and return its results. Runs in a process of the pool."""
    set_threads(1)
    config = load_config(share.run_dir)
    source = config.require_source()
    make_session = functools.partial(GameSession.load, source, config.metadata)
    policy = TrainedPolicy(share.run_dir, share.checkpoint) if share.checkpoint is not None else None
    with Watchdog(config.hyperparameters.hang_seconds):
        if policy is not None and share.checks_board:
            policy.check_game(make_session)
        choose = choose_randomly if policy is None else _make_chooser(policy)
        return play_games(make_session, share.seeds, choose, share.max_turns)


def _make_chooser(policy: TrainedPolicy) -> Chooser:
    def choose(games: Sequence[SeededGame]) -> list[int]:
        return policy.choose_actions([game.session.game for game in games])

    return choose
