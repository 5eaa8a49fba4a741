"""What the Q-networks have in common: the interface, the head, and the written-out gradients of small layers.

On batches of terminal boards torch's automatic gradient spends most of its time on its own bookkeeping: written out,
an update takes a third less, which no library offers. The automatic one stays as the default of `QNetwork`, and a test
compares every network's own gradients with it. Each `backward_` function overwrites the parameters' `grad`.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from retro_gamer.features.extractor import CHARACTER_STATISTICS, LOCATION_FEATURES, Features, make_extractor
from retro_gamer.features.spec import NetworkSpec

FIRST_CHANNELS = 16
CHANNELS = 32

Tensors = tuple[torch.Tensor, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CharacterAxis:
    """Says that along `dim`, from `offset` on, entries are laid out [before, characters, after].

    What lies ahead of `offset` and behind the block belongs to no character.
    """

    dim: int
    offset: int = 0
    before: int = 1
    after: int = 1


def grow_tensor(tensor: torch.Tensor, axis: CharacterAxis, n_old: int, n_new: int) -> torch.Tensor:
    """Return `tensor` with zeros inserted for the characters n_old..n_new-1 along `axis`."""
    dim, block = axis.dim, axis.before * n_old * axis.after
    head, middle, tail = torch.split(tensor, [axis.offset, block, tensor.shape[dim] - axis.offset - block], dim=dim)
    shape = list(tensor.shape)
    split_shape = [*shape[:dim], axis.before, n_old, axis.after, *shape[dim + 1 :]]
    zero_shape = [*shape[:dim], axis.before, n_new - n_old, axis.after, *shape[dim + 1 :]]
    grown = torch.cat([middle.reshape(split_shape), tensor.new_zeros(zero_shape)], dim=dim + 1)
    grown = grown.reshape([*shape[:dim], axis.before * n_new * axis.after, *shape[dim + 1 :]])
    return torch.cat([head, grown, tail], dim=dim)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardPass:
    """Q-values [B, A] at both ends of B transitions, and what `QNetwork.backward` needs."""

    q_tm1: torch.Tensor
    q_t: torch.Tensor
    q_t_target: torch.Tensor
    """Those of the target network at the end."""
    kept: tuple[Any, ...] = ()


class QNetwork(nn.Module, abc.ABC):
    """Base of the networks: features in, the Q-values of every action out.

    `extractor` makes the features (numpy), `to_tensors` takes them to the network's device, `forward` gives Q-values.
    A learner calls `forward_both` and `backward` instead. Subclasses implement `_q_values`, and where it pays
    `_q_values_both` and `backward` with a gradient of their own.
    """

    has_fixed_shapes = True
    """Whether features have the same shapes for every batch of one size."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.extractor = make_extractor(spec)

    @property
    def n_parameters(self) -> int:
        """Weights in the network."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, features: Tensors) -> torch.Tensor:
        """Return Q-values [B, A] from the features of B boards on the network's device."""
        return self._q_values(*self._inputs(*features))

    def forward_both(
        self,
        features: Tensors,
        target: QNetwork,
        beside: contextlib.AbstractContextManager[None] = contextlib.nullcontext(),
    ) -> ForwardPass:
        """Return Q-values at both ends of B transitions from 2 B boards' features: first those of the starts.

        The target network computes the ends, within `beside`, in which a GPU can run it in parallel.
        """
        inputs = self._inputs(*features)
        with torch.no_grad(), beside:
            q_t_target = target._q_values(*self._split(inputs)[1])
        q_tm1, q_t, kept = self._q_values_both(inputs)
        return ForwardPass(q_tm1=q_tm1, q_t=q_t, q_t_target=q_t_target, kept=kept)

    def backward(self, passed: ForwardPass, gradient: torch.Tensor) -> None:
        """Set the parameters' gradients, which exist and are zero, from that of `q_tm1` [B, A]."""
        passed.q_tm1.backward(gradient)

    def cache_tables(self) -> None:
        """Compute tables that depend on the weights alone. Call again after every change of weights."""

    @abc.abstractmethod
    def character_axes(self) -> dict[str, CharacterAxis]:
        """Return the parameters that are laid out per character, by name."""

    @abc.abstractmethod
    def _q_values(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A] from the inputs of the first layer."""

    def _q_values_both(self, inputs: Tensors) -> tuple[torch.Tensor, torch.Tensor, tuple[Any, ...]]:
        """Return Q-values at the starts and at the ends, and what `backward` needs: here torch's own graph."""
        start, end = self._split(inputs)
        with torch.no_grad():
            q_t = self._q_values(*end)
        return self._q_values(*start), q_t, ()

    def _inputs(self, *features: torch.Tensor) -> Tensors:
        """Return features as the first layer takes them."""
        return features

    def _split(self, inputs: Tensors) -> tuple[Tensors, Tensors]:
        """Return the inputs of the first half of the boards, and of the second."""
        first, second = zip(*(tensor.chunk(2) for tensor in inputs), strict=True)
        return first, second


