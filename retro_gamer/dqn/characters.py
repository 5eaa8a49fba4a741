"""How a network grows when a new character appears, without forgetting.

Wherever a tensor is laid out per character, that layout is declared by a `CharacterAxis`. Growing inserts
zeros at the new character's places and moves nothing else, so on boards without the new character the
outputs stay what they were. The same insertion serves weights and the optimizer's moments.
"""

from __future__ import annotations

import dataclasses

import torch


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
