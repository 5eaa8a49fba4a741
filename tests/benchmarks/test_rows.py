from __future__ import annotations

from typing import Any

import pytest

from benchmarks.performance import rows
from benchmarks.performance.parts import PARTS
from tests.benchmarks.examples import by_part, cells, make_record

UPDATE = {"seconds": 0.006, "floor_seconds": 0.002}
TRAINED = {"ours": {"turns_per_second": 800.0}, "peer": {"turns_per_second": 40.0}}


def test_every_row_comes_from_a_part_and_every_part_is_used() -> None:
    used = {row.part for row in rows.ROWS} | {f"useful-{game}" for game in rows.GAMES} | {"data-ways"}
    assert used == set(PARTS)


def test_a_row_holds_both_sides_their_ratio_and_the_share_of_the_limit() -> None:
    table = rows.make_main_table(by_part(make_record("train-snake", TRAINED), make_record("one-update", UPDATE)))
    train, update = cells(table)
    assert train[2:5] == ["800", "40.0", "20x"]
    assert train[5:7] == ["2,000", "40%"]  # 4 turns in 0.002 s
    assert update[1:7] == ["ms", "6.00", "—", "—", "2.00", "33%"]


def test_where_less_is_better_the_ratio_is_turned() -> None:
    peer = {**TRAINED, "peer": {"turns_per_second": 40.0, "pss_bytes": 8e8, "first_episode_seconds": 5.0}}
    startup = {"pss_bytes": 1.6e9, "first_episode_seconds": 10.0}
    table = rows.make_main_table(by_part(make_record("train-snake", peer), make_record("startup", startup)))
    memory, first = cells(table)[1:]
    assert memory[2:5] == ["1.60", "0.8", "0.5x"]
    assert first[2:5] == ["10.0", "5.00", "0.5x"]


def test_a_failed_part_says_so_and_a_busy_machine_is_marked() -> None:
    failed = make_record("train-nav", {}, error="OSError: no room\nmore")
    busy = make_record("one-update", UPDATE, quiet={"others_cores": 1.5, "load_average": 4.0})
    records = by_part(failed, busy)
    nav, update = cells(rows.make_main_table(records))
    assert nav[2] == "failed"
    assert nav[-1] == "OSError: no room"
    assert update[2] == "6.00†"
    assert "† Others used the machine" in rows.describe_records(records)


def test_the_description_names_machine_commit_and_day() -> None:
    text = rows.describe_records(by_part(make_record("one-update", UPDATE)))
    assert "A Processor, 2 cores, 24.0 GiB, Python 3.11.1, torch 2.13.0; commit abc1234, 2026-01-02" in text
    assert "train-snake" in text.partition("Not measured: ")[2]


def make_model_records() -> dict[str, Any]:
    useful = {"turn_seconds": 1e-4, "update_seconds": 5e-3, "useful_actors": 1}
    replay = {
        "push_seconds_per_turn": 1e-5,
        "sample_seconds_per_batch": 3e-4,
        "priorities_seconds_per_batch": 1e-4,
        "bytes_per_turn": 500.0,
    }
    return by_part(
        make_record("useful-snake", {"default": useful, "apex": {**useful, "update_seconds": 64e-3}}),
        make_record("data-ways", {"replay": {"default": replay, "apex": replay}, "object_store_bytes_per_second": 1e9}),
    )


def test_the_model_is_made_of_what_was_measured() -> None:
    stations = rows.make_stations(make_model_records(), "apex")
    assert stations is not None
    assert stations.limits["learner"] == pytest.approx(10_000)
    assert stations.limits["replay"] == pytest.approx(1 / (1e-5 + 4e-4 / 640))
    assert stations.limits["object store"] == pytest.approx(1e9 / (500 + 2 * 512 * 500 / 640))
    assert rows.make_stations({}, "apex") is None
    table = rows.make_model_tables(make_model_records())
    assert "| learner | 10,000 | 1.00 |" in table
    assert table.count("| 256 |") == 2


def test_useful_actors_have_a_row_for_each_game_and_reuse() -> None:
    table = cells(rows.make_actor_table(make_model_records()))
    assert table == [
        ["Snake", "64, every 4", "100", "5.00", "1"],
        ["Snake", "512, every 640", "100", "64.0", "1"],
    ]
