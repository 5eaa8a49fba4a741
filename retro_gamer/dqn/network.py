"""The Q-networks: what they have in common, how one is made, and the one that sees the board as a list of numbers.

All take numpy's codes uint8 [B, H, W], player int16 [B, 2] (x, y; -1 where there is none) and state float32 [B, S],
and return torch's Q-values float32 [B, A]. Each names the parameters that are laid out per character
(`character_axes`).
"""

from __future__ import annotations

import abc
import itertools
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from retro_gamer.dqn.board import compress
from retro_gamer.dqn.characters import CharacterAxis
from retro_gamer.dqn.spec import NetworkSpec

Looked = tuple[np.ndarray, ...]
"""What a network makes of boards without using a weight: the same for every network of its spec."""


class QNetwork(nn.Module, abc.ABC):
    """Base of the networks: Q-values of every action for a batch of observations.

    A forward pass is `look`, `prepare` and `value`, of which only the last uses weights: a learner looks at a batch
    and prepares it once, and lets both of its networks value it.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec

    @abc.abstractmethod
    def look(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
        """Return all that the network takes of the boards, as small as it can be sent to a device."""

    def prepare(self, looked: Looked) -> tuple[torch.Tensor, ...]:
        """Return what was looked at as the first layer takes it, on the network's device."""
        return to_device(looked, next(self.parameters()).device)

    def halves(self, prepared: tuple[torch.Tensor, ...]) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Return the first half of an even number of boards that were prepared, and the second."""
        first, second = zip(*(tensor.chunk(2) for tensor in prepared), strict=True)
        return first, second

    @abc.abstractmethod
    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A] of boards that were prepared."""

    def forward(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> torch.Tensor:
        """Return Q-values [B, A]."""
        return self.value(*self.prepare(self.look(codes, player, state)))

    @abc.abstractmethod
    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the parameters that are laid out per character, by name."""


def to_device(arrays: tuple[np.ndarray, ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return arrays as tensors on a device; those that Ray shares are read-only, which torch is not."""
    return tuple(torch.from_numpy(array if array.flags.writeable else array.copy()).to(device) for array in arrays)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor's values on the CPU, without its gradient."""
    return tensor.detach().cpu().numpy()


def make_head(n_features: int, spec: NetworkSpec) -> nn.Sequential:
    """Return the MLP of `n_layers` hidden layers from features to Q-values."""
    sizes = [n_features] + [spec.layer_size] * spec.n_layers
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], spec.n_actions))


class ListNetwork(QNetwork):
    """The non-spatial network: a plain MLP over the one-hot board, laid out [H, W, C], and the state values.

    Nearly all inputs are zero, so the first layer adds up the weight rows of the cells that are not empty.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        n_inputs = spec.height * spec.width * spec.n_characters
        n_out = spec.layer_size if spec.n_layers else spec.n_actions
        bound = 1 / math.sqrt(max(1, n_inputs + spec.n_state))
        self.cells = nn.Parameter(torch.empty(n_inputs, n_out).uniform_(-bound, bound))
        self.values = nn.Parameter(torch.empty(spec.n_state, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_out).uniform_(-bound, bound))
        rest: list[nn.Module] = []
        if spec.n_layers:
            rest = [nn.ReLU()]
            for _ in range(spec.n_layers - 1):
                rest += [nn.Linear(spec.layer_size, spec.layer_size), nn.ReLU()]
            rest.append(nn.Linear(spec.layer_size, spec.n_actions))
        self.rest = nn.Sequential(*rest)

    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the axis of the first layer: its rows are laid out [H * W, C]."""
        return {"cells": CharacterAxis(dim=0, before=self.spec.height * self.spec.width)}

    def look(self, codes: np.ndarray, player: np.ndarray, state: np.ndarray) -> Looked:
        """Return the rows of the first layer that count, where each board's begin, and the state values.

        The player's position is not used.
        """
        flat = codes.reshape(len(codes), -1)
        board, cell = np.nonzero(flat)
        rows = cell * self.spec.n_characters + flat[board, cell] - 1
        starts = np.searchsorted(board, np.arange(len(flat)))
        return rows, starts, compress(state)

    def halves(self, prepared: tuple[torch.Tensor, ...]) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Return the two halves of the boards: the rows of the first end where the second's begin."""
        rows, starts, state = prepared
        n_first = len(starts) // 2
        middle = int(starts[n_first])
        first = (rows[:middle], starts[:n_first], state[:n_first])
        return first, (rows[middle:], starts[n_first:] - middle, state[n_first:])

    def value(self, *prepared: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A]."""
        rows, starts, state = prepared
        seen = functional.embedding_bag(rows, self.cells, starts, mode="sum")
        return self.rest(seen + state @ self.values + self.bias)
