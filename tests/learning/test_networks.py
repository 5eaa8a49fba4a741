from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from retro_gamer.features.extractor import (
    ADJACENT_RADIUS,
    BLOCK,
    KERNEL,
    LARGEST_SIDE,
    STATISTICS_RADIUS,
    character_statistics,
)
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks import make_network
from retro_gamer.learning.networks.base import CHANNELS, FIRST_CHANNELS, ConvolutionalNetwork
from retro_gamer.learning.networks.egocentric_cnn import EgocentricCNN
from retro_gamer.learning.networks.flat_mlp import FlatMLP
from retro_gamer.learning.networks.whole_board import BoardCNN
from tests.learning.samples import features_of, make_boards, make_small_spec, q_values

KINDS = {
    "flat": {"spatial": False, "has_player": True},
    "egocentric": {"spatial": True, "has_player": True},
    "board": {"spatial": True, "has_player": False},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (16, 32), (200, 400)])
@pytest.mark.parametrize(("n_layers", "n_state"), [(0, 0), (1, 2), (3, 0)])
def test_every_shape_gives_finite_q_values(kind: str, height: int, width: int, n_layers: int, n_state: int) -> None:
    spec = make_small_spec(height=height, width=width, n_layers=n_layers, n_state=n_state, **KINDS[kind])
    network = make_network(spec)
    boards = make_boards(spec, 3)
    q = q_values(network, boards)
    assert q.shape == (3, spec.n_actions)
    assert q.dtype == torch.float32
    assert torch.isfinite(q).all()
    # No board's values depend on what else is in the batch.
    for i in range(3):
        single = q_values(network, tuple(array[i : i + 1] for array in boards))
        torch.testing.assert_close(single[0], q[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_game_without_characters_or_with_all_254_has_a_network(kind: str) -> None:
    for n_characters in (0, 254):
        spec = make_small_spec(n_characters=n_characters, **KINDS[kind])
        assert torch.isfinite(q_values(make_network(spec), make_boards(spec, 4))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_learned(kind: str) -> None:
    spec = make_small_spec(n_layers=2, **KINDS[kind])
    network = make_network(spec)
    network(features_of(network, make_boards(spec, 64))).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_n_layers_hidden_layers_of_layer_size(n_layers: int) -> None:
    for kind in KINDS.values():
        network = make_network(make_small_spec(n_layers=n_layers, layer_size=11, **kind))
        named = [*network.named_parameters()]
        biases = [p for name, p in named if name.endswith("bias") and name.startswith(("head", "rest"))]
        biases = [named[2][1], *biases] if isinstance(network, FlatMLP) else biases
        n_outputs = 3 if isinstance(network, FlatMLP) else 4
        assert [len(bias) for bias in biases] == [11] * n_layers + [n_outputs]


def one_hot_board(codes: np.ndarray, n_characters: int) -> np.ndarray:
    """Return [B, H * W * C], the layout that the reference gives a board that is not spatial."""
    flat = np.zeros((*codes.shape, n_characters), np.float32)
    for place in itertools.product(*map(range, codes.shape)):
        if codes[place]:
            flat[(*place, codes[place] - 1)] = 1
    return flat.reshape(len(codes), -1)


@pytest.mark.parametrize("has_player", [True, False])
def test_a_dueling_head_adds_to_what_a_board_is_worth_how_far_an_action_is_above_the_mean(has_player: bool) -> None:
    spec = make_small_spec(has_player=has_player)
    dueling, plain = make_network(spec), make_network(dataclasses.replace(spec, dueling=False))
    state = dueling.state_dict()
    last = f"head.{2 * spec.n_layers}"
    rest = {name: tensor for name, tensor in state.items() if not name.startswith(last)}
    boards = make_boards(spec, 20)
    outputs = []
    for i in range(1 + spec.n_actions):  # read each output of the last layer through a plain head of equal rows
        ends = {f"{last}.weight": state[f"{last}.weight"][[i] * 3], f"{last}.bias": state[f"{last}.bias"][[i] * 3]}
        plain.load_state_dict({**rest, **ends})
        outputs.append(q_values(plain, boards)[:, 0])
    value, advantages = outputs[0], torch.stack(outputs[1:], dim=1)
    expected = value[:, None] + advantages - advantages.mean(dim=1, keepdim=True)
    torch.testing.assert_close(q_values(dueling, boards), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_layers", [0, 2])
@pytest.mark.parametrize(("height", "width", "n_state"), [(1, 1, 0), (3, 4, 2), (6, 5, 1)])
def test_flat_mlp_equals_a_dense_product(height: int, width: int, n_state: int, n_layers: int) -> None:
    spec = make_small_spec(height=height, width=width, n_state=n_state, n_layers=n_layers, spatial=False)
    network = make_network(spec)
    assert isinstance(network, FlatMLP)
    codes, player, state = make_boards(spec, 20)
    codes[[0, 7, 19]] = 0  # an empty board first, within and last
    compressed = np.sign(state) * np.log1p(np.abs(state))
    dense = torch.from_numpy(one_hot_board(codes, spec.n_characters))
    with torch.no_grad():
        first = dense @ network.cells + torch.from_numpy(compressed) @ network.values + network.bias
        expected = network.rest(first)
    torch.testing.assert_close(q_values(network, (codes, player, state)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [{}, {"has_player": False}, {"spatial": False}, {"spatial": False, "n_layers": 0}])
def test_each_half_of_the_inputs_has_the_values_of_its_boards(shape: dict[str, Any]) -> None:
    spec = make_small_spec(**shape)
    network = make_network(spec)
    boards = make_boards(spec, 20)
    boards[0][[0, 9, 10, 19]] = 0  # empty boards where the halves begin and end
    whole = q_values(network, boards)
    with torch.no_grad():
        inputs = network._inputs(*features_of(network, boards))
        halves = [network._q_values(*half) for half in network._split(inputs)]
    assert [len(half) for half in halves] == [10, 10]
    torch.testing.assert_close(torch.cat(halves), whole, rtol=1e-5, atol=1e-6)


def test_flat_mlp_of_empty_boards_only() -> None:
    spec = make_small_spec(spatial=False, n_layers=0, n_state=0)
    network = make_network(spec)
    assert isinstance(network, FlatMLP)
    codes, player, state = make_boards(spec, 3)
    q = q_values(network, (np.zeros_like(codes), player, state))
    torch.testing.assert_close(q, network.bias.detach().expand(3, -1))


def test_flat_mlp_gradient_equals_a_dense_one() -> None:
    spec = make_small_spec(spatial=False, n_layers=0)
    network = make_network(spec)
    assert isinstance(network, FlatMLP)
    codes, player, state = make_boards(spec, 20)
    network(features_of(network, (codes, player, state))).sum().backward()
    counts = torch.from_numpy(one_hot_board(codes, spec.n_characters).sum(axis=0))
    torch.testing.assert_close(network.cells.grad, counts[:, None].expand(-1, spec.n_actions))


def convolve_by_hand(one_hot: np.ndarray, network: ConvolutionalNetwork) -> torch.Tensor:
    """Return the features of boards [B, rows, columns, C + 1] by torch's own convolutions."""
    board = torch.from_numpy(one_hot.transpose(0, 3, 1, 2)).float()
    if isinstance(network, BoardCNN):
        features: torch.Tensor = network.scene(board).flatten(1)
        return features
    assert isinstance(network, EgocentricCNN)
    kernel = network.kernel.unflatten(0, (KERNEL, KERNEL)).permute(3, 2, 0, 1)
    first = functional.conv2d(board, kernel, network.bias, stride=2).relu()
    kernel = network.second.weight.view(-1, BLOCK, BLOCK, FIRST_CHANNELS).permute(0, 3, 1, 2)
    second = functional.conv2d(first, kernel, network.second.bias, stride=BLOCK).relu()
    return second.permute(0, 2, 3, 1).flatten(1)


def trunk_features(network: ConvolutionalNetwork, boards: tuple[np.ndarray, ...]) -> torch.Tensor:
    """Return the inputs of the head that come from the CNN."""
    if isinstance(network, EgocentricCNN):
        with torch.no_grad():
            return network._forward_trunk(*network._inputs(*features_of(network, boards)))[-1][:, : network.n_trunk]
    inputs: list[torch.Tensor] = []
    handle = network.head.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    q_values(network, boards)
    handle.remove()
    return inputs[0][:, : network.n_trunk]


@pytest.mark.parametrize(("crop_radius", "radius"), [(1, 2), (2, 2), (3, 4), (6, 6)])
def test_trunk_around_the_player_is_one_hot_with_the_outside_in_channel_0(crop_radius: int, radius: int) -> None:
    spec = make_small_spec(crop_radius=crop_radius)
    network = make_network(spec)
    assert isinstance(network, EgocentricCNN)
    assert network.extractor.radius == radius
    codes, player, state = make_boards(spec, 30)
    side = 2 * radius + 1
    one_hot = np.zeros((30, side, side, spec.n_characters + 1), np.float32)
    for i, row, column in itertools.product(range(30), range(side), range(side)):
        x, y = (int(v) + d - radius for v, d in zip(player[i], (column, row), strict=True))
        if player[i, 0] < 0 or not (0 <= x < spec.width and 0 <= y < spec.height):
            one_hot[i, row, column, 0] = 1
        elif codes[i, y, x]:
            one_hot[i, row, column, codes[i, y, x]] = 1
    middle = slice(radius - ADJACENT_RADIUS, radius + ADJACENT_RADIUS + 1)
    with torch.no_grad():
        convolved = convolve_by_hand(one_hot, network)
        nearest = network.near(torch.from_numpy(one_hot[:, middle, middle])).relu().flatten(1)
    expected = torch.cat([convolved, nearest], dim=1)
    torch.testing.assert_close(trunk_features(network, (codes, player, state)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(49, 20), (10, 100)])
def test_trunk_without_a_player_averages_a_large_board(height: int, width: int) -> None:
    spec = make_small_spec(height=height, width=width, has_player=False)
    network = make_network(spec)
    assert isinstance(network, BoardCNN)
    k = math.ceil(max(height, width) / LARGEST_SIDE)
    assert network.extractor.reduction == k
    codes, player, state = make_boards(spec, 3)
    full = (codes[..., None] == np.arange(1, spec.n_characters + 1)).astype(np.float32)
    rows, columns = math.ceil(height / k), math.ceil(width / k)
    one_hot = np.zeros((3, rows, columns, spec.n_characters + 1), np.float32)
    for r, c in itertools.product(range(rows), range(columns)):
        one_hot[:, r, c, 1:] = full[:, r * k : (r + 1) * k, c * k : (c + 1) * k].mean(axis=(1, 2))
    with torch.no_grad():
        expected = convolve_by_hand(one_hot, network)
    torch.testing.assert_close(trunk_features(network, (codes, player, state)), expected, rtol=1e-4, atol=1e-5)


def test_the_statistics_of_a_board_too_large_are_of_a_region_around_the_player() -> None:
    spec = make_small_spec(height=100, width=200)
    network = make_network(spec)
    assert isinstance(network, EgocentricCNN)
    assert network.extractor.is_bounded
    assert not EgocentricCNN(make_small_spec(height=64, width=128)).extractor.is_bounded
    codes, _, state = make_boards(spec, 4)
    player = np.array([[0, 0], [120, 50], [199, 99], [-1, -1]], np.int16)
    features = network.extractor.extract(codes, player, state)[2]
    r, side = STATISTICS_RADIUS, 2 * STATISTICS_RADIUS + 1
    region = np.zeros((4, side, side), np.uint8)
    for i, (x, y) in enumerate(player[:3].tolist()):
        padded = np.pad(codes[i], r)
        region[i] = padded[y : y + side, x : x + side]
    expected = character_statistics(region, np.full((4, 2), r), spec.n_characters).reshape(4, -1)
    np.testing.assert_allclose(features[:, : expected.shape[1]], expected, atol=1e-6)


def test_the_trunk_gives_the_same_features_wherever_the_player_is() -> None:
    spec = make_small_spec(height=20, width=20)
    network = make_network(spec)
    assert isinstance(network, ConvolutionalNetwork)
    pattern = np.random.default_rng(0).integers(0, 4, (5, 5), dtype=np.uint8)
    codes, player = np.zeros((2, 20, 20), np.uint8), np.array([[5, 7], [12, 14]], np.int16)
    for board, (x, y) in zip(codes, player, strict=True):
        board[y - 2 : y + 3, x - 2 : x + 3] = pattern
    features = trunk_features(network, (codes, player, np.zeros((2, 2), np.float32)))
    torch.testing.assert_close(features[0], features[1])


@pytest.mark.parametrize("side", [1, 8, 13, 16, 17, 25, 48, 65])
def test_the_trunk_ends_at_most_8_cells_a_side(side: int) -> None:
    network = make_network(make_small_spec(height=side, width=side, has_player=False))
    assert isinstance(network, ConvolutionalNetwork)
    assert network.n_trunk <= CHANNELS * 8 * 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_alone_decides_the_weights(kind: str) -> None:
    def weights(seed: int) -> dict[str, Any]:
        torch.manual_seed(seed)
        return make_network(make_small_spec(**KINDS[kind])).state_dict()

    first, again, other = weights(5), weights(5), weights(6)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_character_axes_cover_all_that_a_new_character_changes(kind: str) -> None:
    spec = make_small_spec(n_characters=3, **KINDS[kind])
    axes = make_network(spec).character_axes()
    shapes, grown = (
        {name: p.shape for name, p in make_network(s).named_parameters()} for s in (spec, spec.with_characters(5))
    )
    assert {name for name in shapes if shapes[name] != grown[name]} == set(axes)
    for name, axis in axes.items():
        assert grown[name][axis.dim] - shapes[name][axis.dim] == axis.before * 2 * axis.after


def test_spec_of_a_network_travels_as_plain_values() -> None:
    spec = make_small_spec()
    assert NetworkSpec(**vars(spec)) == spec
