from __future__ import annotations

from pathlib import Path

import pytest

from retro_gamer.games.description import GameMetadata
from retro_gamer.games.loading.find import GameSource
from retro_gamer.hyperparameters import SETTINGS
from retro_gamer.run.config import make_config_text
from tests.run.test_config import METADATA, make_config


def _comment_above(lines: list[str], name: str) -> str:
    index = next(i for i, line in enumerate(lines) if line.startswith(f"{name} = "))
    first = index
    while lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first:index])


@pytest.mark.parametrize("name", SETTINGS)
def test_every_hyperparameter_is_explained(tmp_path: Path, name: str) -> None:
    declared = SETTINGS[name]
    comment = _comment_above(make_config_text(make_config(), tmp_path).split("\n"), name)
    assert declared.help in comment
    assert declared.range in comment
    assert declared.unit in comment
    assert "default" in comment


def test_hyperparameters_stand_under_their_headings_in_order(tmp_path: Path) -> None:
    text = make_config_text(make_config(), tmp_path)
    places = [text.index(f"\n{name} = ") for name in SETTINGS]
    assert places == sorted(places)
    for name, declared in SETTINGS.items():
        above = text[: text.index(f"\n{name} = ")]
        assert above.rindex("# ---- ") == above.index(f"# ---- {declared.group} ----")


def test_every_field_of_the_description_is_explained(tmp_path: Path) -> None:
    metadata = GameMetadata(
        actions=("a",), reward="r", character_set=("@",), factory="a:b", player="Me", board_size=(2, 3)
    )
    lines = make_config_text(make_config(metadata=metadata), tmp_path).split("\n")
    for name in metadata.to_mapping():
        assert len(_comment_above(lines, name)) > 20


def test_a_missing_character_set_is_announced_where_it_will_stand(tmp_path: Path) -> None:
    text = make_config_text(make_config(metadata=METADATA), tmp_path)
    assert "character_set = " not in text
    assert text.index("# character_set is missing") < text.index("[hyperparameters]")


def test_the_origin_is_one_harmless_line(tmp_path: Path) -> None:
    text = make_config_text(make_config(), tmp_path, origin="here\nactions = []\x1b")
    assert "# From here actions = []\\x1b\n" in text


def test_places_are_relative_to_the_run(tmp_path: Path) -> None:
    run = tmp_path / "project" / "runs" / "one"
    run.mkdir(parents=True)
    source = GameSource(module="a.game", path=str(tmp_path / "project" / "a"), search_path=str(tmp_path / "project"))
    text = make_config_text(make_config(source=source), run)
    assert 'path = "../../a"\nsearch_path = "../.."\n' in text
