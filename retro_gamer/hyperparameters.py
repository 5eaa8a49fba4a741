"""The hyperparameters of a training run, each declared once.

The options of `retro-gamer create`, the comments in config.toml, the validation and the tables of the documentation
are all made from these declarations. They stay our own code: validation libraries give no remedy in a refusal, and
importing one would slow `retro-gamer --help`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from retro_gamer.errors import ConfigurationError, Problem
from retro_gamer.toml import to_toml


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """The declaration of one hyperparameter: default, bounds, unit, group and meaning."""

    name: str
    kind: type
    default: Any
    help: str
    group: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The command-line spelling, such as ``--learning-rate``."""
        return "--" + self.name.replace("_", "-")

    @property
    def range(self) -> str:
        """The allowed values in words, such as ``0 < x <= 1``."""
        if self.choices:
            return " or ".join(f'"{choice}"' for choice in self.choices)
        if self.kind is bool:
            return "true or false"
        low = f"{_plain(self.above)} < " if self.above is not None else ""
        low = low or (f"{_plain(self.minimum)} <= " if self.minimum is not None else "")
        high = f" <= {_plain(self.maximum)}" if self.maximum is not None else ""
        return f"{low}x{high}" if low or high else "any"

    def find_problem(self, value: object) -> Problem | None:
        """Return what is wrong with `value`, or None."""
        rule = self._broken_rule(value)
        if rule is None:
            return None
        return Problem(field=self.name, value=value, rule=rule, remedy=f"{self.name} = {to_toml(self.default)}")

    def _broken_rule(self, value: object) -> str | None:
        nouns = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
        accepted = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and self.kind is not bool):
            return f"must be {nouns[self.kind]}, not {type(value).__name__}"
        if self.choices and value not in self.choices:
            return f"must be {self.range}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = float(value) if abs(value) < 1e300 else math.inf
            outside = (
                not math.isfinite(number)
                or (self.above is not None and number <= self.above)
                or (self.minimum is not None and number < self.minimum)
                or (self.maximum is not None and number > self.maximum)
            )
            if outside:
                noun = "a whole number" if self.kind is int else "a finite number"
                return f"must be {noun}" + ("" if self.range == "any" else f" with {self.range}")
        return None


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def setting(default: Any, **declared: Any) -> Any:
    """Declare one hyperparameter as a dataclass field."""
    return dataclasses.field(default=default, metadata=declared)


