from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from retro_gamer.errors import CheckpointError
from retro_gamer.features.spec import SIZES
from retro_gamer.learning.checkpoint import DIGEST, MUST_MATCH, NO_DIGEST, dump_checkpoint, load_checkpoint
from retro_gamer.run.config import load_config
from retro_gamer.run.directory import CheckpointFile, RunDirectory
from retro_gamer.training.preparation import (
    Attempts,
    PreparedRun,
    ResumePoint,
    describe_changes,
    find_resume_point,
    prepare_run,
    resume_run,
)
from tests.training.corridors import make_corridor_run, train_here
from tests.training.stand_ins import RecordingSink


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = make_corridor_run(tmp_path_factory.mktemp("resumption"), training_episodes=3)
    train_here(run)
    return run


def prepare(run: RunDirectory) -> tuple[PreparedRun, ResumePoint]:
    return prepare_run(run, load_config(run.path)), find_resume_point(run, "final")


def with_metadata(prepared: PreparedRun, **changed: Any) -> PreparedRun:
    metadata = dataclasses.replace(prepared.run_spec.metadata, **changed)
    return dataclasses.replace(prepared, run_spec=dataclasses.replace(prepared.run_spec, metadata=metadata))


def with_settings(prepared: PreparedRun, **changed: Any) -> PreparedRun:
    settings = dataclasses.replace(prepared.run_spec.settings, **changed)
    return dataclasses.replace(prepared, run_spec=dataclasses.replace(prepared.run_spec, settings=settings))


def test_a_run_is_compatible_with_its_own_checkpoint(trained: RunDirectory) -> None:
    prepared, point = prepare(trained)
    assert resume_run(prepared, point) == prepared
    assert (point.episodes, point.file.name) == (3, "final")
    attempt = Attempts(prepared, point, n_actors=0, minutes=None).next()
    assert attempt.task.start.turns == point.state["total_turns"]
    assert describe_changes(prepared, point) == []


MISMATCHES: dict[str, dict[str, Any]] = {
    "actions": {"actions": ("KEY_LEFT", "KEY_RIGHT")},
    "reward": {"reward": "steps"},
    "spatial": {"spatial": False},
    "observe_state": {"observe_state": ("steps",)},
    "board_size": {"board_size": (8, 1)},
    "observe": {"observe": "view"},
    "n_layers": {"n_layers": 3},
    "layer_size": {"layer_size": 128},
    "crop_radius": {"crop_radius": 9},
}


