"""Pairing that goes wrong: bad codes, relays that do not vouch, doors that stay shut."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from peerup.config.schema import Resources, Vouching
from peerup.errors import (
    ConfigError,
    DialError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
)
from peerup.node.presence import IdentityInUseError, presence
from peerup.protocols import pairing
from peerup.wire.invite import Invite, decode, encode
from peerup.wire.multiaddr import Multiaddr
from tests.node.pairing_town import RELAY_ADDR, TTL, InPairingTown, PairingTown
from tests.world import peer_of, until

HOME, LAPTOP, RELAY = peer_of("home"), peer_of("laptop"), peer_of("relay")

# --- codes that are no good -----------------------------------------------------------


def test_an_invite_ends_in_time(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting(ttl=60) as inviting:
            began = asyncio.get_running_loop().time()
            with pytest.raises(TimeoutError, match="expired; nobody joined"):
                await inviting.joined()
            assert asyncio.get_running_loop().time() - began == pytest.approx(60, abs=1)
            with pytest.raises(PeerupError) as caught:
                await town.join("laptop", inviting.code)
            assert caught.value.exit_code in {3, 4}
        assert town.listed("home") == town.listed("laptop") == {}

    in_pairing_town(main)


def altered(code: str, **changes: Any) -> str:
    invite = decode(code)
    fields = {name: getattr(invite, name) for name in Invite.__slots__}
    return encode(Invite(**(fields | changes)))


def test_w14_a_slip_in_the_token_is_told_from_a_relay_that_does_not_know_us(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            with pytest.raises(NotAuthorizedError, match="no invite with this code") as caught:
                await town.join("laptop", altered(inviting.code, token=bytes(8)))
            assert "slip" in caught.value.hint
            with pytest.raises(NotAuthorizedError, match="no invite with this code"):
                await town.join("laptop", altered(inviting.code, inviter=peer_of("other")))
            elsewhere = RELAY_ADDR.without_peer().with_peer(peer_of("other"))
            with pytest.raises(PeerupError, match="expected peer"):
                await town.join("laptop", altered(inviting.code, relay=elsewhere))
            assert town.listed("laptop") == {}

    in_pairing_town(main)


def test_the_code_of_this_very_machine_is_pointed_out(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            with pytest.raises(ConfigError, match="this machine's own"):
                await town.join("home", inviting.code)

    in_pairing_town(main)


@pytest.mark.parametrize("guesser", ["laptop", "stranger"])
def test_w08_a_peer_of_the_relay_that_guesses_ends_the_invite(
    in_pairing_town: InPairingTown, guesser: str
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "laptop")  # who needs no ticket
        async with town.inviting() as inviting:
            wrong = altered(inviting.code, token=bytes(8))
            for _ in range(3):
                with pytest.raises(NotAuthorizedError):
                    await town.join(guesser, wrong)
            if guesser == "laptop":
                with pytest.raises(PeerupError, match="3 wrong codes"):
                    await inviting.joined()
            else:  # did not even get to the inviter
                await town.join("laptop", inviting.code)

    in_pairing_town(main)


# --- a relay that does not vouch ------------------------------------------------------

OFF: Final = Vouching(enabled=False)


def test_a_relay_without_vouching_pairs_those_that_it_knows(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "laptop", vouching=OFF)
        async with town.inviting() as inviting:
            assert not inviting.vouched
            assert (await town.join("laptop", inviting.code)).fresh
            await inviting.joined()
        assert not (await town.join("laptop", inviting.code)).fresh
        assert town.pairs == frozenset()

    in_pairing_town(main)


def test_w10_what_the_operator_has_to_type_is_in_the_error(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", vouching=OFF)
        async with town.inviting() as inviting:
            with pytest.raises(NotAuthorizedError) as caught:
                await town.join("laptop", inviting.code)
            assert f"peerup relay authorize {LAPTOP}" in caught.value.hint
            assert caught.value.exit_code == 4
            town.authorize("home", "laptop")
            await town.join("laptop", inviting.code)

    in_pairing_town(main)


def test_an_open_relay_pairs_anybody(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay(gating=False)
        assert (await town.pair()).name == "home"
        assert town.pairs == frozenset()

    in_pairing_town(main)


def test_a_relay_with_no_room_for_guests_says_so_before_there_is_a_code(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", vouching=Vouching(max_per_peer=1))
        await town.pair()
        with pytest.raises(RelayRefusedError, match="FULL") as caught:
            await town.inviting().__aenter__()
        assert "max_per_peer" in caught.value.hint

    in_pairing_town(main)


# --- the inviter's door ---------------------------------------------------------------


def test_while_an_invite_is_open_callers_get_the_pairing_protocol_alone(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "laptop")
        async with town.inviting() as inviting:
            assert inviting.vouched
            laptop = await town.daemon("laptop", serving=False)
            home = await laptop.connect(HOME)
            for protocol in ("/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/peerup/web/1.0.0"):
                with pytest.raises(NotAuthorizedError):
                    await laptop.host.open_stream_on(home, protocol, allow_limited=True)
            await laptop.host.open_stream_on(home, pairing.PROTOCOL, allow_limited=True)

    in_pairing_town(main)


def test_w09_an_invite_does_not_wait_beside_a_daemon(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        key_file = town.config("home").identity.key_file
        with presence(key_file), pytest.raises(IdentityInUseError):
            await town.inviting().__aenter__()
        async with town.inviting() as inviting:
            with pytest.raises(IdentityInUseError):
                await town.daemon("home")
            assert inviting.code
        assert await town.daemon("home")

    in_pairing_town(main)


@pytest.mark.parametrize(
    "relay",
    [
        None,
        Multiaddr.parse("/ip6/2001:db8::1/tcp/7777").with_peer(RELAY),
        Multiaddr.parse("/ip4/192.0.2.1/udp/7777/quic-v1").with_peer(RELAY),
    ],
)
def test_without_a_relay_that_fits_into_a_code_there_is_no_invite(
    tmp_path: Path, relay: Multiaddr | None
) -> None:
    town = PairingTown(tmp_path)
    town.config("home", relay=relay)
    with pytest.raises(ConfigError) as caught:
        town.inviting()
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_w11_the_relay_of_the_code_is_added_to_a_configuration_that_has_another(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        other = Multiaddr.parse("/ip4/192.0.2.99/tcp/7777").with_peer(peer_of("other"))
        town.config("laptop", relay=other)
        await town.pair()
        assert town.config("laptop").relay.addresses == (other, RELAY_ADDR)

    in_pairing_town(main)


def test_nothing_is_written_when_the_list_cannot_be_used(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            keys = town.config("laptop").security.authorized_keys_file
            assert keys is not None
            keys.write_text("not a peer\n")
            with pytest.raises(ConfigError, match="line 1"):
                await town.join("laptop", inviting.code)
            keys.write_text("")
            await town.join("laptop", inviting.code)
            await inviting.joined()
        assert town.names("laptop") == {"home": HOME}

    in_pairing_town(main)


def test_times_are_those_of_the_invite(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            await asyncio.sleep(TTL - 1)
            assert (await town.join("laptop", inviting.code)).peer == HOME

    in_pairing_town(main)


def test_a_guest_that_invites_is_told_what_its_relay_needs(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        await town.pair()
        with pytest.raises(RelayRefusedError, match="PERMISSION_DENIED") as caught:
            await town.inviting("laptop").__aenter__()
        assert f"peerup relay authorize {LAPTOP}" in caught.value.hint

    in_pairing_town(main)


def test_a_configuration_without_a_relay_gets_that_of_the_code(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        town.config("laptop", relay=None)
        await town.pair()
        assert town.config("laptop").relay.addresses == (RELAY_ADDR,)

    in_pairing_town(main)


def test_w02_a_relay_that_is_full_is_an_error_with_the_cure(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "other", resources=Resources(max_reservations=1))
        other = await town.daemon("other")
        await until(lambda: other.relays and other.relays.held)
        with pytest.raises(RelayRefusedError, match="RESERVATION_REFUSED") as caught:
            await town.inviting().__aenter__()
        assert "max_reservations" in caught.value.hint

    in_pairing_town(main)


def test_w14_a_relay_that_is_not_there_may_be_a_slip_in_the_code(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        elsewhere = Multiaddr.parse("/ip4/192.0.2.200/tcp/1").with_peer(RELAY)
        with pytest.raises(DialError) as caught:
            await town.join("laptop", encode(Invite(bytes(8), elsewhere, HOME)))
        assert "slip" in caught.value.hint

    in_pairing_town(main)


def test_who_joins_by_another_program_is_no_reason_to_open_the_relay(
    in_pairing_town: InPairingTown,
) -> None:
    """A joiner that cannot show a ticket, as that of Go, gets no further than the relay's door."""

    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            stranger = await town.daemon("laptop", serving=False)
            with pytest.raises((NotAuthorizedError, DialError)):
                await stranger.connect(HOME)
            town.authorize("home", "laptop")
            assert (await town.join("laptop", inviting.code)).peer == HOME

    in_pairing_town(main)