LEARNING = "Learning and optimization"
EXPLORATION = "Exploration"
MEMORY = "Replay memory"
NETWORK = "Network architecture"
DURATION = "Training duration"
CHARACTERS = "Character discovery"
ALLOCATION = "Allocation"
SAFETY = "Checkpoints and failures"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The hyperparameters of one run. Build them from untrusted values with `from_mapping`.

    Raises:
        ConfigurationError: from every constructor, with all problems together.
    """

    learning_rate: float = setting(
        0.001, group=LEARNING, above=0, maximum=1, unit="change per update",
        help="Step size of the Adam optimizer in the first episode.",
    )  # fmt: skip
    lr_decay: float = setting(
        0.995, group=LEARNING, above=0, maximum=1, unit="factor per episode",
        help="Factor that multiplies the learning rate after each episode.",
    )  # fmt: skip
    lr_min: float = setting(
        0.0001, group=LEARNING, minimum=0, maximum=1, unit="change per update",
        help="Lowest learning rate. With 0, learning stops after a few thousand episodes.",
    )  # fmt: skip
    gamma: float = setting(
        0.99, group=LEARNING, minimum=0, maximum=1, unit="factor per turn",
        help="Discount of future rewards: 1 counts all of them in full; a smaller value counts later ones less.",
    )  # fmt: skip
    n_step: int = setting(
        1, group=LEARNING, minimum=1, maximum=100, unit="turns",
        help="Rewards that an n-step return adds up before it uses the estimate of the network.",
    )  # fmt: skip
    train_every: int = setting(
        4, group=LEARNING, minimum=1, maximum=1_000_000, unit="turns per update",
        help="Turns played per update of the network. The faster of playing and learning waits for the slower.",
    )  # fmt: skip
    learning_starts: int = setting(
        500, group=LEARNING, minimum=0, maximum=100_000_000, unit="turns",
        help="Turns in replay memory before the first update.",
    )  # fmt: skip
    target_update_freq: int = setting(
        100, group=LEARNING, minimum=1, maximum=10_000_000, unit="updates",
        help="Updates after which the network is copied to the target network.",
    )  # fmt: skip
    weight_averaging: int = setting(
        3_000, group=LEARNING, minimum=1, maximum=100_000_000, unit="updates",
        help="Checkpoints store a running average of the weights over about this many updates (at most an eighth of "
        "those so far); 1 stores the latest weights.",
    )  # fmt: skip
    max_gradient_norm: float = setting(
        10.0, group=LEARNING, above=0, maximum=1e6, unit="Euclidean norm",
        help="A gradient with a larger norm is scaled down to this norm.",
    )  # fmt: skip
    seed: int = setting(
        0, group=LEARNING, minimum=0, maximum=2**31 - 1, unit="whole number",
        help="Seed of all random choices. With --actors 0, the same seed gives the same result, bit for bit.",
    )  # fmt: skip

    epsilon: float = setting(
        1.0, group=EXPLORATION, minimum=0, maximum=1, unit="probability",
        help="Probability of a random action in the first episode.",
    )  # fmt: skip
    epsilon_decay: float = setting(
        0.995, group=EXPLORATION, above=0, maximum=1, unit="factor per episode",
        help="Factor that multiplies epsilon after each episode.",
    )  # fmt: skip
    epsilon_min: float = setting(
        0.05, group=EXPLORATION, minimum=0, maximum=1, unit="probability",
        help="Lowest epsilon.",
    )  # fmt: skip
    epsilon_ladder: float = setting(
        0.0, group=EXPLORATION, minimum=0, maximum=100, unit="exponent",
        help="Gives an actor's games different epsilons, from epsilon down to epsilon^(1 + this value); 0 makes them "
        "equal.",
    )  # fmt: skip
    exploration_draws: int = setting(
        2, group=EXPLORATION, minimum=1, maximum=1000, unit="actions",
        help="Actions drawn for each random action; the one with the highest Q-value is played. 1 is plain "
        "epsilon-greedy.",
    )  # fmt: skip

    batch_size: int = setting(
        64, group=MEMORY, minimum=1, maximum=65_536, unit="transitions",
        help="Transitions sampled from replay memory for one update.",
    )  # fmt: skip
    memory_capacity: int = setting(
        10_000, group=MEMORY, minimum=1, maximum=100_000_000, unit="transitions",
        help="Transitions that replay memory holds; the oldest are discarded first.",
    )  # fmt: skip
    prioritize_experiences: bool = setting(
        False, group=MEMORY,
        help="Sample transitions with a larger error more often (prioritized experience replay).",
    )  # fmt: skip
    priority_exponent: float = setting(
        0.6, group=MEMORY, minimum=0, maximum=1, unit="exponent",
        help="How strongly sampling prefers large errors; 0 samples uniformly. Only with prioritize_experiences.",
    )  # fmt: skip
    importance_exponent: float = setting(
        0.4, group=MEMORY, minimum=0, maximum=1, unit="exponent",
        help="How far importance weights correct the bias of prioritized sampling; 1 corrects all of it. Only with "
        "prioritize_experiences.",
    )  # fmt: skip
    rare_share: float = setting(
        0.1, group=MEMORY, minimum=0, maximum=1, unit="share of a batch",
        help="Share of each batch for transitions that end a game or have a rare reward. Only without "
        "prioritize_experiences.",
    )  # fmt: skip

    n_layers: int = setting(
        2, group=NETWORK, minimum=0, maximum=16, unit="layers",
        help="Hidden layers of the MLP. In spatial games, hidden layers after the CNN.",
    )  # fmt: skip
    layer_size: int = setting(
        128, group=NETWORK, minimum=1, maximum=8192, unit="units",
        help="Width of each hidden layer.",
    )  # fmt: skip
    crop_radius: int = setting(
        6, group=NETWORK, minimum=1, maximum=32, unit="cells",
        help="Cells on each side of the player that the CNN covers, rounded up to an even number. Only in spatial "
        "games with a player.",
    )  # fmt: skip

    training_episodes: int = setting(
        1000, group=DURATION, minimum=1, maximum=1_000_000_000, unit="episodes",
        help="Number of games to play.",
    )  # fmt: skip
    max_turns_per_episode: int = setting(
        2000, group=DURATION, minimum=1, maximum=1_000_000_000, unit="turns",
        help="A game that is still running after this many turns is cut short.",
    )  # fmt: skip

    exploration_turns: int = setting(
        200, group=CHARACTERS, minimum=1, maximum=10_000_000, unit="turns",
        help="Random turns played before training to discover the game's characters, if character_set is not given.",
    )  # fmt: skip
    unknown_character_strategy: str = setting(
        "ignore", group=CHARACTERS, choices=("ignore", "extend"),
        help="A character outside character_set becomes an empty cell (ignore) or a new input of the network (extend).",
    )  # fmt: skip

    games_per_actor: int = setting(
        8, group=ALLOCATION, minimum=1, maximum=1024, unit="games",
        help="Games that each actor process plays in lock step, with one forward pass for all of them.",
    )  # fmt: skip

    checkpoint_minutes: float = setting(
        3.0, group=SAFETY, above=0, maximum=100_000, unit="minutes",
        help="Minutes between checkpoints. A checkpoint is also written after every 100 episodes.",
    )  # fmt: skip
    snapshot_megabytes: int = setting(
        256, group=SAFETY, minimum=0, maximum=1_000_000, unit="MB",
        help="Size limit of the replay snapshot for resuming, before compression. It holds the newest transitions.",
    )  # fmt: skip
    hang_seconds: float = setting(
        60.0, group=SAFETY, minimum=0.1, maximum=1_000_000, unit="seconds",
        help="A game that takes longer for one turn, or to start, is interrupted.",
    )  # fmt: skip
    actor_growth_megabytes: int = setting(
        1000, group=SAFETY, minimum=1, maximum=100_000_000, unit="MB",
        help="An actor process whose memory has grown by this much is replaced. The usual cause is a leak in the "
        "game.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        values = dataclasses.asdict(self)
        problems = find_problems(values)
        if problems:
            raise ConfigurationError(problems, "the hyperparameters")
        for name, value in values.items():
            object.__setattr__(self, name, SETTINGS[name].kind(value))  # an integer given for a float becomes one

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str = "the hyperparameters") -> Hyperparameters:
        """Return `values`, with the defaults for all others. `where` names their origin in an error."""
        if not SETTINGS.keys() >= values.keys():
            raise ConfigurationError(find_problems(values), where)
        try:
            return cls(**values)
        except ConfigurationError as error:
            raise ConfigurationError(error.problems, where) from None

    def changed(self, values: Mapping[str, Any], where: str = "the hyperparameters") -> Hyperparameters:
        """Return these settings with other `values` for some."""
        return self.from_mapping({name: getattr(self, name) for name in SETTINGS} | dict(values), where)

    def items(self) -> Iterator[tuple[Setting, Any]]:
        """Yield each declaration with its value."""
        for name, declared in SETTINGS.items():
            yield declared, getattr(self, name)


def find_problems(values: Mapping[str, Any]) -> list[Problem]:
    """Return every problem of `values`: unknown names, wrong types, bounds and contradictions."""
    problems = [problem for name, value in values.items() if (problem := _find_problem(name, value))]
    if not problems:
        problems = _find_contradictions({name: values.get(name, s.default) for name, s in SETTINGS.items()})
    return problems


def _find_problem(name: str, value: Any) -> Problem | None:
    if name in SETTINGS:
        return SETTINGS[name].find_problem(value)
    near = difflib.get_close_matches(name, SETTINGS, n=1)
    return Problem(
        field=name,
        value=value,
        rule="is not a hyperparameter" + (f"; did you mean {near[0]}?" if near else ""),
        remedy=f"{near[0]} = {to_toml(SETTINGS[near[0]].default)}" if near else f"remove the line {name}",
    )


def _find_contradictions(values: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if values["batch_size"] > values["memory_capacity"]:
        problems.append(
            Problem(
                field="batch_size",
                value=values["batch_size"],
                rule=f"must not exceed memory_capacity ({values['memory_capacity']})",
                remedy=f"memory_capacity = {max(10_000, 4 * values['batch_size'])}",
            )
        )
    if values["epsilon_min"] > values["epsilon"]:
        problems.append(
            Problem(
                field="epsilon_min",
                value=values["epsilon_min"],
                rule=f"must not exceed epsilon ({values['epsilon']})",
                remedy=f"epsilon_min = {values['epsilon']}",
            )
        )
    return problems


def _declarations() -> dict[str, Setting]:
    kinds = {"int": int, "float": float, "bool": bool, "str": str}
    return {
        field.name: Setting(name=field.name, kind=kinds[str(field.type)], default=field.default, **field.metadata)
        for field in dataclasses.fields(Hyperparameters)
    }


SETTINGS: dict[str, Setting] = _declarations()
"""Every declaration by name, in the order of display."""