def to_tensors(features: Features, device: torch.device | str) -> Tensors:
    """Return features on a device. Those that Ray shares are read-only, which torch does not take: they are copied."""
    return tuple(torch.from_numpy(array if array.flags.writeable else array.copy()).to(device) for array in features)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor's values on the CPU, without its gradient."""
    values: np.ndarray = tensor.detach().cpu().numpy()
    return values


class ConvolutionalNetwork(QNetwork):
    """Base of the CNNs: a trunk of `n_trunk` features, beside it the global features, and the head."""

    head: nn.Sequential
    head_layers: list[nn.Linear]
    n_trunk: int

    def _add_head(self, n_trunk: int) -> None:
        """Add the head, whose parameters come after the trunk's."""
        spec = self.spec
        self.n_trunk = n_trunk
        n_global = spec.n_characters * CHARACTER_STATISTICS + LOCATION_FEATURES + spec.n_state
        self.head = make_head(n_trunk + n_global, spec)
        self.head_layers = linear_layers(self.head)

    def _combine(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return Q-values [B, A] from the head's outputs."""
        return dueling_values(outputs) if self.spec.dueling else outputs

    def _head_axis(self) -> dict[str, CharacterAxis]:
        return {"head.0.weight": CharacterAxis(dim=1, offset=self.n_trunk, after=CHARACTER_STATISTICS)}


def make_head(n_features: int, spec: NetworkSpec) -> nn.Sequential:
    """Return the MLP of `n_layers` hidden layers from features to Q-values, or to what `dueling_values` takes."""
    sizes = [n_features] + [spec.layer_size] * spec.n_layers
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], spec.n_actions + spec.dueling))


def linear_layers(layers: nn.Sequential) -> list[nn.Linear]:
    """Return the layers that have weights; between each two is a ReLU."""
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


def gradient_of(parameter: torch.Tensor) -> torch.Tensor:
    """Return the gradient that a parameter has."""
    assert parameter.grad is not None
    return parameter.grad


def forward_layers(layers: Sequence[nn.Linear], x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the input of each layer, [B, F] each, and the output of the last; between each two is a ReLU."""
    inputs = [x]
    for layer in layers[:-1]:
        inputs.append(functional.linear(inputs[-1], layer.weight, layer.bias).relu_())
    return inputs, functional.linear(inputs[-1], layers[-1].weight, layers[-1].bias)


def backward_layers(
    layers: Sequence[nn.Linear], inputs: Sequence[torch.Tensor], gradient: torch.Tensor
) -> torch.Tensor:
    """Set the gradients of layers for the first boards of a forward pass, as many as `gradient` has rows.

    Return the gradient of the first layer's input.
    """
    n_boards = len(gradient)
    for i in range(len(layers) - 1, -1, -1):
        x = inputs[i][:n_boards]
        gradient = backward_linear(layers[i], x, gradient)
        if i:
            backward_relu(gradient, x)
    return gradient


def backward_linear(layer: nn.Linear, x: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Set the gradients of one layer; return that of its input [B, F_in] from that of its output [B, F_out]."""
    torch.mm(gradient.t(), x, out=gradient_of(layer.weight))
    torch.sum(gradient, 0, out=gradient_of(layer.bias))
    return gradient @ layer.weight


def backward_relu(gradient: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Turn the gradient of a ReLU's output into that of its input, in place."""
    torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)
    return gradient


def dueling_values(outputs: torch.Tensor) -> torch.Tensor:
    """Return Q-values [B, A] from [B, 1 + A]: a board's value, and each action's advantage over their mean.

    Wang et al. 2016, "Dueling Network Architectures for Deep Reinforcement Learning", equation 9.
    """
    advantages = outputs[:, 1:]
    return outputs[:, :1] + (advantages - advantages.mean(1, keepdim=True))


def backward_dueling(gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the input of `dueling_values` [B, 1 + A] from that of the Q-values [B, A]."""
    return torch.cat([gradient.sum(1, keepdim=True), gradient - gradient.mean(1, keepdim=True)], dim=1)


def tables_of_weights(weights: torch.Tensor) -> torch.Tensor:
    """Return tables [T * (C + 2), F], one after the other, whose row `code` is the weights of a cell of that code.

    `weights` [T, C + 1, F] begin with the outside, whose code is the last; an empty cell, code 0, weighs nothing.
    """
    return torch.cat([torch.zeros_like(weights[:, :1]), weights[:, 1:], weights[:, :1]], dim=1).flatten(0, 1)


def backward_tables(gradient: torch.Tensor, into: torch.Tensor) -> None:
    """Copy the gradient of tables [T * (C + 2), F] to that of their weights [T, C + 1, F]."""
    tables = gradient.view(len(into), -1, into.shape[2])
    into[:, 1:] = tables[:, 1:-1]
    into[:, 0] = tables[:, -1]


def backward_table_sums(rows: torch.Tensor, n_rows: int, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient [R, F] of a small table from that of sums over `rows` int32 [N, K] of it, all K different.

    It is the product of the one-hot rows, which on a small table is quicker than adding row by row.
    """
    one_hot = gradient.new_zeros(len(rows), n_rows)
    one_hot.scatter_(1, rows.long(), 1.0)
    return one_hot.t() @ gradient
