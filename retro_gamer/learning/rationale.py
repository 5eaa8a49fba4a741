"""The architecture in words, and why it is so: the head of training.log."""

from __future__ import annotations

from collections.abc import Iterator

from retro_gamer.errors import quoted
from retro_gamer.features.extractor import ADJACENT_RADIUS, CHARACTER_STATISTICS, LOCATION_FEATURES, STATISTICS_RADIUS
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.keys import say_keys
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.networks.base import ConvolutionalNetwork, QNetwork
from retro_gamer.learning.networks.board import BoardCNN
from retro_gamer.learning.networks.egocentric import EgocentricCNN


def describe_network(network: QNetwork, metadata: GameMetadata, settings: Hyperparameters) -> str:
    """Return the description of a network built for a game, one idea a line."""
    spec = network.spec
    characters = " ".join(quoted(c) for c in metadata.character_set or ())
    n_weights = sum(parameter.numel() for parameter in network.parameters())
    lines = [
        "Architecture",
        f"  Board: {spec.width} x {spec.height} cells; {spec.n_characters} characters: {characters}",
        f"  Actions: {say_keys(metadata.actions)} and doing nothing: {spec.n_actions} Q-values.",
        *(_describe_scene(network) if isinstance(network, ConvolutionalNetwork) else _describe_list(network)),
        *_describe_state(metadata),
        f"  Head: {_layers(spec.n_layers, spec.layer_size)}, then {_describe_outputs(spec)}.",
        f"  {n_weights:,} weights in all.",
        "Learning",
        "  Double DQN: one network chooses the best next action, a slower copy values it, which keeps estimates from "
        "running away.",
        "  Values are learned on a compressed scale (square root for large ones), so that games of any score range "
        "learn at the same learning rate; Q-values are reported in the game's own units.",
        *_describe_learning(settings),
    ]
    return "\n".join(lines)


def _describe_learning(settings: Hyperparameters) -> Iterator[str]:
    if settings.exploration_draws > 1:
        yield (
            f"  A random action is the best, by the network, of {settings.exploration_draws} drawn at random, so that "
            "games with some exploration last as well (exploration_draws)."
        )
    if settings.weight_averaging > 1:
        yield (
            f"  A checkpoint plays with an average of the weights over {settings.weight_averaging} updates: the "
            "weights of one moment err now here, now there (weight_averaging)."
        )


def _describe_scene(network: ConvolutionalNetwork) -> list[str]:
    if isinstance(network, EgocentricCNN):
        side, nearest = 2 * network.extractor.radius + 1, 2 * ADJACENT_RADIUS + 1
        seen = [
            f"  Spatial, with a player: a CNN sees the {side} x {side} cells around the player, what lies outside the "
            "board marked as such. What is learned in one place then holds in every other, which is worth far more "
            "on a large board than seeing all of it at once.",
            f"  The {nearest} x {nearest} cells nearest to it are seen one by one as well: that is where a step "
            "decides.",
        ]
    else:
        assert isinstance(network, BoardCNN)
        side = network.extractor.reduction
        seen = [
            "  Spatial, without a player among the agents shown: a CNN sees the whole board"
            + (f", {side} x {side} cells averaged into one" if side > 1 else "")
            + ".",
            '  If the keys move an agent, name it in the description (player = "name or class"): seeing the board '
            "from where the player stands learns much faster.",
        ]
    reach = 2 * STATISTICS_RADIUS + 1
    region = f"the {reach} x {reach} cells around the player" if network.extractor.is_bounded else "the whole board"
    return [
        *seen,
        f"  The CNN gives {network.n_trunk} features. Beside it stand {CHARACTER_STATISTICS} numbers a character that "
        f"sum up {region} (present, how many, mean distance from the player across and down) and "
        f"{LOCATION_FEATURES} that tell where the player is, so that little of what is far away is out of sight.",
    ]


def _describe_list(network: QNetwork) -> list[str]:
    spec = network.spec
    return [
        f"  Not spatial: an MLP sees the board as a list of {spec.height * spec.width * spec.n_characters} numbers, "
        "one for each cell and character, without a sense of which cells are neighbours.",
    ]


def _describe_state(metadata: GameMetadata) -> list[str]:
    if not metadata.observe_state:
        return ["  State: none observed (observe_state is empty)."]
    names = ", ".join(metadata.observe_state)
    return [f"  State: {names}, each as sign(x) log(1 + |x|), so that values of any size are welcome."]


def _describe_outputs(spec: NetworkSpec) -> str:
    if spec.dueling:
        return (
            "what the board is worth and how far each action is above their mean (a dueling head), which sum up to one "
            "Q-value for each action"
        )
    return "one Q-value for each action"


def _layers(n_layers: int, layer_size: int) -> str:
    if n_layers == 0:
        return "no hidden layer"
    return f"{n_layers} hidden {'layer' if n_layers == 1 else 'layers'} of {layer_size} units"
