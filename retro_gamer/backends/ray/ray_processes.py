"""The processes of a local Ray: whether they still run, and which signals and messages of theirs are kept away."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import ray

from retro_gamer.training.loop.backend import EngineLostError

_NEEDED = ("raylet", "gcs_server")


class RayProcesses:
    """The processes that this process's own Ray needs; none on a cluster, where the supervisor replaces the learner."""

    def __init__(self) -> None:
        node: Any = ray._private.worker._global_node
        started = node.all_processes if node is not None else {}
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = [
            (name, info.process) for name in _NEEDED for info in started.get(name, ())
        ]

    def find_loss(self) -> str | None:
        """Return how a process ended, in words, or None if all still run."""
        for name, process in self._processes:
            if process.poll() is None and not _is_ending(process.pid):
                continue
            status = process.wait()
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
            return f"{name}, a process of Ray, {how}"
        return None

    def check(self) -> None:
        """Check that all still run. Call it before any other call of Ray, which could end this process.

        Raises:
            EngineLostError: naming the process that ended.
        """
        loss = self.find_loss()
        if loss is not None:
            raise EngineLostError(
                f"{loss}, so training cannot continue.\n"
                "If memory ran out, lower memory_capacity or train with fewer --actors. Resume: --resume latest"
            )


def _is_ending(pid: int) -> bool:
    """Return whether Linux has taken the memory of a process: it closes sockets only after that.

    Ray's C++ code ends our own process without a word when it uses such a socket, and a dead process can only be waited
    for some milliseconds later.
    """
    try:
        os.readlink(f"/proc/{pid}/exe")
    except FileNotFoundError:
        return os.path.exists("/proc/self/exe")
    except OSError:
        pass
    return False


@contextlib.contextmanager
def ray_messages_discarded() -> Iterator[None]:
    """Discard what Ray prints by itself until the end of the block: forty lines of its log when a process ends."""
    worker: Any = ray._private.worker
    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *given, **named: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before
