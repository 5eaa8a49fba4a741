from __future__ import annotations

import numpy as np

from retro_gamer.replay.transitions import TransitionRing, Transitions


def _append(ring: TransitionRing, first: list[int], next: list[int]) -> None:
    count = len(first)
    new = Transitions(
        first=np.array(first, np.int64),
        next=np.array(next, np.int64),
        action=np.arange(count, dtype=np.uint16),
        returns=np.arange(count, dtype=np.float32),
        discounts=np.zeros(count, np.float32),
    )
    ring.append(new, new.first.astype(np.int32), new.next.astype(np.int32))


def test_the_oldest_give_way_when_it_is_full() -> None:
    ring = TransitionRing(5)
    _append(ring, [0, 1, 2], [1, 2, 3])
    _append(ring, [4, 5, 6], [5, 6, 7])
    ring.evict(oldest_row=0)
    assert (len(ring), ring.oldest, ring.added, ring.lowest_row) == (5, 1, 6, 1)
    assert ring.ids(ring.slots(1, 6)).tolist() == [1, 2, 3, 4, 5]


def test_more_than_it_holds_leaves_the_last() -> None:
    ring = TransitionRing(3)
    _append(ring, list(range(8)), list(range(1, 9)))
    ring.evict(oldest_row=0)
    assert (len(ring), ring.oldest, ring.lowest_row) == (3, 5, 5)
    assert ring.first[ring.slots(5, 8)].tolist() == [5, 6, 7]


def test_an_overwritten_row_takes_along_every_transition_up_to_the_last_that_needs_it() -> None:
    ring = TransitionRing(10)
    # Two games in turns: the transition of row 0 that comes third keeps the older two from staying.
    _append(ring, [4, 5, 0, 6], [5, 6, 1, 7])
    ring.evict(oldest_row=0)
    assert len(ring) == 4
    ring.evict(oldest_row=1)
    assert (ring.oldest, len(ring), ring.lowest_row) == (3, 1, 6)
    ring.evict(oldest_row=7)
    assert (len(ring), ring.lowest_row) == (0, None)


def test_after_a_restart_ids_go_on_from_there() -> None:
    ring = TransitionRing(4)
    _append(ring, [0], [1])
    ring.restart(100)
    assert len(ring) == 0
    _append(ring, [2, 3], [3, 4])
    ring.evict(oldest_row=0)
    assert (ring.oldest, ring.added) == (100, 102)
