from __future__ import annotations

import dataclasses
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retro_gamer.errors import CheckpointError
from retro_gamer.features.spec import SIZES
from retro_gamer.games.description import GameMetadata
from retro_gamer.learning.checkpoint import (
    FORMAT,
    FORMAT_VERSION,
    HEADER,
    LARGEST_SLACK,
    MUST_MATCH,
    MUST_MATCH_TO_PLAY,
    REQUIRED,
    dump_checkpoint,
    find_mismatches,
    has_digest,
    hash_content,
    load_checkpoint,
    values_to_match,
)
from retro_gamer.learning.learner import Learner
from tests.learning.samples import make_batch, make_settings, make_small_spec

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")


def make_state(updates: int = 3) -> tuple[Learner, dict[str, Any]]:
    learner = Learner(make_small_spec(), make_settings(), ("a", "b", "c"))
    for i in range(updates):
        learner.update(make_batch(learner.spec, seed=i))
    state = {
        **learner.get_state(),
        "epsilon": 0.35,
        "episode": 120,
        "total_turns": 45_000,
        "characters": ["a", "b", "c"],
        "spec": dataclasses.asdict(learner.spec),
        "must_match": {"actions": ["KEY_UP"], "board_size": [5, 4], "spatial": True},
        "hyperparameters": dataclasses.asdict(make_settings()),
        "player": None,
    }
    return learner, state


