from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.learning import tables
from benchmarks.learning.parts import PARTS
from tests.benchmarks.examples import by_part, cells, make_record


def evaluation(mean: float, interval: float = 2.0) -> dict[str, Any]:
    return {"mean": mean, "interval": interval, "episodes": 100, "median": mean, "best": mean, "mean_turns": 9.0}


YARDSTICKS = make_record(
    "yardsticks/nav-score", {"task": "nav-score", "random": evaluation(200.0), "expert": evaluation(1200.0)}
)


def make_reach(seed: int, *scores: float | None) -> Any:
    minutes = {
        mark: None if score is None else evaluation(score)
        for mark, score in zip(("5", "10", "20"), scores, strict=True)
    }
    return make_record(f"reach/nav-score/{seed}", {"task": "nav-score", "seed": seed, "minutes": minutes})


def test_reach_shows_every_seed_their_median_and_the_normalised_score() -> None:
    records = by_part(YARDSTICKS, make_reach(1, 300.0, 500.0, 700.0), make_reach(0, None, 400.0, 600.0))
    first, second, median = cells(tables.make_reach_table(records))
    assert first == ["Nav, `score`", "0", "—", "400 ± 2.0", "600 ± 2.0", "0.40"]
    assert second[5] == "0.50"
    assert median[1:6] == ["median", "—", "**450**", "**650**", "0.45"]


def test_a_mark_that_only_some_seeds_have_has_no_median() -> None:
    records = by_part(YARDSTICKS, make_reach(0, 300.0, 400.0, 900.0), make_reach(1, 500.0, 600.0, None))
    assert cells(tables.make_reach_table(records))[2][2:6] == ["**400**", "**500**", "—", "0.30"]


def test_a_shorter_budget_leaves_the_later_minutes_empty() -> None:
    values = {"task": "nav-score", "seed": 0, "minutes": {"5": evaluation(300.0), "10": evaluation(450.0)}}
    row = cells(tables.make_reach_table(by_part(YARDSTICKS, make_record("reach/nav-score/0", values))))[0]
    assert row[2:6] == ["300 ± 2.0", "450 ± 2.0", "—", "0.25"]


def test_the_peer_is_shown_beside_ours_at_the_same_minute() -> None:
    peer = make_record(
        "peer/nav-score", {"task": "nav-score", "train_minutes": 10.0, "turns": 20_000, "scores": [190.0, 210.0]}
    )
    records = by_part(YARDSTICKS, peer, make_reach(0, 1.0, 400.0, 2.0), make_reach(1, 1.0, 500.0, 2.0))
    row = cells(tables.make_peer_table(records))[0]
    half_width = 12.706 * math.sqrt(200.0) / math.sqrt(2)  # Student's t of two games
    assert row == ["Nav, `score`", "10", "20,000", f"200 ± {half_width:.0f}", "0.00", "450"]


def test_differences_carry_their_standard_error() -> None:
    assert list(tables.pool([1.0, 3.0])) == [2.0, pytest.approx(1.0)]
    assert math.isnan(tables.pool([1.0])[1])
    # means 20 and 50, standard errors 3 and 4
    assert tables.compare([46.0, 54.0], [17.0, 23.0]) == "+30.0 ± 5.0"
    assert tables.compare([1.0], [3.0]) == "-2.00"


def make_trained(kind: str, name: str, seed: int, score: float, **named: Any) -> Any:
    trained = {"updates": 20_010, "turns": 80_000, "episodes": 500, "seconds": 200.0, "checkpoint": "ep_0500"}
    values = {"task": "nav-score", "seed": seed, "trained": trained, "figures": evaluation(score), **named}
    return make_record(f"{kind}/nav-score/{name}/{seed}", values)


def test_ablations_are_held_against_the_base_which_comes_first() -> None:
    records = by_part(
        make_trained("ablation", "a", 0, 46.0, variant="a"),
        make_trained("ablation", "a", 1, 54.0, variant="a"),
        make_trained("ablation", "base", 1, 17.0, variant="base"),
        make_trained("ablation", "base", 0, 23.0, variant="base"),
    )
    title, _, table = tables.make_ablation_table(records).partition("\n\n")
    assert title == "Nav, `score`, 20,010 updates:"
    assert cells(table) == [
        ["base", "0: 23.0, 1: 17.0", "20.0", ""],
        ["a", "0: 46.0, 1: 54.0", "50.0", "+30.0 ± 5.0"],
    ]


def test_a_variant_of_one_seed_is_held_against_the_base_of_that_seed() -> None:
    records = by_part(
        make_trained("ablation", "a", 0, 46.0, variant="a"),
        make_trained("ablation", "b", 2, 46.0, variant="b"),
        make_trained("ablation", "base", 0, 23.0, variant="base"),
        make_trained("ablation", "base", 1, 17.0, variant="base"),
    )
    _, a, b = cells(tables.make_ablation_table(records).partition("\n\n")[2])
    assert (a[3], b[3]) == ("+23.0", "")


def test_three_actors_are_held_against_one() -> None:
    found = [
        make_trained("actors", str(actors), seed, score, actors=actors)
        for actors, seed, score in ((3, 0, 46.0), (3, 1, 54.0), (1, 0, 17.0), (1, 1, 23.0))
    ]
    one, three = cells(tables.make_actors_table(by_part(*found)))
    assert one == ["1", "20,010", "17.0, 23.0", "20.0", ""]
    assert three == ["3", "20,010", "46.0, 54.0", "50.0", "+30.0 ± 5.0"]


def test_the_thousand_episodes() -> None:
    values = {"task": "snake-score", "seed": 0, "train_seconds": 90.0, "figures": evaluation(120.0)}
    records = by_part(make_record("episodes/snake-score/0", values))
    assert cells(tables.make_episode_table(records)) == [["Snake, `score`", "0", "120 ± 2.0", "1.5"]]


def test_nothing_is_made_of_nothing_and_failures_are_left_out() -> None:
    failed = by_part(make_record("reach/nav-score/0", {}, error="no"))
    assert [name for name, make in tables.TABLES.items() if make({})] == []
    assert tables.make_reach_table(failed) == ""


def test_there_is_a_part_of_every_kind_a_table_is_made_of() -> None:
    kinds = {name.partition("/")[0] for name in PARTS}
    assert kinds == {"yardsticks", "reach", "episodes", "peer", "actors", "ablation"}
