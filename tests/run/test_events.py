from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import pytest

from retro_gamer.run.events import EventLogger, Progress, Remark, Starting

ZEROS: dict[str, Any] = {f.name: math.nan if f.type == "float" else 0 for f in dataclasses.fields(Progress)}
PROGRESS = Progress(**ZEROS)


def test_the_event_logger_logs_with_the_logger_of_the_package(caplog: pytest.LogCaptureFixture) -> None:
    sink = EventLogger()
    with caplog.at_level(logging.DEBUG, logger="retro_gamer"):
        sink.handle(Starting("100% of it\nin words"))
        sink.handle(PROGRESS)
        sink.handle(Remark("the game failed %s"))
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.DEBUG, logging.WARNING]
    assert [record.name for record in caplog.records] == ["retro_gamer"] * 3
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "100% of it\nin words"
    assert messages[2] == "the game failed %s"
