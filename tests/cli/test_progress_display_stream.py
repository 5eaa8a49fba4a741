from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from retro_gamer.cli.display.progress_display import LastingStream, LineDisplay, make_display
from retro_gamer.run.events import Remark
from tests.full_disk import no_room_beyond


def test_what_nobody_reads_any_more_goes_nowhere() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        lasting = LastingStream(stream)
        lasting.write("heard\n")
        lasting.flush()
        assert os.read(reading, 100) == b"heard\n"
        os.close(reading)
        for _ in range(3):
            assert lasting.write("lost\n") == 5
            lasting.flush()
        stream.write("whoever writes to the stream itself has no trouble either")


def test_a_terminal_that_is_closed_is_written_to_no_more(tmp_path: Path) -> None:
    master, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        os.close(master)
        LastingStream(stream).write("lost\n")
        LastingStream(stream).flush()
        assert os.path.realpath(f"/dev/fd/{stream.fileno()}") == os.devnull
        print("its last words", file=stream, flush=True)


def test_without_room_it_goes_on_and_with_some_is_heard_again(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w") as stream:
        lasting = LastingStream(stream)
        with no_room_beyond(0):
            lasting.write("waiting\n")
            lasting.flush()
            assert path.read_text() == ""
        lasting.write("heard\n")
        lasting.flush()
        assert path.read_text().endswith("heard\n")


def test_it_is_otherwise_the_stream_it_stands_for(capsys: pytest.CaptureFixture[str]) -> None:
    lasting = LastingStream(sys.stdout)
    assert (lasting.encoding, lasting.isatty()) == (sys.stdout.encoding, sys.stdout.isatty())
    display = make_display()
    assert isinstance(display, LineDisplay)
    display.handle(Remark("a remark"))
    assert capsys.readouterr().out == "a remark\n"
