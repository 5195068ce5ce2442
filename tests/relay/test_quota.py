from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.relay.quota import MAX_METERED, REQUEST_BURST, REQUESTS_PER_S, Quota, RelayLimits
from peerup.wire.circuit import Status
from peerup.wire.multihash import sha2_256
from peerup.wire.peer_id import PeerId
from tests.world import peer_of

HOME, LAPTOP = peer_of("home"), peer_of("laptop")
NOW = 1000.0
HOUR = 3600.0


def stranger(number: int) -> PeerId:
    return PeerId.from_bytes(sha2_256(number.to_bytes(4, "big")))


# --- places ---------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_go_program() -> None:
    limits = RelayLimits()
    assert (limits.reservations, limits.reservations_per_ip) == (128, 8)
    assert (limits.circuits_per_peer, limits.ttl) == (16, HOUR)


def test_a_place_is_held_for_as_long_as_was_said() -> None:
    quota = Quota(RelayLimits(ttl=HOUR))
    assert not quota.holds(HOME, NOW)
    assert quota.reserve(HOME, "192.0.2.1", NOW) is Status.OK
    assert quota.holds(HOME, NOW + HOUR - 1)
    assert not quota.holds(HOME, NOW + HOUR)


def test_asking_again_prolongs_a_place_and_takes_no_second_one() -> None:
    quota = Quota(RelayLimits(reservations=1, reservations_per_ip=1))
    quota.reserve(HOME, "192.0.2.1", NOW)
    assert quota.reserve(HOME, "192.0.2.1", NOW + 1800) is Status.OK
    assert len(quota) == 1
    assert quota.holds(HOME, NOW + 1800 + HOUR - 1)


def test_whoever_holds_a_place_keeps_it_from_another_address() -> None:
    quota = Quota(RelayLimits(reservations_per_ip=1))
    quota.reserve(LAPTOP, "198.51.100.2", NOW)
    quota.reserve(HOME, "192.0.2.1", NOW)
    assert quota.reserve(HOME, "198.51.100.2", NOW) is Status.OK
    assert quota.reserve(stranger(1), "192.0.2.1", NOW) is Status.OK  # which it has left


def test_there_are_so_many_places() -> None:
    quota = Quota(RelayLimits(reservations=2))
    for number in range(2):
        assert quota.reserve(stranger(number), f"192.0.2.{number}", NOW) is Status.OK
    assert quota.reserve(HOME, "192.0.2.9", NOW) is Status.RESERVATION_REFUSED
    assert not quota.holds(HOME, NOW)
    assert len(quota) == 2


def test_one_address_gets_so_many_places() -> None:
    quota = Quota(RelayLimits(reservations_per_ip=2))
    for number in range(2):
        quota.reserve(stranger(number), "192.0.2.1", NOW)
    assert quota.reserve(HOME, "192.0.2.1", NOW) is Status.RESERVATION_REFUSED
    assert quota.reserve(HOME, "192.0.2.2", NOW) is Status.OK


def test_places_that_ended_are_free() -> None:
    quota = Quota(RelayLimits(reservations=1, reservations_per_ip=1))
    quota.reserve(LAPTOP, "192.0.2.1", NOW)
    assert quota.reserve(HOME, "192.0.2.1", NOW + HOUR - 1) is Status.RESERVATION_REFUSED
    assert quota.reserve(HOME, "192.0.2.1", NOW + HOUR) is Status.OK


def test_places_of_peers_that_went_are_free() -> None:
    quota = Quota(RelayLimits(reservations=1))
    quota.reserve(LAPTOP, "192.0.2.1", NOW)
    quota.release(LAPTOP)
    quota.release(LAPTOP)  # twice is no harm
    assert not quota.holds(LAPTOP, NOW)
    assert quota.reserve(HOME, "192.0.2.1", NOW) is Status.OK


# --- circuits -------------------------------------------------------------------------


