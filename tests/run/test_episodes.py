from __future__ import annotations

import math
import random
import re

import pytest

from retro_gamer.run.log import EpisodeLine, format_episode, parse_episode, plain_decimal


def _line(**changed: float) -> EpisodeLine:
    values = {"episode": 1, "total_reward": 0.0, "steps": 1, "epsilon": 1.0, "avg_loss": 0.0}
    return EpisodeLine(**(values | changed))  # type: ignore[arg-type]


def test_the_line_is_that_of_the_reference() -> None:
    line = _line(episode=7, total_reward=350.0, steps=87, epsilon=0.995, avg_loss=0.01234)
    assert format_episode(line) == "[EP 0007] total_reward=350.0 steps=87 epsilon=0.995 avg_loss=0.01234"


@pytest.mark.parametrize(("episode", "shown"), [(1, "0001"), (9999, "9999"), (10_000, "10000"), (1_234_567, "1234567")])
def test_the_number_has_at_least_four_digits(episode: int, shown: str) -> None:
    assert format_episode(_line(episode=episode)).startswith(f"[EP {shown}] ")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (-0.5, "-0.5"),
        (1e-4, "0.0001"),
        (1.23456e-8, "0.00000001235"),
        (-1e-12, "-0.000000000001"),
        (5e-324, "0.0"),
        (1e16, "10000000000000000.0"),
        (1e22, "10000000000000000000000.0"),
        (0.1 + 0.2, "0.3"),
        (99.99999, "100.0"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_are_plain_decimals(number: float, text: str) -> None:
    assert plain_decimal(number) == text


def test_any_line_reads_back_as_what_it_said() -> None:
    source = random.Random(0)
    for _ in range(2000):
        line = EpisodeLine(
            episode=source.randrange(1, 10 ** source.randrange(1, 8)),
            total_reward=source.uniform(-1, 1) * 10 ** source.randrange(-8, 20),
            steps=source.randrange(10**6),
            epsilon=source.random() ** 5,
            avg_loss=source.choice([math.nan, source.random() * 10 ** source.randrange(-12, 12)]),
        )
        text = format_episode(line)
        values = re.findall(r"=(\S+)", text)
        assert all(re.fullmatch(r"-?\d+(\.\d+)?|nan", value) for value in values), text
        read = parse_episode(text)
        assert read is not None
        assert (read.episode, read.steps) == (line.episode, line.steps)
        for name in ("total_reward", "epsilon", "avg_loss"):
            said, meant = getattr(read, name), getattr(line, name)
            assert said == pytest.approx(meant, rel=1e-3, abs=1e-12, nan_ok=True)
        assert format_episode(read) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# [EP 0001] total_reward=1.0 steps=1 epsilon=1.0 avg_loss=0.0",
        " [EP 0001] total_reward=1.0 steps=1 epsilon=1.0 avg_loss=0.0",
        "[EP 001] total_reward=1.0 steps=1 epsilon=1.0 avg_loss=0.0",
        "[EP 0001] total_reward=1e5 steps=1 epsilon=1.0 avg_loss=0.0",
        "[EP 0001] total_reward=1.0 steps=1 epsilon=1.0 avg_loss=",
        "[EP 0001] total_reward=1.0 steps=1 epsilon=1.0",
        "[EP 0001] total_reward=1.0 steps=1.5 epsilon=1.0 avg_loss=0.0",
        "[EP 0001] total_reward=1.0 steps=1 epsilon=1.0 avg_loss=0.0 more",
        "[EP 0001] total_reward=- steps=1 epsilon=1.0 avg_loss=0.0",
        f"[EP {'9' * 5000}] total_reward=1.0 steps=1 epsilon=1.0 avg_loss=0.0",
        "[EP ٠٠٠١] total_reward=1.0 steps=1 epsilon=1.0 avg_loss=0.0",
    ],
)
def test_other_lines_are_no_episodes(text: str) -> None:
    assert parse_episode(text) is None


def test_the_line_end_does_not_matter() -> None:
    text = format_episode(_line(episode=3))
    assert parse_episode(text) == parse_episode(text + "\n") == parse_episode(text + "\r\n") == _line(episode=3)
