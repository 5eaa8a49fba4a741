"""The Q-networks, and which one a spec asks for."""

from __future__ import annotations

from retro_gamer.features.spec import NetworkSpec
from retro_gamer.learning.networks.base import QNetwork
from retro_gamer.learning.networks.egocentric_cnn import EgocentricCNN
from retro_gamer.learning.networks.flat_mlp import FlatMLP
from retro_gamer.learning.networks.whole_board import BoardCNN


def make_network(spec: NetworkSpec) -> QNetwork:
    """Return the network for `spec`, its weights drawn from torch's global generator."""
    if not spec.spatial:
        return FlatMLP(spec)
    return EgocentricCNN(spec) if spec.has_player else BoardCNN(spec)
