"""The memory that a run will take, said before it takes it."""

from __future__ import annotations

from retro_gamer.training.machine import available_bytes
from retro_gamer.training.planning.run_spec import Work

GIGABYTE = 1e9
MUCH_BYTES = GIGABYTE
LARGE_SHARE = 0.5
ADVISED_SHARE = 0.25


def foresee_need(work: Work) -> list[str]:
    """Return a warning if the replay memory will take much of what is free on this machine, else nothing."""
    need = work.make_replay(0).memory_bytes  # nothing of it is taken before it is filled
    free = available_bytes()
    if need < MUCH_BYTES and (free is None or need < LARGE_SHARE * free):
        return []
    capacity = work.settings.memory_capacity
    text = (
        f"The replay memory will take {need / GIGABYTE:.1f} GB once it is full: memory_capacity = {capacity} "
        f"experiences of a board of {work.spec.width}x{work.spec.height} cells."
    )
    if free is None:
        return [text]
    text += f" {free / GIGABYTE:.1f} GB are free here."
    if need >= LARGE_SHARE * free:
        fitting = max(work.settings.batch_size, int(capacity * ADVISED_SHARE * free / need))
        text += f" Try memory_capacity = {fitting}, or memory may run out."
    return [text]
