"""Gradients written out, compared with torch's automatic ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from retro_gamer.learning.networks import make_network
from retro_gamer.learning.networks.base import backward_table_sums, backward_tables, tables_of_weights, to_tensors
from retro_gamer.learning.optimizer import FlatParameters
from tests.learning.samples import features_of, make_batch, make_small_spec

SHAPES: dict[str, dict[str, Any]] = {
    "egocentric": {},
    "egocentric, not dueling": {"dueling": False},
    "egocentric, no hidden layer": {"n_layers": 0},
    "egocentric, three layers, wide crop": {"n_layers": 3, "crop_radius": 6, "height": 9, "width": 11},
    "egocentric, no characters, no state": {"n_characters": 0, "n_state": 0},
    "flat": {"spatial": False},
    "flat, no hidden layer": {"spatial": False, "n_layers": 0, "n_state": 0},
    "flat, three layers": {"spatial": False, "n_layers": 3},
    "board": {"has_player": False},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("empty", [False, True], ids=["boards", "empty boards"])
def test_values_and_gradients_are_the_automatic_ones(shape: dict[str, Any], empty: bool) -> None:
    spec = make_small_spec(**shape)
    network = make_network(spec)
    parameters = FlatParameters(network)
    batch = make_batch(spec, count=12, largest_code=0 if empty else None)
    target = make_network(spec)
    here = features_of(network, (batch.codes, batch.player, batch.state))
    there = features_of(network, (batch.next_codes, batch.next_player, batch.next_state))
    gradient = torch.randn(12, spec.n_actions)

    q_tm1 = network(here)
    q_tm1.backward(gradient)
    expected = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}  # type: ignore[union-attr]
    parameters.zero_gradient()
    features = to_tensors(network.extractor.extract_batch(batch).features, "cpu")
    passed = network.forward_both(features, target)
    network.backward(passed, gradient)

    torch.testing.assert_close(passed.q_tm1, q_tm1, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(passed.q_t, network(there), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(passed.q_t_target, target(there), rtol=1e-4, atol=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-5, msg=name)
    assert sum(g.abs().sum() for g in expected.values()) > 0


def test_the_gradient_of_a_table_adds_up_over_all_sums_that_a_row_was_in() -> None:
    table = nn.Parameter(torch.randn(7, 3))
    rows = torch.stack([torch.randperm(7)[:4] for _ in range(20)]).int()
    gradient = torch.randn(20, 3)
    table[rows.long()].sum(dim=1).backward(gradient)
    torch.testing.assert_close(backward_table_sums(rows, 7, gradient), table.grad)


def test_tables_have_a_row_for_each_code_and_the_way_back_is_their_gradient() -> None:
    weights = torch.randn(2, 4, 3, requires_grad=True)  # outside, then characters 1 to 3
    tables = tables_of_weights(weights)
    assert tables.shape == (2 * 5, 3)
    for t in range(2):
        table = tables[5 * t : 5 * t + 5]
        assert not table[0].any(), "an empty cell"
        assert torch.equal(table[1:4], weights[t, 1:])
        assert torch.equal(table[4], weights[t, 0])
    gradient, into = torch.randn_like(tables), torch.full_like(weights, 9.0)
    tables.backward(gradient)
    backward_tables(gradient, into)
    torch.testing.assert_close(into, weights.grad)
