"""Throughput on paper: from the service time of each role to the turns a second of any number of actors.

Turns pass through four stations, and at a tied ratio of `train_every` turns an update the slowest sets the pace:

- actors: n / t, with t seconds a turn and each actor on a core of its own;
- learner: train_every / u, with u seconds an update;
- replay, one process: 1 / (push a turn + (sample + priorities a batch) / train_every);
- object store of the learner's node: its bytes a second over the bytes a turn brings in and a batch takes out.

The model knows no queueing: it is an upper bound that the stations reach when each has work waiting.
"""

from __future__ import annotations

import dataclasses

ACTOR_COUNTS = (1, 2, 4, 16, 64, 256)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stations:
    """Service times in seconds, sizes in bytes, of one game at one reuse."""

    turn_seconds: float
    update_seconds: float
    push_seconds_per_turn: float
    batch_seconds: float
    """Sampling a batch and taking its priorities back, in replay."""
    bytes_per_turn: float
    bytes_per_batch: float
    store_bytes_per_second: float
    train_every: int

    @property
    def limits(self) -> dict[str, float]:
        """Turns a second that each station but the actors can pass, by name."""
        per_turn = 1 / self.train_every
        return {
            "learner": self.train_every / self.update_seconds,
            "replay": 1 / (self.push_seconds_per_turn + self.batch_seconds * per_turn),
            "object store": self.store_bytes_per_second / (self.bytes_per_turn + self.bytes_per_batch * per_turn),
        }

    def throughput(self, n_actors: int) -> tuple[float, str]:
        """Return turns a second with `n_actors` actors, and the station that limits them."""
        stations = {"actors": n_actors / self.turn_seconds, **self.limits}
        slowest = min(stations, key=lambda name: stations[name])
        return stations[slowest], slowest

    def order_of_saturation(self) -> list[tuple[str, float, float]]:
        """Return each station, its turns a second and the actors that fill it, the first to fill first."""
        return sorted(
            ((name, limit, limit * self.turn_seconds) for name, limit in self.limits.items()), key=lambda s: s[1]
        )
