"""The line that training.log holds for each episode."""

from __future__ import annotations

import dataclasses
import math
import re

_NUMBER = r"-?\d+(?:\.\d+)?|nan|-?inf"
_PATTERN = re.compile(
    rf"\[EP (\d{{4,18}})\] total_reward=({_NUMBER}) steps=(\d{{1,18}}) epsilon=({_NUMBER}) avg_loss=({_NUMBER})",
    re.ASCII,
)
_DECIMALS = 4
_MOST_DECIMALS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpisodeLine:
    """One completed episode: its number from 1, reward, turns, the epsilon in force and the mean loss since the last.

    avg_loss is nan if there was no update since the previous line.
    """

    episode: int
    total_reward: float
    steps: int
    epsilon: float
    avg_loss: float


def format_episode(line: EpisodeLine) -> str:
    """Return `line` as training.log shows it, without the newline."""
    return (
        f"[EP {line.episode:04d}] total_reward={plain_decimal(line.total_reward)} steps={line.steps} "
        f"epsilon={plain_decimal(line.epsilon)} avg_loss={plain_decimal(line.avg_loss)}"
    )


def parse_episode(text: str) -> EpisodeLine | None:
    """Return the episode that a line of training.log tells of, or None if it tells of something else."""
    found = _PATTERN.fullmatch(text.rstrip("\r\n"))
    if not found:
        return None
    episode, total_reward, steps, epsilon, avg_loss = found.groups()
    return EpisodeLine(
        episode=int(episode),
        total_reward=float(total_reward),
        steps=int(steps),
        epsilon=float(epsilon),
        avg_loss=float(avg_loss),
    )


def plain_decimal(number: float) -> str:
    """Return `number` without an exponent, to four decimals or, if it is small, to four significant digits."""
    if not math.isfinite(number):
        return str(float(number))
    decimals = _DECIMALS
    if number:
        decimals = min(_MOST_DECIMALS, max(_DECIMALS, _DECIMALS - 1 - math.floor(math.log10(abs(number)))))
    whole, _, fraction = f"{number:.{decimals}f}".partition(".")
    text = f"{whole}.{fraction.rstrip('0') or '0'}"
    return "0.0" if text == "-0.0" else text
