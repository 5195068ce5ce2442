from __future__ import annotations

from peerup.transport.limits import ByteBudget, Limits


def test_a_budget_is_spent_to_the_last_byte_and_no_further() -> None:
    budget = ByteBudget(100)
    assert budget.take(60)
    assert budget.take(40)
    assert not budget.take(1)
    assert budget.used == 100


def test_what_was_refused_is_not_counted() -> None:
    budget = ByteBudget(100)
    assert not budget.take(101)
    assert budget.take(100)


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = ByteBudget(100)
    budget.take(100)
    budget.give(30)
    assert not budget.take(31)
    assert budget.take(30)


def test_one_peer_cannot_take_what_all_have_together() -> None:
    limits = Limits()
    assert limits.connections_per_peer < limits.connections
    assert limits.handshakes_per_source < limits.handshakes
