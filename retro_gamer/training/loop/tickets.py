"""Tickets: every episode of a run is completed once, whichever actors are lost."""

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
        """Tickets that no actor holds."""
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
        """Take unused tickets back from `actor`, to be handed out again; ignore tickets that it does not hold."""
        held = self._held.get(actor, set())
        for ticket in held.intersection(tickets):
            held.remove(ticket)
            heapq.heappush(self._returned, ticket)

    def complete(self, actor: int, ticket: int) -> bool:
        """Complete the episode of a ticket; return False, and do nothing, if `actor` does not hold it."""
        held = self._held.get(actor, set())
        if ticket not in held:
            return False
        held.remove(ticket)
        return True

    def lose(self, actor: int) -> int:
        """Take back the tickets of a lost actor and return how many there were."""
        tickets = self._held.pop(actor, set())
        for ticket in tickets:
            heapq.heappush(self._returned, ticket)
        return len(tickets)
