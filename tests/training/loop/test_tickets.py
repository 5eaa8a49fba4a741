from __future__ import annotations

import numpy as np
import pytest

from retro_gamer.training.loop.tickets import EpisodeTickets


def test_tickets_are_handed_out_lowest_first_and_returned_ones_before_fresh_ones() -> None:
    office = EpisodeTickets(5, 12)
    assert office.hand_out(0, 3) == (5, 6, 7)
    assert office.hand_out(1, 2) == (8, 9)
    office.take_back(0, (7, 6))
    assert office.held_by(0) == {5}
    assert office.n_waiting == 5
    assert office.hand_out(1, 4) == (6, 7, 10, 11)
    assert office.hand_out(0, 9) == (12,)
    assert office.hand_out(0, 9) == ()
    assert (office.n_waiting, office.n_held) == (0, 8)


def test_what_a_lost_actor_held_is_handed_out_again() -> None:
    office = EpisodeTickets(1, 6)
    office.hand_out(0, 2)
    office.hand_out(1, 3)
    assert office.complete(1, 4)
    assert office.lose(1) == 2
    assert office.lose(1) == 0
    assert office.hand_out(0, 9) == (3, 5, 6)


@pytest.mark.parametrize("ticket", [1, 2, 5])
def test_an_episode_whose_ticket_the_actor_does_not_hold_is_none(ticket: int) -> None:
    office = EpisodeTickets(1, 4)
    office.hand_out(0, 1)
    office.hand_out(1, 1)
    assert office.complete(0, 1)
    assert not office.complete(0, ticket)
    assert not office.complete(7, ticket)
    office.take_back(0, (ticket,))
    assert (office.n_waiting, office.n_held) == (2, 1)


def test_an_office_whose_run_is_over_hands_out_nothing() -> None:
    office = EpisodeTickets(11, 10)
    assert office.n_waiting == 0
    assert office.hand_out(0, 3) == ()


def test_every_ticket_is_completed_once_whatever_happens() -> None:
    random = np.random.default_rng(0)
    office = EpisodeTickets(1, 200)
    completed: list[int] = []
    while len(completed) < 200:
        actor = int(random.integers(3))
        office.hand_out(actor, int(random.integers(0, 6)))
        held = sorted(office.held_by(actor))
        match random.integers(4):
            case 0:
                office.lose(actor)
            case 1:
                office.take_back(actor, held[::2])
            case _:
                completed += [ticket for ticket in held[:2] if office.complete(actor, ticket)]
        assert office.n_waiting + office.n_held + len(completed) == 200
    assert sorted(completed) == list(range(1, 201))
