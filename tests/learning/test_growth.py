from __future__ import annotations

import itertools

import pytest
import torch

from retro_gamer.learning.networks.base import CharacterAxis, grow_tensor


def grow_by_index(tensor: torch.Tensor, axis: CharacterAxis, n_old: int, n_new: int) -> torch.Tensor:
    """Grow entry by entry: each old one is copied to the place its (before, character, after) has in the new layout."""
    size = tensor.shape[axis.dim] + axis.before * (n_new - n_old) * axis.after
    shape = list(tensor.shape)
    shape[axis.dim] = size
    grown = torch.zeros(shape)

    def place(before: int, character: int, after: int, n: int) -> int:
        return axis.offset + (before * n + character) * axis.after + after

    for b, c, a in itertools.product(range(axis.before), range(n_old), range(axis.after)):
        grown.select(axis.dim, place(b, c, a, n_new)).copy_(tensor.select(axis.dim, place(b, c, a, n_old)))
    for i in range(axis.offset):
        grown.select(axis.dim, i).copy_(tensor.select(axis.dim, i))
    for back in range(1, tensor.shape[axis.dim] - axis.offset - axis.before * n_old * axis.after + 1):
        grown.select(axis.dim, size - back).copy_(tensor.select(axis.dim, tensor.shape[axis.dim] - back))
    return grown


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize(
    ("offset", "before", "after", "tail"), [(0, 1, 1, 0), (1, 1, 1, 0), (3, 1, 4, 2), (0, 6, 1, 0)]
)
@pytest.mark.parametrize(("n_old", "n_new"), [(3, 4), (2, 5), (0, 2), (3, 3)])
def test_growing_moves_every_entry_to_its_new_place(
    dim: int, offset: int, before: int, after: int, tail: int, n_old: int, n_new: int
) -> None:
    shape = [2, 3, 2]
    shape[dim] = offset + before * n_old * after + tail
    tensor = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)
    axis = CharacterAxis(dim=dim, offset=offset, before=before, after=after)
    assert torch.equal(grow_tensor(tensor, axis, n_old, n_new), grow_by_index(tensor, axis, n_old, n_new))


def test_growing_a_list_of_cells_interleaves_zeros() -> None:
    weights = torch.tensor([[1.0], [2.0], [3.0], [4.0]])  # two cells, two characters
    grown = grow_tensor(weights, CharacterAxis(dim=0, before=2), 2, 3)
    assert grown.flatten().tolist() == [1, 2, 0, 3, 4, 0]
