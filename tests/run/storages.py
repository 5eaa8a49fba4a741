"""Storages that fail for a while, and runs that are copied to them."""

from __future__ import annotations

from pathlib import Path

from moto.server import ThreadedMotoServer

from retro_gamer.errors import ClusterError
from retro_gamer.run.mirror import Storage

SECRET = "a-secret-of-the-test"


class S3Server:
    """A server of the S3 protocol that can be stopped and started again, its objects kept."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, self.port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{self.port}"

    def stop(self) -> None:
        self._server.stop()

    def start_again(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()


class FailingStorage(Storage):
    """A folder that refuses so many writes, then takes everything; it may keep what it has."""

    def __init__(self, uri: str, refusals: int, removals_refused: int = 0) -> None:
        super().__init__(uri)
        self.refusals = refusals
        self.removals_refused = removals_refused

    def remove(self, name: str) -> None:
        if self.removals_refused > 0:
            self.removals_refused -= 1
            raise ClusterError("the storage denies access")
        super().remove(name)

    def write(self, name: str, data: bytes) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise ClusterError("the storage fails: no answer")
        super().write(name, data)


def make_run(folder: Path) -> Path:
    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.toml").write_text("config")
    (run / "training.log").write_text("one\n")
    return run


def contents(storage: Storage, *names: str) -> list[bytes | None]:
    return [storage.read(name) for name in names]
