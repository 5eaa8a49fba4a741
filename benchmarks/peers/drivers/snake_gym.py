"""Snake of retro-games behind Gymnasium's interface, as a user of another library would wrap it.

The board is encoded from the game's agents, so that the wrapper costs the peer as little as our own encoder costs us.
"""

from typing import Any

import gymnasium
import numpy as np
from retro.examples.snake import create_game
from retro.input import ProgrammaticInput

ACTIONS = ("KEY_RIGHT", "KEY_UP", "KEY_LEFT", "KEY_DOWN", None)
CHANNELS = {character: index for index, character in enumerate("@*><^v")}
WIDTH, HEIGHT = 32, 16
TURN_LIMIT = 2000


class SnakeEnv(gymnasium.Env[Any, Any]):
    """Observation: one-hot board uint8 [6, 16, 32], flat if asked for. Reward: the change of the score."""

    def __init__(self, flat: bool = False, dtype: Any = np.uint8) -> None:
        self.flat = flat
        shape = (len(CHANNELS) * HEIGHT * WIDTH,) if flat else (len(CHANNELS), HEIGHT, WIDTH)
        self.observation_space = gymnasium.spaces.Box(0, 1, shape, dtype)
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self._dtype = dtype
        self._input = ProgrammaticInput()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._game = create_game()
        self._game.input_source = self._input
        self._game.start()
        self._score = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._input.press(ACTIONS[int(action)])
        self._game.step()
        score = self._game.state["score"]
        reward, self._score = float(score - self._score), score
        truncated = self._game.playing and self._game.turn_number >= TURN_LIMIT
        return self._observe(), reward, not self._game.playing, truncated, {}

    def _observe(self) -> np.ndarray:
        board = np.zeros((len(CHANNELS), HEIGHT, WIDTH), self._dtype)
        for agent in self._game.agents:
            x, y = agent.position
            board[CHANNELS[agent.character], y, x] = 1
        return board.reshape(-1) if self.flat else board
