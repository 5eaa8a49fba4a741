from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.peers import environments, published
from benchmarks.peers.drivers import turn_counter
from benchmarks.peers.environments import PEERS, environment_of, is_made
from benchmarks.peers.published import NAV, SNAKE, Counts, write_game
from benchmarks.records import ROOT
from retro_gamer.games.description import GameMetadata


def test_environments_lie_outside_the_checkout_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RETRO_GAMER_BENCHMARK_CACHE", raising=False)
    for peer in PEERS.values():
        assert not environment_of(peer).is_relative_to(ROOT)
    monkeypatch.setenv("RETRO_GAMER_BENCHMARK_CACHE", str(tmp_path))
    assert environment_of(environments.RLLIB) == tmp_path / "rllib"


def test_an_environment_is_made_anew_when_something_else_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRO_GAMER_BENCHMARK_CACHE", str(tmp_path))
    peer = environments.PUBLISHED
    assert not is_made(peer)
    environment_of(peer).mkdir()
    (environment_of(peer) / ".requirements").write_text("retro-gamer==0.3.0\n")
    assert not is_made(peer)
    (environment_of(peer) / ".requirements").write_text(environments._mark_text(peer))
    assert is_made(peer)


@pytest.mark.parametrize("game", [SNAKE, NAV])
def test_the_peer_is_told_the_same_description_as_we_are(tmp_path: Path, game: published.PeerGame) -> None:
    place = write_game(tmp_path, game)
    told = tomllib.loads((place / "pyproject.toml").read_text())["tool"]["retro-gamer"]
    ours = GameMetadata.from_pyproject(game.module)
    assert GameMetadata.from_mapping(told, "the peer's").actions == ours.actions
    assert told["character_set"] == list(ours.character_set or ())
    assert told["spatial"] is True


def test_the_rate_is_taken_between_the_first_and_the_last_count_of_the_window(tmp_path: Path) -> None:
    path = tmp_path / "counts"
    assert Counts.read(path).turns == []
    path.write_text("10.0 0 1\n11.0 50 1\n12.5 200 2\n13.0 250 3\n14.0 9")  # the last line is being written
    counts = Counts.read(path)
    assert counts.games == [1, 1, 2, 3]
    assert counts.rate(since=10.5) == pytest.approx(200 / 2.0)
    with pytest.raises(ValueError, match="too short"):
        counts.rate(since=12.9)
    with pytest.raises(ValueError, match="too short"):
        counts.rate(since=10.5, at_least_seconds=3.0)


def test_a_counted_game_plays_as_before_and_its_turns_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[int] = []
    game = SimpleNamespace(step=lambda: played.append(1))
    module: Any = SimpleNamespace(create_game=lambda: game)
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    monkeypatch.setattr(turn_counter, "NOTED_SECONDS", 0.0)
    monkeypatch.setenv(turn_counter.COUNT_FILE, str(tmp_path / "counts"))
    made = turn_counter.count_turns("a.game")()
    made.step()
    made.step()
    assert played == [1, 1]
    counts = Counts.read(tmp_path / "counts")
    assert (counts.turns, counts.games) == ([0, 1, 2], [1, 1, 1])
