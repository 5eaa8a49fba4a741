"""Writing with patience until a sitting ends: what finds no room waits, and is told at the end if it still has none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from retro_gamer.errors import RetroGamerError, StorageError
from retro_gamer.run.writer import PatientWriter
from retro_gamer.runs.writer import RunWriter
from retro_gamer.training.progress import Reporter


@contextlib.contextmanager
def patience(writer: RunWriter, reporter: Reporter) -> Iterator[PatientWriter]:
    """Let what cannot be written wait, at the latest until the end.

    Raises:
        StorageError: if it still cannot be written then.
    """
    patient = PatientWriter(writer, reporter.note)
    try:
        yield patient
    except Exception:
        with contextlib.suppress(OSError, RetroGamerError):  # told already, and the error is the news
            patient.finish()
        raise
    try:
        patient.finish()
    except OSError as error:
        raise StorageError(
            f"the last of the run could not be written: {error.strerror or error} ({error.filename or 'a file'})."
            "\nEverything written before is whole. Make room, then go on from there: --resume latest"
        ) from error
    except RetroGamerError as error:
        raise StorageError(
            f"the checkpoint is written, the characters it has learned are not: {error}\n"
            "Mend that, then go on from there: --resume latest"
        ) from error
