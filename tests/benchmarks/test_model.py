from __future__ import annotations

import dataclasses

import pytest

from benchmarks.performance.model import Stations

STATIONS = Stations(
    turn_seconds=1e-3,
    update_seconds=2e-3,
    push_seconds_per_turn=1e-5,
    batch_seconds=1e-3,
    bytes_per_turn=1000,
    bytes_per_batch=100_000,
    store_bytes_per_second=1e9,
    train_every=10,
)


def test_limits_by_hand() -> None:
    assert STATIONS.limits == pytest.approx({"learner": 5000, "replay": 1 / 1.1e-4, "object store": 1e9 / 11_000})


def test_throughput_grows_with_actors_until_the_first_station_is_full() -> None:
    assert list(STATIONS.throughput(1)) == [pytest.approx(1000), "actors"]
    assert list(STATIONS.throughput(4)) == [pytest.approx(4000), "actors"]
    assert list(STATIONS.throughput(6)) == [pytest.approx(5000), "learner"]
    assert list(STATIONS.throughput(500)) == [pytest.approx(5000), "learner"]


def test_stations_fill_in_the_order_of_their_limits() -> None:
    order = STATIONS.order_of_saturation()
    assert [name for name, _, _ in order] == ["learner", "replay", "object store"]
    assert [actors for _, _, actors in order] == pytest.approx([5, 1000 / 110, 1000 / 11])


def test_a_faster_learner_moves_the_limit_to_replay() -> None:
    faster = dataclasses.replace(STATIONS, update_seconds=1e-4)
    assert list(faster.throughput(500)) == [pytest.approx(1 / 1.1e-4), "replay"]