@pytest.mark.parametrize("field", MISMATCHES)
def test_each_field_that_must_match_is_named_with_its_reason(trained: RunDirectory, field: str) -> None:
    prepared, point = prepare(trained)
    change = with_settings if field in SIZES else with_metadata
    with pytest.raises(CheckpointError) as raised:
        resume_run(change(prepared, **MISMATCHES[field]), point)
    lines = [line for line in str(raised.value).splitlines() if line.startswith("  ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"  {field}: ")
    assert MUST_MATCH[field] in lines[0]


def test_every_field_that_must_match_has_a_reason_and_a_test() -> None:
    assert set(MUST_MATCH) == set(MISMATCHES) >= set(SIZES)
    assert all(MUST_MATCH.values())


@pytest.mark.parametrize("characters", [("@",), (">", "@"), ("@", "x", ">")])
def test_the_checkpoints_characters_must_be_the_beginning(trained: RunDirectory, characters: tuple[str, ...]) -> None:
    prepared, point = prepare(trained)
    with pytest.raises(CheckpointError, match="character_set"):
        resume_run(with_metadata(prepared, character_set=characters), point)


def test_characters_may_be_added_behind(trained: RunDirectory) -> None:
    prepared, point = prepare(trained)
    longer = with_metadata(prepared, character_set=("@", ">", "x"))
    assert resume_run(longer, point).run_spec.metadata.character_set == ("@", ">", "x")


def test_all_else_may_change_and_is_reported(trained: RunDirectory) -> None:
    prepared, point = prepare(trained)
    changed = with_settings(prepared, gamma=0.5, batch_size=8, prioritize_experiences=True)
    assert resume_run(changed, point).run_spec.settings.gamma == 0.5
    lines = describe_changes(changed, point)
    assert "gamma changed from 0.9 to 0.5." in lines
    assert sorted(line.split()[0] for line in lines) == ["batch_size", "gamma", "prioritize_experiences"]


def test_a_checkpoint_of_before_that_does_not_say_its_crop_radius_is_held_against_its_network(
    trained: RunDirectory,
) -> None:
    prepared, point = prepare(trained)
    del point.state["must_match"]["crop_radius"]
    assert resume_run(prepared, point) == prepared
    with pytest.raises(CheckpointError, match="crop_radius: 1 in the checkpoint, 9 here"):
        resume_run(with_settings(prepared, crop_radius=9), point)


@pytest.mark.parametrize(
    ("part", "values", "reason"),
    [
        ("spec", {"layer_size": 10**9}, "layer_size"),
        ("spec", {"colour": "red"}, "colour"),
        ("spec", {"n_actions": 7}, "another shape"),
        ("spec", {"n_layers": 3}, "does not fit its network"),
        ("spec", {"dueling": False}, "does not fit its network"),
        ("optimizer_state_dict", {"exp_avg": {}}, "does not fit its network"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused_and_nothing_changes(
    tmp_path: Path, part: str, values: dict[str, Any], reason: str
) -> None:
    run = make_corridor_run(tmp_path, training_episodes=3)
    train_here(run)
    path = run.checkpoints_dir / "final.pt"
    state = load_checkpoint(path.read_bytes(), "final.pt")
    state[part].update(values)
    path.write_bytes(dump_checkpoint(state))
    before = run.log_path.read_bytes()
    with pytest.raises(CheckpointError, match=reason):
        train_here(run, resume="final")
    assert run.log_path.read_bytes() == before


def test_the_player_of_the_checkpoint_is_taken_over_where_the_configuration_names_none(trained: RunDirectory) -> None:
    prepared, point = prepare(trained)
    named_point = ResumePoint(file=point.file, state={**point.state, "player": "walker"})
    assert resume_run(prepared, named_point).run_spec.metadata.player == "walker"
    named = with_metadata(prepared, player="door")
    assert resume_run(named, named_point).run_spec.metadata.player == "door"
    assert load_config(trained.path).metadata.player is None


def spoil(run: RunDirectory, name: str, how: str) -> None:
    path = run.checkpoints_dir / f"{name}.pt"
    data = path.read_bytes()
    path.write_bytes(
        {
            "torn": data[:1000],
            "empty": b"",
            "zeros": bytes(5000),
            "a bit": data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
            "a page": data[:8192] + bytes(4096) + data[12288:],
        }[how]
    )


@pytest.mark.parametrize("how", ["torn", "empty", "zeros", "a bit", "a page"])
def test_a_damaged_newest_checkpoint_is_skipped_loudly(tmp_path: Path, how: str) -> None:
    run = make_corridor_run(tmp_path, training_episodes=103)
    train_here(run)
    spoil(run, "final", how)
    display = RecordingSink()
    assert train_here(run, resume="latest", display=display).complete
    said = [remark for remark in display.remarks if "Skipped a damaged newer checkpoint" in remark]
    assert len(said) == 1
    assert "final.pt" in said[0]
    assert "Resumed from ep_0100 at episode 100." in run.log_path.read_text()
    assert said[0].splitlines()[0] in run.log_path.read_text()
    assert [file.name for file in run.checkpoints()] == ["ep_0100", "final"]
    assert (run.checkpoints_dir / "abandoned-1" / "final.pt").exists()


def test_a_newest_checkpoint_that_cannot_be_read_is_skipped_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_corridor_run(tmp_path, training_episodes=103)
    train_here(run)
    read = CheckpointFile.read

    def fail(file: CheckpointFile) -> bytes:
        if file.name == "final":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(file.path))
        return read(file)

    monkeypatch.setattr(CheckpointFile, "read", fail)
    point = find_resume_point(run, "latest")
    assert (point.file.name, len(point.skipped)) == ("ep_0100", 1)
    assert "final.pt cannot be read: Input/output error" in point.skipped[0]


def test_a_checkpoint_of_an_older_version_resumes_with_a_remark(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=101)
    train_here(run)
    path = run.checkpoints_dir / "final.pt"
    state = load_checkpoint(path.read_bytes(), "final.pt")
    for field in (DIGEST, "player", "slack_turns", "recent_rewards", "largest_reward"):
        del state[field]
    torch.save(state, path)
    display = RecordingSink()
    assert train_here(run, resume="latest", display=display).complete
    assert [r for r in display.remarks if "written by an older" in r] == [f"final {NO_DIGEST}."]


def test_where_all_are_damaged_nothing_is_begun_anew(tmp_path: Path) -> None:
    run = make_corridor_run(tmp_path, training_episodes=101)
    train_here(run)
    for name in ("ep_0100", "final"):
        spoil(run, name, "torn")
    before = run.log_path.read_bytes()
    with pytest.raises(CheckpointError) as raised:
        train_here(run, resume="latest")
    assert "ep_0100.pt" in str(raised.value)
    assert "final.pt" in str(raised.value)
    assert run.log_path.read_bytes() == before
    with pytest.raises(CheckpointError, match=r"final\.pt"):  # one that is named is not replaced by another
        train_here(run, resume="final")
