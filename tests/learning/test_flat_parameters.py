from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from retro_gamer.learning.optimizer import FlatParameters, join


def make_flat() -> tuple[nn.Module, FlatParameters, dict[str, torch.Tensor]]:
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    return network, FlatParameters(network), before


def test_flattening_changes_no_value_and_keeps_the_order_of_parameters() -> None:
    network, flat, before = make_flat()
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
    assert torch.equal(flat.vector.data, torch.cat([p.flatten() for p in before.values()]))
    assert torch.equal(join(before), flat.vector.data)


def test_parameters_share_memory_with_the_vector_both_ways() -> None:
    network, flat, _ = make_flat()
    with torch.no_grad():
        flat.vector.fill_(0.5)
    assert all((p == 0.5).all() for p in network.parameters())
    with torch.no_grad():
        last = cast(Any, network)[2]
        last.bias.fill_(7.0)
    assert flat.vector.data[-2:].tolist() == [7.0, 7.0]


def test_backward_adds_into_the_one_gradient_vector() -> None:
    network, flat, _ = make_flat()
    twin = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    twin.load_state_dict(network.state_dict())
    gradient = flat.vector.grad
    assert gradient is not None
    place = gradient.data_ptr()
    inputs = torch.randn(5, 3)
    for module in (network, twin, network, twin):
        module(inputs).square().sum().backward()
    expected = torch.cat([p.grad.flatten() for p in twin.parameters() if p.grad is not None])
    torch.testing.assert_close(gradient, expected)
    assert flat.vector.grad is gradient
    assert gradient.data_ptr() == place
    flat.zero_gradient()
    assert all(p.grad is not None and not p.grad.any() for p in network.parameters())
    assert not gradient.any()


def test_a_state_dict_loaded_into_the_network_arrives_in_the_vector() -> None:
    network, flat, before = make_flat()
    network.load_state_dict({name: torch.full_like(p, 2.0) for name, p in before.items()})
    assert (flat.vector == 2).all()


def test_views_of_any_vector_are_shaped_like_the_parameters() -> None:
    _, flat, before = make_flat()
    numbers = torch.arange(float(flat.vector.numel()))
    views = flat.views(numbers)
    assert {name: v.shape for name, v in views.items()} == {name: p.shape for name, p in before.items()}
    assert torch.equal(join(views), numbers)


def test_a_parameter_without_entries_is_no_obstacle() -> None:
    network = nn.Module()
    network.register_parameter("none", nn.Parameter(torch.empty(0, 3)))
    network.register_parameter("some", nn.Parameter(torch.ones(2)))
    assert FlatParameters(network).vector.tolist() == [1.0, 1.0]
