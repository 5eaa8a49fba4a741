from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from retro_gamer.games.loading.processes import isolated_start


def send_origin(connection: Connection) -> None:
    import pickle

    connection.send(pickle.__file__)


@pytest.mark.parametrize("before", [None, "", "1"])
def test_a_file_in_the_working_directory_replaces_no_module_of_a_new_process(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pickle", "select", "socket", "types"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if before is not None:
        monkeypatch.setenv("PYTHONSAFEPATH", before)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    with isolated_start() as context:
        process = context.Process(target=send_origin, args=(theirs,))
        process.start()
    assert os.environ.get("PYTHONSAFEPATH") == before
    theirs.close()
    assert not ours.recv().startswith(str(tmp_path))
    process.join()
    assert process.exitcode == 0
