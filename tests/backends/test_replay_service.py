from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retro_gamer.acting.actor import Grant
from retro_gamer.backends.replay_service import ReplayService
from retro_gamer.features.extractor import make_extractor
from retro_gamer.learning.learner import Learner
from retro_gamer.replay.snapshot import write_snapshot
from retro_gamer.training.planning.run_spec import RunSpec
from tests.training.planning.test_run_spec import make_run_spec


def filled(run_spec: RunSpec, turns: int = 120) -> ReplayService:
    memory = ReplayService(run_spec, seed=1)
    actor = run_spec.make_actor(n_games=1, block_turns=32, seed=1)
    weights = Learner(run_spec.network, run_spec.settings, ("@", ">")).publish()
    actor.play(Grant(turns=turns, seconds=60, epsilon=1.0, tickets=tuple(range(60))), weights, memory.push)
    return memory


def copy(memory: ReplayService, limit_bytes: int = 10**9) -> bytes:
    memory.begin_snapshot(limit_bytes)
    pieces: list[bytes] = []
    while (piece := memory.next_piece(60.0)) != b"":
        assert piece is not None
        pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture
def run_spec(tmp_path: Path) -> RunSpec:
    return make_run_spec(tmp_path, prioritize_experiences=True)


def test_a_copy_put_back_counts_on_from_the_turns_given(run_spec: RunSpec) -> None:
    first, second = filled(run_spec), ReplayService(run_spec, seed=9)
    second.add_piece(copy(first))
    held = second.restore(b"", 5000)
    assert held > 100
    np.testing.assert_array_equal(
        first.sample(2, 16, run_spec.network)[1].ids, second.sample(2, 16, run_spec.network)[1].ids
    )
    (block,) = blocks_of(run_spec)
    assert second.push(block) == 5000 + block.turns


def test_batches_have_the_features_of_the_network_that_asks(run_spec: RunSpec) -> None:
    memory, twin = filled(run_spec), filled(run_spec)
    for spec in (
        run_spec.network,
        run_spec.network.with_characters(run_spec.network.n_characters + 3),
        run_spec.network,
    ):
        extractor = make_extractor(spec)
        plain = twin._buffer.sample(2, 8)
        for seen, batch in zip(memory.sample(2, 8, spec), plain, strict=True):
            np.testing.assert_array_equal(seen.ids, batch.ids)
            expected = extractor.extract(
                np.concatenate([batch.codes, batch.next_codes]),
                np.concatenate([batch.player, batch.next_player]),
                np.concatenate([batch.state, batch.next_state]),
            )
            for mine, his in zip(seen.features, expected, strict=True):
                np.testing.assert_array_equal(mine, his)


def blocks_of(run_spec: RunSpec) -> list[Any]:
    blocks: list[Any] = []
    actor = run_spec.make_actor(n_games=1, block_turns=64, seed=2)
    weights = Learner(run_spec.network, run_spec.settings, ("@", ">")).publish()

    def keep(block: Any) -> int:
        blocks.append(block)
        return 0

    actor.play(Grant(turns=20, seconds=60, epsilon=1.0, tickets=(1, 2, 3)), weights, keep)
    return blocks


def test_a_copy_is_of_one_moment_and_the_newest_fit(run_spec: RunSpec) -> None:
    memory = filled(run_spec)
    whole, part = copy(memory), copy(memory, 1000)
    assert len(part) < len(whole)
    restored = ReplayService(run_spec, seed=1)
    restored.add_piece(part)
    assert 5 < restored.restore(b"", 0) < 60


def test_without_a_copy_it_is_empty_and_counts_on(run_spec: RunSpec) -> None:
    memory = ReplayService(run_spec, seed=1)
    assert memory.restore(b"", 700) == 0
    (block,) = blocks_of(run_spec)
    assert memory.push(block) == 700 + block.turns


def test_pieces_cannot_be_had_of_no_copy(run_spec: RunSpec) -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        ReplayService(run_spec, seed=1).next_piece(0.0)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(codes=np.full_like(state["codes"], 200)),
        lambda state: state.update(action=np.full_like(state["action"], 99)),
        lambda state: state.update(discounts=np.full_like(state["discounts"], 7)),
        lambda state: state.update(returns=np.full_like(state["returns"], np.nan)),
        lambda state: state.update(first=state["first"] + 10**6),
        lambda state: state.update(codes=state["codes"][:, :, :3]),
        lambda state: state.pop("codes"),
        lambda state: state.update(turns="many"),
        lambda state: state.update(random={"bit_generator": "MT19937"}),
        lambda state: state.clear(),
    ],
)
def test_a_copy_that_does_not_fit_is_refused_and_the_memory_stays_empty(run_spec: RunSpec, change: Any) -> None:
    state = filled(run_spec)._buffer.get_state()
    change(state)
    file = io.BytesIO()
    write_snapshot(state, file)
    memory = ReplayService(run_spec, seed=1)
    memory.add_piece(file.getvalue())
    with pytest.raises(ValueError):
        memory.restore(b"", 300)
    assert memory.restore(b"", 300) == 0


def test_the_replay_process_imports_no_torch() -> None:
    code = (
        "import sys; from retro_gamer.backends.replay_service import ReplayService; "
        "from retro_gamer.training.planning.run_spec import RunSpec; "
        "print('torch' in sys.modules, ReplayService.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "ReplayService"]