def save_anything(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_a_loaded_checkpoint_continues_bit_for_bit() -> None:
    learner, state = make_state()
    loaded = load_checkpoint(dump_checkpoint(state), "ep_0120.pt")
    other = Learner(make_small_spec(), make_settings(seed=44), ("a", "b", "c"))
    other.set_state(loaded)
    for i in range(5):
        batch = make_batch(learner.spec, seed=10 + i)
        assert learner.update(batch).loss == other.update(batch).loss
    np.testing.assert_array_equal(learner.publish().values, other.publish().values)
    plain = ("epsilon", "episode", "total_turns", "characters", "spec", "must_match", "player", "total_steps")
    assert {name: loaded[name] for name in plain} == {name: state[name] for name in plain}


def test_a_checkpoint_before_the_first_update_can_be_loaded() -> None:
    learner, state = make_state(updates=0)
    other = Learner(make_small_spec(), make_settings(seed=44), ("a", "b", "c"))
    other.set_state(load_checkpoint(dump_checkpoint(state), "ep_0000.pt"))
    batch = make_batch(learner.spec)
    assert learner.update(batch).loss == other.update(batch).loss


def test_a_checkpoint_holds_what_the_reference_promises() -> None:
    _, state = make_state()
    raw = torch.load(io.BytesIO(dump_checkpoint(state)), weights_only=True)
    assert raw["epsilon"] == 0.35
    assert raw["total_steps"] == 3
    assert set(raw["model_state_dict"]) == {name for name, _ in Learner(
        make_small_spec(), make_settings(), ("a", "b", "c")
    ).network.named_parameters()}  # fmt: skip
    assert {"exp_avg", "exp_avg_sq", "step"} <= set(raw["optimizer_state_dict"])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_checkpoint_is_refused_by_name(share: float) -> None:
    data = dump_checkpoint(make_state()[1])
    with pytest.raises(CheckpointError, match=r"ep_0100\.pt"):
        load_checkpoint(data[: int(len(data) * share)], "ep_0100.pt")


@pytest.mark.parametrize(
    "data", [b"not a checkpoint", b"\x80\x04", b"PK\x03\x04" + bytes(200), b"\x00" * 1000, pickle.dumps([1, 2])]
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="final"):
        load_checkpoint(data, "final.pt")


def test_a_damaged_byte_is_refused_or_harmless() -> None:
    data = dump_checkpoint(make_state()[1])
    random = np.random.default_rng(0)
    for place in random.integers(0, 4000, 200):  # where the archive keeps its names and the pickle
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        try:
            state = load_checkpoint(bytes(damaged), "ep_0100.pt")
        except CheckpointError:
            continue
        assert set(REQUIRED) <= set(state)


def test_a_pickle_that_makes_torch_fail_an_assertion_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02K\x01Q.")  # a persistent id that is no tuple
        archive.writestr("archive/version", b"3\n")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(buffer.getvalue(), "odd.pt")


@pytest.mark.parametrize("value", [[1, 2], {"model_state_dict": {}}, torch.zeros(3), {"format": "another"}, "text"])
def test_what_torch_saved_for_others_is_refused(value: object) -> None:
    with pytest.raises(CheckpointError, match="not written by retro-gamer"):
        load_checkpoint(save_anything(value), "model.pt")


class Malice:
    """Runs a call when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def test_a_malicious_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    data = save_anything({"format": FORMAT, "format_version": FORMAT_VERSION, "model_state_dict": Malice(target)})
    with pytest.raises(CheckpointError, match="nothing of it was run"):
        load_checkpoint(data, "stranger.pt")
    assert not target.exists()
    torch.load(io.BytesIO(data), weights_only=False)  # it would have done it
    assert target.exists()


def test_a_malicious_pickle_without_torchs_archive_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    with pytest.raises(CheckpointError):
        load_checkpoint(pickle.dumps(Malice(target)), "stranger.pt")
    assert not target.exists()


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, "1", None, torch.tensor(1), torch.zeros(3), True])
def test_another_format_version_is_refused(version: object) -> None:
    data = save_anything({"format": FORMAT, "format_version": version, **make_state()[1]})
    with pytest.raises(CheckpointError, match="format version"):
        load_checkpoint(data, "ep_0100.pt")


def test_a_checkpoint_without_its_version_is_refused() -> None:
    with pytest.raises(CheckpointError):
        load_checkpoint(save_anything({"format": FORMAT, **make_state()[1]}), "ep_0100.pt")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_checkpoint_that_lacks_a_part_is_neither_written_nor_read(name: str) -> None:
    state = make_state()[1]
    del state[name]
    with pytest.raises(ValueError, match=name):
        dump_checkpoint(state)
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(save_anything({"format": FORMAT, "format_version": FORMAT_VERSION, **state}), "ep_0100.pt")


def test_a_field_that_the_format_does_not_declare_is_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match="does not declare extra, more"):
        dump_checkpoint({**make_state()[1], "more": 1, "extra": 2})
    with pytest.raises(CheckpointError, match="it holds 'more', which retro-gamer does not write"):
        load_checkpoint(save_anything({**HEADER, **make_state()[1], "more": 1}), "ep_0100.pt")


def test_an_older_checkpoint_without_a_digest_loads_and_can_be_recognized() -> None:
    state = make_state()[1]
    older, newer = save_anything({**HEADER, **state}), dump_checkpoint(state)
    assert not has_digest(load_checkpoint(older, "ep_0100.pt"))
    assert has_digest(load_checkpoint(newer, "ep_0100.pt"))
    assert has_digest(load_checkpoint(dump_checkpoint(load_checkpoint(older, "ep_0100.pt")), "ep_0100.pt"))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: next(iter(state["model_state_dict"].values())).view(-1)[:1].add_(1.0),
        lambda state: state["optimizer_state_dict"].update(learning_rate=0.123),
        lambda state: state.update(target_state_dict=dict(reversed(state["target_state_dict"].items()))),
        lambda state: state.update(episode=121),
        lambda state: state["characters"].reverse(),
        lambda state: state["spec"].update(spatial=int(state["spec"]["spatial"])),
        lambda state: state.update(player=""),
    ],
)
def test_the_digest_depends_on_every_value_with_its_type_and_order(change: Any) -> None:
    state = make_state()[1]
    digest = hash_content(state)
    change(state)
    assert hash_content(state) != digest


def test_a_checkpoint_whose_content_was_changed_is_refused() -> None:
    state = load_checkpoint(dump_checkpoint(make_state()[1]), "ep_0100.pt")
    next(iter(state["model_state_dict"].values())).view(-1)[0] += 1.0
    with pytest.raises(CheckpointError, match=r"ep_0100\.pt is damaged: its content does not have the digest"):
        load_checkpoint(save_anything(state), "ep_0100.pt")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slack_turns", 2**63), ("slack_turns", LARGEST_SLACK + 1), ("slack_turns", 0.5), ("episode", -1),
        ("episode", True), ("total_turns", 2**60), ("epsilon", 1.5), ("epsilon", float("nan")), ("player", 3),
        ("characters", [1]), ("recent_rewards", ["1"]), ("replay_snapshot", 5),
        ("must_match", {"reward": torch.ones(1)}), ("skipped_updates", -2),
        ("model_state_dict", {"w": torch.tensor([float("inf")])}), ("spec", {"height": None, 3: 4}),
        ("torch_generator", torch.zeros(3)), ("hyperparameters", {"gamma": torch.ones(2)}),
        ("optimizer_state_dict", {"step": 3}),
    ],
)  # fmt: skip
def test_a_field_out_of_its_bounds_is_refused_by_name(field: str, value: object) -> None:
    data = save_anything({**HEADER, **make_state()[1], field: value})
    with pytest.raises(CheckpointError, match=rf"ep_0100\.pt is damaged: {field} cannot be what retro-gamer wrote"):
        load_checkpoint(data, "ep_0100.pt")


def test_what_only_a_hostile_file_holds_ends_in_one_message() -> None:
    circular: list[Any] = []
    circular.extend([circular] * 10)
    huge = torch.zeros(1).expand(10**6, 10**6)
    for field, value in (("characters", circular), ("player", 10**5000), ("target_state_dict", {"w": huge})):
        with pytest.raises(CheckpointError, match=r"ep_0100\.pt (is damaged: it|holds more than)"):
            load_checkpoint(save_anything({**HEADER, **make_state()[1], field: value}), "ep_0100.pt")


def test_messages_are_fit_for_a_terminal() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("\x1b[31mred/data.pkl", b"\x80\x04.")
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(buffer.getvalue(), "odd.pt")
    assert "\x1b" not in str(raised.value)


def test_what_must_match_is_plain_and_complete() -> None:
    metadata = GameMetadata(actions=("KEY_UP",), reward="score", observe_state=("lives",), board_size=(7, 4))
    values = values_to_match(metadata, make_settings(n_layers=3, layer_size=64, crop_radius=8))
    assert values == {
        "actions": ["KEY_UP"],
        "reward": "score",
        "spatial": True,
        "observe_state": ["lives"],
        "board_size": [7, 4],
        "observe": None,
        "n_layers": 3,
        "layer_size": 64,
        "crop_radius": 8,
    }
    assert set(values) == set(MUST_MATCH) > set(SIZES)


def test_each_value_that_differs_is_a_mismatch_and_no_other() -> None:
    metadata = GameMetadata(actions=("KEY_UP",), reward="score", board_size=(7, 4))
    settings = make_settings()
    state = {"spec": {"crop_radius": 2}, "must_match": values_to_match(metadata, settings)}
    assert find_mismatches(state, metadata, settings) == []
    del state["must_match"]["crop_radius"]
    assert find_mismatches(state, metadata, settings) == [], "older checkpoints have it in the spec alone"
    changed = dataclasses.replace(metadata, reward="lives", board_size=(7, 5))
    found = find_mismatches(state, changed, make_settings(crop_radius=4))
    assert [(each.field, each.trained, each.present) for each in found] == [
        ("reward", "score", "lives"),
        ("board_size", [7, 4], [7, 5]),
        ("crop_radius", 2, 4),
    ]
    assert [each.reason for each in found] == [MUST_MATCH[each.field] for each in found]
    played = find_mismatches(state, changed, make_settings(crop_radius=4), MUST_MATCH_TO_PLAY)
    assert [each.field for each in played] == ["board_size"]
