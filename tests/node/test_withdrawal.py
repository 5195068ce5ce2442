"""Who is taken off a list here is no pair with us at the relay either."""

from __future__ import annotations

import asyncio

import pytest

from peerup.config import authorized_keys
from peerup.config.schema import Vouching
from peerup.node.acquaintance import keys_file_of
from peerup.node.withdrawal import SETTLE_S
from tests.node.pairing_town import InPairingTown, PairingTown
from tests.world import peer_of, until

HOME, LAPTOP = peer_of("home"), peer_of("laptop")


def remove(town: PairingTown, machine: str, other: str) -> None:
    """What `peerup auth remove` does."""
    assert authorized_keys.remove(keys_file_of(town.config(machine)), peer_of(other))


@pytest.mark.parametrize(("who", "other"), [("home", "laptop"), ("laptop", "home")])
def test_a_running_daemon_of_either_side_takes_it_back_within_two_seconds(
    in_pairing_town: InPairingTown, who: str, other: str
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        await town.pair()
        node = await town.daemon(who)
        await until(lambda: node.relays and node.relays.held)
        remove(town, who, other)
        async with asyncio.timeout(2):
            await until(lambda: not town.pairs)

    in_pairing_town(main)


def test_what_was_changed_while_nothing_ran_is_made_up_for(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        await town.pair()
        remove(town, "home", "laptop")
        home = await town.daemon("home")
        await until(lambda: home.relays and home.relays.held)
        await asyncio.sleep(SETTLE_S - 5)
        assert town.pairs  # it might be a pairing under way
        await asyncio.sleep(10)
        assert not town.pairs

    in_pairing_town(main)


def test_a_pairing_under_way_is_not_taken_back(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        await town.pair()
        remove(town, "home", "laptop")
        home = await town.daemon("home")
        await until(lambda: home.relays and home.relays.held)
        await asyncio.sleep(SETTLE_S / 2)
        authorized_keys.add(keys_file_of(town.config("home")), LAPTOP, "laptop")
        await asyncio.sleep(2 * SETTLE_S)
        assert town.pairs

    in_pairing_town(main)


def test_who_is_listed_stays(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        await town.pair()
        await town.pair("phone")
        home, laptop = await town.daemon("home"), await town.daemon("laptop")
        await until(lambda: home.relays and home.relays.held)
        await until(lambda: laptop.relays and laptop.relays.held)
        remove(town, "home", "phone")
        await asyncio.sleep(3 * SETTLE_S)
        assert {pair.guest for pair in town.pairs} == {LAPTOP}

    in_pairing_town(main)


def test_a_relay_that_does_not_vouch_is_not_asked(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "laptop", vouching=Vouching(enabled=False))
        await town.pair()
        home = await town.daemon("home")
        await until(lambda: home.relays and home.relays.held)
        remove(town, "home", "laptop")
        await asyncio.sleep(3 * SETTLE_S)
        assert home.relays is not None
        assert home.relays.held

    in_pairing_town(main)
