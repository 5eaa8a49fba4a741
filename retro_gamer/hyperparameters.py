"""Every setting of a training run, declared once.

The option of `retro-gamer create`, the comment in config.toml, validation and the table in the
documentation are all made from the declarations below.
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
    """What is said once about one hyperparameter: its default, bounds, unit, group and meaning."""

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
        """The permitted values in words, such as ``0 < x <= 1``."""
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

    def parse(self, value: Any) -> Any:
        """Return a valid `value` as the setting's own type (an integer given for a float becomes one)."""
        return self.kind(value)


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def setting(default: Any, **declared: Any) -> Any:
    """Declare one hyperparameter as a dataclass field."""
    return dataclasses.field(default=default, metadata=declared)


LEARNING = "Learning and optimization"
EXPLORATION = "Exploration"
MEMORY = "Memory and sampling"
NETWORK = "Network architecture"
DURATION = "Training duration"
CHARACTERS = "Character discovery"
WORK = "Division of work"
SAFETY = "Keeping and surviving"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The settings of one run. Build one from untrusted values with `from_mapping`.

    Raises:
        ConfigurationError: from every constructor, naming all values that are out of bounds together.
    """

    learning_rate: float = setting(
        0.001, group=LEARNING, above=0, maximum=1, unit="step",
        help="Step size of the Adam optimizer at the first episode.",
    )  # fmt: skip
    lr_decay: float = setting(
        0.995, group=LEARNING, above=0, maximum=1, unit="factor per episode",
        help="The learning rate is multiplied by this after each episode.",
    )  # fmt: skip
    lr_min: float = setting(
        0.0001, group=LEARNING, minimum=0, maximum=1, unit="step",
        help="Floor of the decaying learning rate; without one nothing is learned after some thousand episodes.",
    )  # fmt: skip
    gamma: float = setting(
        0.99, group=LEARNING, minimum=0, maximum=1, unit="factor per turn",
        help="Discount of future rewards: 1 values all equally, smaller values look less far ahead.",
    )  # fmt: skip
    n_step: int = setting(
        1, group=LEARNING, minimum=1, maximum=100, unit="turns",
        help="Rewards of this many turns are added up before the value of the state reached is trusted.",
    )  # fmt: skip
    train_every: int = setting(
        4, group=LEARNING, minimum=1, maximum=1_000_000, unit="turns per update",
        help="Turns played for each update of the network, held in both directions.",
    )  # fmt: skip
    learning_starts: int = setting(
        500, group=LEARNING, minimum=0, maximum=100_000_000, unit="turns",
        help="Turns in memory before the first update.",
    )  # fmt: skip
    target_update_freq: int = setting(
        100, group=LEARNING, minimum=1, maximum=10_000_000, unit="updates",
        help="Updates between copies of the network into the target network.",
    )  # fmt: skip
    weight_averaging: int = setting(
        3_000, group=LEARNING, minimum=1, maximum=100_000_000, unit="updates",
        help="A checkpoint plays with the average of the weights over this many updates, or over an eighth of those "
        "done; 1 plays with the last.",
    )  # fmt: skip
    max_gradient_norm: float = setting(
        10.0, group=LEARNING, above=0, maximum=1e6, unit="norm",
        help="Longer gradients are shortened to this length.",
    )  # fmt: skip
    seed: int = setting(
        0, group=LEARNING, minimum=0, maximum=2**31 - 1, unit="number",
        help="Seed of every random choice. With --actors 0 the same seed gives the same run bit for bit.",
    )  # fmt: skip

    epsilon: float = setting(
        1.0, group=EXPLORATION, minimum=0, maximum=1, unit="probability",
        help="Probability of a random action at the first episode.",
    )  # fmt: skip
    epsilon_decay: float = setting(
        0.995, group=EXPLORATION, above=0, maximum=1, unit="factor per episode",
        help="epsilon is multiplied by this after each episode.",
    )  # fmt: skip
    epsilon_min: float = setting(
        0.05, group=EXPLORATION, minimum=0, maximum=1, unit="probability",
        help="Floor below which epsilon does not fall.",
    )  # fmt: skip
    epsilon_ladder: float = setting(
        0.0, group=EXPLORATION, minimum=0, maximum=100, unit="exponent",
        help="An actor's games explore less from one to the next: the last with epsilon to the power of 1 plus this.",
    )  # fmt: skip
    exploration_draws: int = setting(
        2, group=EXPLORATION, minimum=1, maximum=1000, unit="actions",
        help="A random action is the best, by the network, of this many drawn at random; 1 draws one and takes it.",
    )  # fmt: skip

    batch_size: int = setting(
        64, group=MEMORY, minimum=1, maximum=65_536, unit="experiences",
        help="Experiences sampled from memory for one update.",
    )  # fmt: skip
    memory_capacity: int = setting(
        10_000, group=MEMORY, minimum=1, maximum=100_000_000, unit="experiences",
        help="Experiences the replay memory holds; the oldest are discarded first.",
    )  # fmt: skip
    prioritize_experiences: bool = setting(
        False, group=MEMORY,
        help="Sample experiences with a larger error more often (prioritized experience replay).",
    )  # fmt: skip
    priority_exponent: float = setting(
        0.6, group=MEMORY, minimum=0, maximum=1, unit="exponent",
        help="How strongly the error decides what is sampled: 0 is uniform (prioritize_experiences only).",
    )  # fmt: skip
    importance_exponent: float = setting(
        0.4, group=MEMORY, minimum=0, maximum=1, unit="exponent",
        help="How strongly the bias of that sampling is corrected: 1 is fully (prioritize_experiences only).",
    )  # fmt: skip
    rare_share: float = setting(
        0.1, group=MEMORY, minimum=0, maximum=1, unit="share of a batch",
        help="Experiences that end a game or bring a reward that few others do fill this much of each batch "
        "(without prioritize_experiences only).",
    )  # fmt: skip

    n_layers: int = setting(
        2, group=NETWORK, minimum=0, maximum=16, unit="layers",
        help="Hidden layers of the MLP (spatial games: of the head that follows the CNN).",
    )  # fmt: skip
    layer_size: int = setting(
        128, group=NETWORK, minimum=1, maximum=8192, unit="units",
        help="Width of each hidden layer.",
    )  # fmt: skip
    crop_radius: int = setting(
        6, group=NETWORK, minimum=1, maximum=32, unit="cells",
        help="The CNN sees this many cells, rounded up to even, in every direction from the player (spatial games).",
    )  # fmt: skip

    training_episodes: int = setting(
        1000, group=DURATION, minimum=1, maximum=1_000_000_000, unit="episodes",
        help="Games to play in all.",
    )  # fmt: skip
    max_turns_per_episode: int = setting(
        2000, group=DURATION, minimum=1, maximum=1_000_000_000, unit="turns",
        help="A game still running after this many turns is cut short.",
    )  # fmt: skip

    exploration_turns: int = setting(
        200, group=CHARACTERS, minimum=1, maximum=10_000_000, unit="turns",
        help="Random turns played before training to discover characters when character_set is not given.",
    )  # fmt: skip
    unknown_character_strategy: str = setting(
        "ignore", group=CHARACTERS, choices=("ignore", "extend"),
        help="A character outside character_set is shown as an empty cell (ignore) or added to the network (extend).",
    )  # fmt: skip

    games_per_actor: int = setting(
        8, group=WORK, minimum=1, maximum=1024, unit="games",
        help="Games each actor process plays in lock step, with one forward pass for all.",
    )  # fmt: skip

    checkpoint_minutes: float = setting(
        3.0, group=SAFETY, above=0, maximum=100_000, unit="minutes",
        help="A checkpoint is written at the end of an episode after so long, beside those of every 100 episodes.",
    )  # fmt: skip
    snapshot_megabytes: int = setting(
        256, group=SAFETY, minimum=0, maximum=1_000_000, unit="MB",
        help="Memory that is kept for resuming, before compression, the newest experiences first; 0 keeps none.",
    )  # fmt: skip
    hang_seconds: float = setting(
        60.0, group=SAFETY, minimum=0.1, maximum=1_000_000, unit="seconds",
        help="A game that takes longer for a turn, or to be built, is taken for hung and interrupted.",
    )  # fmt: skip
    actor_growth_megabytes: int = setting(
        1000, group=SAFETY, minimum=1, maximum=100_000_000, unit="MB",
        help="An actor process that has grown by this much since it started (its game leaks) is replaced.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        problems = find_problems(dataclasses.asdict(self))
        if problems:
            raise ConfigurationError(problems, "the hyperparameters")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], where: str = "the hyperparameters") -> Hyperparameters:
        """Return settings with `values` over the defaults, after checking names, types and bounds."""
        problems = find_problems(values)
        if problems:
            raise ConfigurationError(problems, where)
        return cls(**{name: SETTINGS[name].parse(value) for name, value in values.items()})

    def changed(self, values: Mapping[str, Any], where: str = "the hyperparameters") -> Hyperparameters:
        """Return these settings with `values` in the place of some, after the same checks."""
        return self.from_mapping({name: getattr(self, name) for name in SETTINGS} | dict(values), where)

    def items(self) -> Iterator[tuple[Setting, Any]]:
        """Yield each declaration with this run's value, in the order of declaration."""
        for name, declared in SETTINGS.items():
            yield declared, getattr(self, name)


def find_problems(values: Mapping[str, Any]) -> list[Problem]:
    """Return all that is wrong with `values`: unknown names, types, bounds and contradictions."""
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
"""Every declaration by name, in the order in which they are shown."""
