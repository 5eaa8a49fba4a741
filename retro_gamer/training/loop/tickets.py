"""Tickets: every episode of a run is played once, whoever is lost on the way."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class EpisodeTickets:
    """Hands out the numbers first..last, each until its episode is completed, lowest first.

    A ticket is in one of three places: waiting here, held by an actor, or completed.
    """

    def __init__(self, first: int, last: int) -> None:
        self._fresh = first
        self._last = last
        self._returned: list[int] = []
        self._held: dict[int, set[int]] = {}

    @property
    def n_waiting(self) -> int:
        """Tickets nobody holds."""
        return self._last - self._fresh + 1 + len(self._returned)

    @property
    def n_held(self) -> int:
        """Tickets that actors hold."""
        return sum(len(tickets) for tickets in self._held.values())

    def held_by(self, actor: int) -> frozenset[int]:
        """Return the tickets `actor` holds."""
        return frozenset(self._held.get(actor, ()))

    def hand_out(self, actor: int, count: int) -> tuple[int, ...]:
        """Return up to `count` tickets, now held by `actor`."""
        tickets: list[int] = []
        while len(tickets) < count and self.n_waiting:
            if self._returned:
                tickets.append(heapq.heappop(self._returned))
            else:
                tickets.append(self._fresh)
                self._fresh += 1
        self._held.setdefault(actor, set()).update(tickets)
        return tuple(tickets)

    def take_back(self, actor: int, tickets: Iterable[int]) -> None:
        """Take unused tickets back from `actor`, to be handed out again; one it does not hold is somewhere else."""
        held = self._held.get(actor, set())
        for ticket in held.intersection(tickets):
            held.remove(ticket)
            heapq.heappush(self._returned, ticket)

    def complete(self, actor: int, ticket: int) -> bool:
        """Note that the episode of a ticket is over; return False if `actor` does not hold it, so that it is not."""
        held = self._held.get(actor, set())
        if ticket not in held:
            return False
        held.remove(ticket)
        return True

    def lose(self, actor: int) -> int:
        """Take back everything a lost actor held; return how many tickets that were."""
        tickets = self._held.pop(actor, set())
        for ticket in tickets:
            heapq.heappush(self._returned, ticket)
        return len(tickets)
