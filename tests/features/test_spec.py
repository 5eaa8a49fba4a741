from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from retro_gamer.features.spec import NetworkSpec, make_spec
from retro_gamer.games.description import GameMetadata
from tests.learning.samples import make_settings

METADATA = GameMetadata(
    actions=("KEY_UP", "x"), reward="score", character_set=("a", "b"), observe_state=("lives",), board_size=(7, 4)
)


def test_make_spec_reads_shapes_and_sizes() -> None:
    assert make_spec(METADATA, make_settings(n_layers=3, layer_size=16, crop_radius=5), has_player=True) == NetworkSpec(
        height=4,
        width=7,
        n_characters=2,
        n_state=1,
        n_actions=3,
        spatial=True,
        has_player=True,
        n_layers=3,
        layer_size=16,
        crop_radius=5,
        dueling=True,
    )


def test_a_game_that_is_not_spatial_keeps_the_plain_head() -> None:
    metadata = dataclasses.replace(METADATA, spatial=False)
    assert not make_spec(metadata, make_settings(), has_player=True).dueling


@pytest.mark.parametrize("field", ["board_size", "character_set"])
def test_make_spec_needs_a_description_without_gaps(field: str) -> None:
    gap: dict[str, Any] = {field: None}
    with pytest.raises(ValueError, match="must be known"):
        make_spec(dataclasses.replace(METADATA, **gap), make_settings(), has_player=True)


def test_with_characters_changes_nothing_else() -> None:
    spec = make_spec(METADATA, make_settings(), has_player=False)
    grown = spec.with_characters(9)
    assert grown.n_characters == 9
    assert dataclasses.replace(grown, n_characters=2) == spec
