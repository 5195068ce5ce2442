"""Pairing from code to files: who can do what afterwards, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from peerup.config.edit import add_name
from peerup.errors import (
    ConfigError,
    ConnectionClosedError,
    DialError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
)
from peerup.node.pairing import Paired
from peerup.protocols import pairing
from peerup.relay import vouch_client
from peerup.wire.invite import decode
from tests.node.pairing_town import RELAY_ADDR, InPairingTown, PairingTown
from tests.world import peer_of, until

HOME, LAPTOP, RELAY = peer_of("home"), peer_of("laptop"), peer_of("relay")

# --- what pairing is for --------------------------------------------------------------


def test_w10_a_machine_that_the_relay_has_never_heard_of_pairs_through_it(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        joined = await town.pair()
        assert joined == Paired(HOME, "home")
        assert town.listed("home") == {LAPTOP: "laptop"}
        assert town.listed("laptop") == {HOME: "home"}
        assert town.names("home") == {"laptop": LAPTOP}
        assert town.names("laptop") == {"home": HOME}
        assert [(pair.voucher, pair.guest) for pair in town.pairs] == [(HOME, LAPTOP)]
        assert "laptop" not in (town.folder / "relay_authorized_keys").read_text()

    in_pairing_town(main)


def test_afterwards_they_reach_each_other_whatever_is_restarted(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "other")
        await town.pair()
        home = await town.daemon("home")
        laptop = await town.daemon("laptop")
        await until(lambda: home.relays and home.relays.held)
        await until(lambda: laptop.relays and laptop.relays.held)
        assert not (await home.connect(LAPTOP)).limited
        await town.stop_relay()
        await town.start_relay("home", "other")
        await until(lambda: home.relays and home.relays.held, within=60)
        assert (await town.dial("laptop", "home")).peer == HOME
        town.config("other")
        with pytest.raises(DialError, match=r"PERMISSION_DENIED|NO_RESERVATION"):
            await town.dial("other", "laptop")

    in_pairing_town(main)


def test_w02_the_code_is_there_when_the_relay_has_given_a_place(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            assert town.relay.vouch is not None
            assert town.relay.vouch.vouching.inviters == {HOME}
            invite = decode(inviting.code)
            assert (invite.relay, invite.inviter, invite.network) == (RELAY_ADDR, HOME, "")
            assert inviting.vouched
        async with asyncio.timeout(2):
            await until(lambda: not town.relay.vouch.vouching.inviters)  # type: ignore[union-attr]

    in_pairing_town(main)


def test_w02_a_relay_that_refuses_is_an_error_with_the_cure(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("other")
        with pytest.raises(NotAuthorizedError) as caught:
            await town.inviting().__aenter__()
        assert f"peerup relay authorize {HOME}" in caught.value.hint
        town.authorize("other", "home")
        async with town.inviting() as inviting:  # nothing of the first try is left
            assert inviting.code

    in_pairing_town(main)


def test_w02_a_relay_that_is_not_there_is_an_error(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        with pytest.raises(DialError):
            await town.inviting().__aenter__()

    in_pairing_town(main)


# --- again, and at once ---------------------------------------------------------------


def test_joining_again_with_the_same_code_changes_nothing(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            code = inviting.code
            first = await town.join("laptop", code)
            await inviting.joined()
            before = town.listed("home"), town.names("home"), town.pairs
            assert await town.join("laptop", code) == first
        again = await town.join("laptop", code)  # home waits no longer
        assert again == Paired(HOME, "home", fresh=False)
        assert (town.listed("home"), town.names("home"), town.pairs) == before
        assert town.names("laptop") == {"home": HOME}

    in_pairing_town(main)


def test_w04_pairing_once_more_makes_no_second_name(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        for _ in range(3):
            await town.pair()
        assert town.names("laptop") == {"home": HOME}
        assert town.names("home") == {"laptop": LAPTOP}
        assert town.listed("home") == {LAPTOP: "laptop"}

    in_pairing_town(main)


def test_w04_a_name_that_another_peer_has_is_left_to_it(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        add_name(town.config("laptop").path, "home", peer_of("my old home"))
        add_name(town.config("home").path, "laptop", peer_of("my old laptop"))
        assert (await town.pair()).name == "home-2"
        assert town.names("laptop") == {"home": peer_of("my old home"), "home-2": HOME}
        assert town.names("home")["laptop-2"] == LAPTOP
        assert (await town.pair()).name == "home-2"

    in_pairing_town(main)


def test_of_two_joiners_at_once_one_gets_in_and_the_other_is_told(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        results: dict[str, object] = {}
        for name in ("laptop", "phone"):
            town.config(name)

        async def attempt(name: str, code: str) -> None:
            try:
                results[name] = await town.join(name, code)
            except PeerupError as why:
                results[name] = why

        async with town.inviting() as inviting:
            async with asyncio.TaskGroup() as group:
                for name in ("laptop", "phone"):
                    group.create_task(attempt(name, inviting.code))
            winner = (await inviting.joined()).peer
        refused = [why for why in results.values() if isinstance(why, NotAuthorizedError)]
        assert len(refused) == 1
        assert set(town.listed("home")) == {winner}
        assert {pair.guest for pair in town.pairs} == {winner}

    in_pairing_town(main)


# --- one of them dies -----------------------------------------------------------------


def test_a_joiner_that_dies_before_it_wrote_anything_can_join_again(
    in_pairing_town: InPairingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            with monkeypatch.context() as patch:
                patch.setattr(pairing, "Joiner", dying)
                with pytest.raises(ConfigError):
                    await town.join("laptop", inviting.code)
            assert town.listed("laptop") == {}
            await town.join("laptop", inviting.code)
            await inviting.joined()
        assert town.listed("home") == {LAPTOP: "laptop"}
        assert town.listed("laptop") == {HOME: "home"}

    def dying(*args: object, **kw: object) -> None:
        raise ConfigError("killed")

    in_pairing_town(main)


def test_an_inviter_that_was_gone_before_the_joiner_wrote_is_joined_on_the_relays_word(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            code = inviting.code
            await town.join("laptop", code)
            await inviting.joined()
        config = town.config("laptop")
        assert config.security.authorized_keys_file is not None
        config.security.authorized_keys_file.write_text("")  # as if it had died before
        joined = await town.join("laptop", code)
        assert joined == Paired(HOME, "home", fresh=False)
        assert set(town.listed("laptop")) == {HOME}

    in_pairing_town(main)


def test_an_inviter_that_dies_leaves_a_code_that_says_so(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "laptop")
        async with town.inviting() as inviting:
            code = inviting.code
        with pytest.raises(RelayRefusedError, match="does not wait for anybody") as caught:
            await town.join("laptop", code)
        assert "peerup invite" in caught.value.hint
        assert caught.value.exit_code == 3
        assert town.listed("laptop") == {}

    in_pairing_town(main)


def test_a_relay_that_restarts_hears_of_the_invite_again(in_pairing_town: InPairingTown) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting() as inviting:
            await town.stop_relay()
            await asyncio.sleep(5)
            await town.start_relay("home")
            await asyncio.sleep(10)
            assert (await town.join("laptop", inviting.code)).peer == HOME

    in_pairing_town(main)


def test_the_place_is_kept_for_as_long_as_the_invite_is_open(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting(ttl=20_000) as inviting:
            await asyncio.sleep(19_000)
            assert (await town.join("laptop", inviting.code)).peer == HOME

    in_pairing_town(main)


def test_a_relay_that_dies_as_soon_as_it_has_saved_the_pair(
    in_pairing_town: InPairingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        confirm = vouch_client.confirm

        async def dying(*args: Any) -> None:
            await confirm(*args)
            await town.stop_relay()
            raise ConnectionClosedError("killed")

        async with town.inviting() as inviting:
            with monkeypatch.context() as patch:
                patch.setattr(vouch_client, "confirm", dying)
                with pytest.raises((PeerupError, TimeoutError)):
                    await town.join("laptop", inviting.code)
            assert len(town.pairs) == 1
            assert town.listed("laptop") == {}
            await town.start_relay("home")
            await asyncio.sleep(10)
            assert await town.join("laptop", inviting.code) == Paired(HOME, "home")
            await inviting.joined()
        assert town.listed("home") == {LAPTOP: "laptop"}
        assert len(town.pairs) == 1

    in_pairing_town(main)


@pytest.mark.parametrize(
    "said", ["../../x", "a: b\n  admin: true", "x" * 10_000, "\u202egnp", "\x1b[31mred", "", "null"]
)
def test_w08_what_a_machine_calls_itself_breaks_nothing(
    in_pairing_town: InPairingTown, said: str
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home")
        async with town.inviting(name=said) as inviting:
            here = await town.join("laptop", inviting.code, name=said)
            there = await inviting.joined()
        assert town.names("home") == {there.name: LAPTOP}
        assert town.names("laptop") == {here.name: HOME}
        for name in (here.name, there.name):
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name)

    in_pairing_town(main)


def test_an_inviter_that_the_relay_drops_takes_its_guests_along_for_good(
    in_pairing_town: InPairingTown,
) -> None:
    async def main(town: PairingTown) -> None:
        await town.start_relay("home", "other")
        await town.pair()
        laptop = await town.daemon("laptop")
        await until(lambda: laptop.relays and laptop.relays.held)
        town.authorize("other")
        async with asyncio.timeout(2):
            await until(lambda: not town.pairs)
            await until(lambda: not town.relay.host.connections.of(LAPTOP))
        town.authorize("home", "other")
        await asyncio.sleep(60)
        assert laptop.relays is not None
        assert not laptop.relays.held

    in_pairing_town(main)
