"""A trained run as a player: of the game it was trained for, or of any other game."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blessed.keyboard import Keystroke
from retro.game import Game
from retro.input import InputSource

from retro_gamer.errors import CheckpointError, quoted
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.game_rules import read_board_size
from retro_gamer.games.loading.keys import make_keystroke
from retro_gamer.games.observation import Observer
from retro_gamer.games.session import GameSession, seed_generators, unseed_generators
from retro_gamer.games.validation import is_board_size
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.checkpoint import (
    MUST_MATCH_TO_PLAY,
    NO_DIGEST,
    STATE_ERRORS,
    find_mismatches,
    has_digest,
    load_checkpoint,
    make_damaged_error,
    read_network_spec,
)
from retro_gamer.learning.inference import InferenceNetwork
from retro_gamer.learning.step import unsquash
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import RunDirectory


class TrainedPolicy:
    """Plays without exploration, with the network of one checkpoint.

    `checkpoint` is a name (``ep_0100``, ``latest``) or a path within checkpoints/. The default is the final checkpoint,
    or else the latest; `note` reports that. `metadata` describes the game as the network knows it, with the character
    set of the checkpoint. A policy keeps no state between calls, so it can play many games at a time.

    Raises:
        RunNotFoundError, ConfigurationError, CheckpointNotFoundError
        UsageError: if the checkpoint is outside the run.
        CheckpointError: if it is damaged, or config.toml was changed and is no longer compatible with it.
    """

    def __init__(self, run_dir: str | Path, checkpoint: str | None = None) -> None:
        run = RunDirectory.open(run_dir)
        config = self.config = load_config(run_dir)
        if checkpoint is None:
            self.checkpoint, self.note = run.default_checkpoint()
        else:
            self.checkpoint, self.note = run.resolve_checkpoint(checkpoint), None
        name = self.checkpoint.path.name
        state = load_checkpoint(self.checkpoint.read(), name)
        if not has_digest(state):
            self.note = "; ".join(filter(None, [self.note, f"{name} {NO_DIGEST}"]))
        present = _with_board(config.metadata, state["must_match"])
        _check_compatible(state, present, config.hyperparameters, name)
        self.metadata, spec = read_network_spec(present, state, name)
        self._network = InferenceNetwork(spec)
        try:
            self._network.load(state["model_state_dict"])
        except STATE_ERRORS as error:
            raise make_damaged_error(name, "its weights do not match the network it describes") from error
        self._observer = Observer(self.metadata)

    def check_game(self, make_session: Callable[[], GameSession]) -> None:
        """Check that the game's board has the size that the network was trained on.

        Builds a game from the run's seed, as training does, and then reseeds the global random generators.

        Raises:
            CheckpointError: if the sizes differ; names both.
            GameFailedError: if the game cannot be built.
        """
        seed = self.config.hyperparameters.seed
        seed_generators(seed)
        session = make_session()
        session.seed(seed)
        session.start()
        size = read_board_size(session.game, view=self.metadata.sees_view)
        unseed_generators()
        if size != self.metadata.board_size:
            (width, height), trained = size, self.metadata.board_size or (0, 0)
            raise CheckpointError(
                f"{self.checkpoint.path.name} does not fit the game: the board is {width} x {height} now and was "
                f"{trained[0]} x {trained[1]} in training. Restore that board size, or train a new run."
            )

    def get_action(self, game: Game, agent: Any = None) -> str | None:
        """Return the key to press now, or None to press no key.

        `agent` is the agent to play, if that is not the game's player: the policy then sees the board from its cell.
        """
        return self.metadata.key_of(int(self.q_values(game, agent).argmax()))

    def choose_actions(self, games: Sequence[Game]) -> list[int]:
        """Return the index of the best action in each of several games, with one forward pass."""
        observed = [self._observer.observe(game) for game in games]
        q = self._network.evaluate(
            np.stack([o.codes for o in observed]),
            np.stack([o.player for o in observed]),
            np.stack([o.state for o in observed]),
        )
        best: list[int] = q.argmax(axis=1).tolist()
        return best

    def q_values(self, game: Game, agent: Any = None) -> np.ndarray:
        """Return the expected discounted reward of each action, float32 [A]; the last action presses no key."""
        observation = self._observer.observe(game)
        player = observation.player
        if agent is not None:
            player = np.array(self._observer.cell(game, agent), dtype=np.int16)
        q = self._network.evaluate(observation.codes[None], player[None], observation.state[None])
        values: np.ndarray = unsquash(q)[0]
        return values


class PolicyInput(InputSource):
    """An input source that plays a policy: ``game.play(input_source=PolicyInput(policy, game))``.

    The keys go to the whole game, as those of a person do; `agent` is the agent that the policy plays.
    """

    def __init__(self, policy: TrainedPolicy, game: Game, agent: Any = None) -> None:
        self.policy = policy
        self.game = game
        self.agent = agent

    def collect(self) -> set[Keystroke]:
        """Return a set with the key of this turn, or an empty set."""
        key = self.policy.get_action(self.game, self.agent)
        return set() if key is None else {make_keystroke(key)}


def _with_board(metadata: GameMetadata, trained: Mapping[str, Any]) -> GameMetadata:
    """Return the description, with the checkpoint's board size if it names none."""
    size = trained.get("board_size")
    if size is None or metadata.board_size is not None or not is_board_size(size):
        return metadata
    return dataclasses.replace(metadata, board_size=tuple(size))


def _check_compatible(state: Mapping[str, Any], metadata: GameMetadata, settings: Hyperparameters, name: str) -> None:
    """Check that the configuration is still compatible with the checkpoint.

    Raises:
        CheckpointError: if it is not; names each field.
    """
    found = find_mismatches(state, metadata, settings, MUST_MATCH_TO_PLAY)
    if found:
        lines = [f"  {each.field}: trained with {quoted(each.trained)}, now {quoted(each.present)}" for each in found]
        raise CheckpointError(
            "\n".join([f"{name} does not fit config.toml, which has changed:", *lines, "Restore these values."])
        )
