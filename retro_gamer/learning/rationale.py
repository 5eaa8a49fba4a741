"""The network and the learning in words, with reasons: the head of training.log."""

from __future__ import annotations

from collections.abc import Iterator

from retro_gamer.errors import quoted
from retro_gamer.features.extractor import ADJACENT_RADIUS, CHARACTER_STATISTICS, LOCATION_FEATURES, STATISTICS_RADIUS
from retro_gamer.features.spec import NetworkSpec
from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.keys import format_keys
from retro_gamer.hyperparameters import Hyperparameters
from retro_gamer.learning.networks.base import ConvolutionalNetwork, QNetwork
from retro_gamer.learning.networks.egocentric_cnn import EgocentricCNN
from retro_gamer.learning.networks.whole_board import BoardCNN


def describe_network(network: QNetwork, metadata: GameMetadata, settings: Hyperparameters) -> str:
    """Return the description of a network built for a game, one idea a line."""
    spec = network.spec
    characters = " ".join(quoted(c) for c in metadata.character_set or ())
    lines = [
        "Architecture",
        f"  Board: {spec.width} x {spec.height} cells; {spec.n_characters} characters: {characters}",
        f"  Actions: {format_keys(metadata.actions)} and doing nothing: {spec.n_actions} Q-values.",
        *(_describe_trunk(network) if isinstance(network, ConvolutionalNetwork) else _describe_list(spec)),
        _describe_state(metadata),
        f"  Head: {_describe_hidden_layers(spec)}, then {_describe_outputs(spec)}.",
        f"  {network.n_parameters:,} weights in all.",
        "Learning",
        "  Double DQN: one network selects the best next action, and an older copy of it, the target network, "
        "estimates that action's value. This limits overestimation.",
        "  The network learns Q-values on a compressed scale (square root of large values), so that one learning rate "
        "suits games of any score range. Reports give them in the game's own units.",
        *_describe_learning(settings),
    ]
    return "\n".join(lines)


def _describe_learning(settings: Hyperparameters) -> Iterator[str]:
    if settings.exploration_draws > 1:
        yield (
            f"  A random action is the best, by the network, of {settings.exploration_draws} drawn at random: games "
            "with exploration then last nearly as long as games without (exploration_draws)."
        )
    if settings.weight_averaging > 1:
        yield (
            f"  Checkpoints play by an average of the weights over {settings.weight_averaging} updates, which is "
            "steadier than the latest weights (weight_averaging)."
        )


def _describe_trunk(network: ConvolutionalNetwork) -> list[str]:
    if isinstance(network, EgocentricCNN):
        side, adjacent = 2 * network.extractor.radius + 1, 2 * ADJACENT_RADIUS + 1
        trunk = [
            f"  Spatial, with a player: a CNN reads the {side} x {side} cells around the player; cells outside the "
            "board are marked. What it learns in one place then holds in every other.",
            f"  The {adjacent} x {adjacent} cells nearest to the player also reach the head one by one, because they "
            "decide the next move.",
        ]
    else:
        assert isinstance(network, BoardCNN)
        side = network.extractor.reduction
        trunk = [
            "  Spatial, without a player among the agents: a CNN reads the whole board"
            + (f", {side} x {side} cells averaged into one" if side > 1 else "")
            + ".",
            '  If the keys move an agent, name it in the description (player = "name or class"): a network that reads '
            "the board around the player learns much faster.",
        ]
    reach = 2 * STATISTICS_RADIUS + 1
    region = f"the {reach} x {reach} cells around the player" if network.extractor.is_bounded else "the whole board"
    return [
        *trunk,
        f"  The CNN gives {network.n_trunk} features. The head also reads {CHARACTER_STATISTICS} statistics per "
        f"character over {region} (present, how many, mean distance from the player across and down) and "
        f"{LOCATION_FEATURES} numbers for the player's position.",
    ]


def _describe_list(spec: NetworkSpec) -> list[str]:
    return [
        f"  Not spatial: an MLP reads the board as a list of {spec.height * spec.width * spec.n_characters} numbers, "
        "one for each cell and character. It does not know which cells are neighbours."
    ]


def _describe_state(metadata: GameMetadata) -> str:
    if not metadata.observe_state:
        return "  State: none observed (observe_state is empty)."
    names = ", ".join(metadata.observe_state)
    return f"  State: {names}, each as sign(x) log(1 + |x|), which suits values of any size."


def _describe_outputs(spec: NetworkSpec) -> str:
    values = "one Q-value for each action"
    if not spec.dueling:
        return values
    return f"a dueling head: the board's value plus each action's advantage over the mean advantage gives {values}"


def _describe_hidden_layers(spec: NetworkSpec) -> str:
    if spec.n_layers == 0:
        return "no hidden layer"
    return f"{spec.n_layers} hidden {'layer' if spec.n_layers == 1 else 'layers'} of {spec.layer_size} units"