def test_a_circuit_needs_a_place_at_its_far_end() -> None:
    quota = Quota(RelayLimits(ttl=HOUR))
    assert quota.open_circuit(LAPTOP, HOME, NOW) is Status.NO_RESERVATION
    quota.reserve(HOME, "192.0.2.1", NOW)
    assert quota.open_circuit(LAPTOP, HOME, NOW) is Status.OK
    assert quota.open_circuit(HOME, LAPTOP, NOW) is Status.NO_RESERVATION
    assert quota.open_circuit(LAPTOP, HOME, NOW + HOUR) is Status.NO_RESERVATION


def test_a_peer_has_so_many_circuits_whichever_end_it_is() -> None:
    quota = Quota(RelayLimits(circuits_per_peer=2))
    for peer in (HOME, LAPTOP, stranger(1)):
        quota.reserve(peer, "192.0.2.1", NOW)
    assert quota.open_circuit(LAPTOP, HOME, NOW) is Status.OK
    assert quota.open_circuit(HOME, stranger(1), NOW) is Status.OK
    assert quota.open_circuit(stranger(2), HOME, NOW) is Status.RESOURCE_LIMIT_EXCEEDED
    assert quota.open_circuit(HOME, LAPTOP, NOW) is Status.RESOURCE_LIMIT_EXCEEDED
    assert quota.open_circuit(stranger(2), LAPTOP, NOW) is Status.OK
    quota.close_circuit(LAPTOP, HOME)
    assert quota.open_circuit(stranger(2), HOME, NOW) is Status.OK


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans())))
def test_the_books_of_circuits_always_balance(steps: list[tuple[int, int, bool]]) -> None:
    quota = Quota(RelayLimits(circuits_per_peer=2, reservations_per_ip=9))
    peers = [stranger(number) for number in range(4)]
    for peer in peers:
        quota.reserve(peer, "192.0.2.1", NOW)
    opened: list[tuple[PeerId, PeerId]] = []
    for one, two, opening in steps:
        if opening and one != two:
            if quota.open_circuit(peers[one], peers[two], NOW) is Status.OK:
                opened.append((peers[one], peers[two]))
        elif opened:
            quota.close_circuit(*opened.pop())
        for peer in peers:
            held = sum(peer in ends for ends in opened)
            assert held <= 2
            assert quota._circuits[peer] == held
    for ends in opened:
        quota.close_circuit(*ends)
    assert not +quota._circuits


# --- requests -------------------------------------------------------------------------


def test_a_peer_may_ask_often_for_a_moment_and_then_at_a_steady_rate() -> None:
    quota = Quota(RelayLimits())
    assert all(quota.admit_request(HOME, NOW) for _ in range(REQUEST_BURST))
    assert not quota.admit_request(HOME, NOW)
    admitted = sum(quota.admit_request(HOME, NOW + step / 1000) for step in range(1, 10_001))
    assert admitted == pytest.approx(10 * REQUESTS_PER_S, abs=1)


def test_a_peer_that_asks_too_often_takes_nothing_from_the_others() -> None:
    quota = Quota(RelayLimits())
    for _ in range(1000):
        quota.admit_request(stranger(1), NOW)
    assert not quota.admit_request(stranger(1), NOW)
    assert quota.admit_request(HOME, NOW)


def test_only_so_many_peers_are_metered() -> None:
    quota = Quota(RelayLimits())
    for number in range(MAX_METERED + 10):
        quota.admit_request(stranger(number), NOW)
    assert len(quota._tokens) == MAX_METERED


@pytest.mark.parametrize("quiet", [HOUR, 1e12])
def test_a_long_silence_earns_no_more_than_the_burst(quiet: float) -> None:
    quota = Quota(RelayLimits())
    quota.admit_request(HOME, NOW)
    later = NOW + quiet
    assert sum(quota.admit_request(HOME, later) for _ in range(100)) == REQUEST_BURST
