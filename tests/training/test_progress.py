from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import pytest

from retro_gamer.training.loop.progress import LoggingReporter, Progress

ZEROS: dict[str, Any] = {f.name: math.nan if f.type == "float" else 0 for f in dataclasses.fields(Progress)}
PROGRESS = Progress(**ZEROS)


def test_a_logging_reporter_speaks_through_the_logger_of_the_package(caplog: pytest.LogCaptureFixture) -> None:
    reporter = LoggingReporter()
    with caplog.at_level(logging.DEBUG, logger="retro_gamer"):
        reporter.begin("100% of it\nin words")
        reporter.progress(PROGRESS)
        reporter.note("the game failed %s")
        reporter.close()
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.DEBUG, logging.WARNING]
    assert [record.name for record in caplog.records] == ["retro_gamer"] * 3
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "100% of it\nin words"
    assert messages[2] == "the game failed %s"
