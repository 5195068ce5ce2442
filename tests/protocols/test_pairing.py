"""Pairing between two hosts: who gets in, who does not, and what happens when one of them dies."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import (
    ConfigError,
    NotAuthorizedError,
    PeerupError,
    RemoteProtocolError,
    ResourceLimitError,
    StreamResetError,
)
from peerup.host.host import Host
from peerup.protocols.pairing import (
    EXCHANGE_TIMEOUT_S,
    FINISH_TIMEOUT_S,
    MAX_EXCHANGES,
    MAX_PER_PEER,
    MAX_WRONG,
    PROTOCOL,
    Joined,
    OpenInvite,
    join,
)
from peerup.transport.muxed import MuxedStream
from peerup.wire.invite import V1, V2
from peerup.wire.pairing import Joiner
from peerup.wire.peer_id import PeerId
from tests.world import InWorld, World, memory, peer_of, read_all, until

TOKEN: Final = bytes.fromhex("0102030405060708")
WRONG: Final = bytes.fromhex("ffffffffffffffff")
HOME, LAPTOP = peer_of("home"), peer_of("laptop")
AT: Final = 2


class Desk:
    """Home with an open invite; ``admitted`` is whom it wrote down, under which name."""

    def __init__(self, host: Host, *, version: int = V2, failing: Exception | None = None) -> None:
        self.host = host
        self.admitted: list[tuple[PeerId, str]] = []
        self.failing = failing
        self.invite = OpenInvite(TOKEN, "home", self._admit, version=version)
        host.handle(PROTOCOL, self.invite.registration)

    async def _admit(self, peer: PeerId, name: str) -> None:
        if self.failing is not None:
            raise self.failing
        self.admitted.append((peer, name))


class Guest:
    """Somebody who joins; ``committed`` is what it wrote down."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.committed: list[str] = []

    async def open(self) -> MuxedStream:
        return await self.host.open_stream(HOME, PROTOCOL, addrs=[memory(AT)])

    async def join(self, token: bytes = TOKEN, name: str = "laptop", version: int = V2) -> None:
        await join(await self.open(), token, name, self.commit, version=version)

    async def commit(self, name: str) -> None:
        self.committed.append(name)


async def drip(stream: MuxedStream, data: bytes) -> None:
    for byte in data:
        await stream.write(bytes([byte]))
        await asyncio.sleep(1.0)


async def set_out(world: World, version: int = V2, **kw: Exception) -> tuple[Desk, Guest]:
    desk = Desk(await world.host("home", at=AT), version=version, **kw)
    return desk, Guest(await world.host("laptop"))


@pytest.mark.parametrize("version", [V1, V2])
def test_both_learn_each_others_key_and_name(in_world: InWorld, version: int) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world, version)
        await guest.join(version=version)
        assert desk.admitted == [(LAPTOP, "laptop")]
        assert guest.committed == ["home"]
        assert await desk.invite.joined() == Joined(LAPTOP, "laptop")

    in_world(main)


def test_the_inviter_commits_first_and_is_done_last(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        seen: list[tuple[int, bool]] = []

        async def commit(name: str) -> None:
            await asyncio.sleep(5.0)  # slow files
            seen.append((len(desk.admitted), desk.invite.is_over))

        await join(await guest.open(), TOKEN, "laptop", commit)
        assert seen == [(1, False)]
        await desk.invite.joined()

    in_world(main)


def test_a_joiner_that_dies_before_it_has_written_may_come_again(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)

        async def die(name: str) -> None:
            raise ConfigError("the disk is full")

        with pytest.raises(ConfigError):
            await join(await guest.open(), TOKEN, "laptop", die)
        await asyncio.sleep(1.0)
        assert desk.admitted == [(LAPTOP, "laptop")]
        assert not desk.invite.is_over
        await guest.join()
        assert desk.admitted == [(LAPTOP, "laptop")] * 2
        assert (await desk.invite.joined()).peer == LAPTOP

    in_world(main)


def test_joining_again_is_answered_the_same(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        await guest.join()
        await guest.join()
        assert guest.committed == ["home", "home"]
        assert desk.invite.joiner == LAPTOP

    in_world(main)


def test_a_second_machine_is_told_that_the_code_is_used(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        other = Guest(await world.host("other"))
        await guest.join()
        with pytest.raises(NotAuthorizedError, match="used by another machine"):
            await other.join()
        assert desk.admitted == [(LAPTOP, "laptop")]
        assert other.committed == []

    in_world(main)


def test_of_two_that_come_at_once_one_gets_in(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        other = Guest(await world.host("other"))
        refused: list[PeerId] = []

        async def attempt(one: Guest) -> None:
            try:
                await one.join()
            except NotAuthorizedError:
                refused.append(one.host.peer)

        async with asyncio.TaskGroup() as group:
            group.create_task(attempt(guest))
            group.create_task(attempt(other))
        joined = await desk.invite.joined()
        assert len(desk.admitted) == 1
        assert {joined.peer, *refused} == {guest.host.peer, other.host.peer}

    in_world(main)


def test_an_inviter_that_cannot_write_says_so_and_the_joiner_writes_nothing(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world, failing=OSError(28, "No space left on device"))
        with pytest.raises(NotAuthorizedError, match="Invite rejected: server error"):
            await guest.join()
        assert guest.committed == []
        desk.failing = None
        await guest.join()
        assert guest.committed == ["home"]

    in_world(main)


# --- who does not have the code -------------------------------------------------------


def test_w08_three_wrong_codes_end_the_invite_whoever_tries(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        guests = [Guest(await world.host(f"stranger {n}")) for n in range(MAX_WRONG)]
        for one in guests:
            assert not desk.invite.is_over
            with pytest.raises(NotAuthorizedError):
                await one.join(WRONG)
        with pytest.raises(RemoteProtocolError, match="3 wrong codes") as caught:
            await desk.invite.joined()
        assert "peerup invite" in caught.value.hint
        with pytest.raises(NotAuthorizedError, match="does not accept"):
            await guest.join()  # with the right code, too
        assert desk.admitted == []

    in_world(main)


def test_w08_guesses_at_once_count_together(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, _ = await set_out(world)
        refused: list[Exception] = []

        async def guess(number: int) -> None:
            stranger = Guest(await world.host(f"stranger {number}"))
            token = TOKEN if number == last else number.to_bytes(8, "big")
            stream = await stranger.open()
            machine = Joiner(token, "x")
            try:
                await stream.write(machine.data_to_send())
                machine.receive(await stream.read())
                await gate.wait()
                await stream.write(machine.data_to_send())
                machine.receive(await stream.read())
            except PeerupError as why:
                refused.append(why)

        gate, last = asyncio.Event(), MAX_EXCHANGES - 1
        async with asyncio.TaskGroup() as group:
            for number in range(MAX_EXCHANGES):
                group.create_task(guess(number))
            await asyncio.sleep(1.0)
            gate.set()
        assert len(refused) == MAX_EXCHANGES  # also the last, which had the code
        assert desk.invite.is_over
        assert desk.admitted == []

    in_world(main)


def test_w08_a_joiner_of_version_1_is_refused_and_told_in_its_words(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        for _ in range(MAX_WRONG + 1):
            with pytest.raises(NotAuthorizedError, match="invalid token"):
                await guest.join(version=V1)
        assert not desk.invite.is_over  # nothing was guessed
        await guest.join()

    in_world(main)


def test_w08_who_says_nothing_is_not_waited_for(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        stream = await guest.open()
        await stream.write(b"\x02")
        began = world.running[0].clock()
        with pytest.raises(StreamResetError):
            await stream.read()
        assert world.running[0].clock() - began == pytest.approx(EXCHANGE_TIMEOUT_S, abs=0.5)
        assert not desk.invite.is_over

    in_world(main)


def test_w08_who_sends_a_byte_now_and_then_is_not_waited_for_either(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        _, guest = await set_out(world)
        stream = await guest.open()
        began = guest.host.clock()
        with pytest.raises(PeerupError):
            await drip(stream, Joiner(TOKEN, "x").data_to_send())
        assert guest.host.clock() - began < EXCHANGE_TIMEOUT_S + 2

    in_world(main)


def test_those_who_have_proven_nothing_are_few(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        strangers = [
            Guest(await world.host(f"stranger {n}")) for n in range(MAX_EXCHANGES // MAX_PER_PEER)
        ]
        for one in strangers:
            for _ in range(MAX_PER_PEER):
                await one.open()
        await asyncio.sleep(0.1)
        with pytest.raises((ResourceLimitError, StreamResetError)):
            await guest.join()
        await asyncio.sleep(EXCHANGE_TIMEOUT_S)
        await guest.join()  # their time is over
        assert desk.admitted == [(LAPTOP, "laptop")]

    in_world(main)


@given(data=st.binary(max_size=200))
def test_no_garbage_gets_anybody_in(in_world: InWorld, data: bytes) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        stream = await guest.open()
        await stream.write(data)
        stream.close_write()
        try:
            await read_all(stream)
        except StreamResetError:
            pass
        assert desk.admitted == []
        await guest.join()

    in_world(main)


# --- a joiner and what may be at the other end ----------------------------------------


def test_an_inviter_that_never_answers_is_given_up(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        host = await world.host("home", at=AT)

        async def silent(stream: MuxedStream) -> None:
            await asyncio.sleep(1000)

        host.handle(PROTOCOL, silent)
        guest = Guest(await world.host("laptop"))
        with pytest.raises(TimeoutError):
            await guest.join()
        assert guest.committed == []

    in_world(main)


@given(answer=st.binary(max_size=200))
def test_no_answer_but_the_right_one_is_written_down(in_world: InWorld, answer: bytes) -> None:
    async def main(world: World) -> None:
        host = await world.host("home", at=AT)

        async def liar(stream: MuxedStream) -> None:
            await stream.read()
            await stream.write(answer)

        host.handle(PROTOCOL, liar)
        guest = Guest(await world.host("laptop"))
        with pytest.raises((PeerupError, TimeoutError)):
            await guest.join()
        assert guest.committed == []

    in_world(main)


@pytest.mark.parametrize("more", [b"and another thing", b""])
def test_a_joiner_that_talks_on_or_stays_is_not_done(in_world: InWorld, more: bytes) -> None:
    async def main(world: World) -> None:
        desk, guest = await set_out(world)
        stream, machine = await guest.open(), Joiner(TOKEN, "laptop")
        while machine.inviter_name is None:
            await stream.write(machine.data_to_send())
            machine.receive(await stream.read())
        await stream.write(more)
        began = guest.host.clock()
        with pytest.raises(StreamResetError):
            await stream.read()
        took = guest.host.clock() - began
        assert took == pytest.approx(0 if more else FINISH_TIMEOUT_S, abs=1)
        assert not desk.invite.is_over

    in_world(main)


def test_a_joiner_waits_for_the_end_no_longer_than_needed(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        (desk, guest), began = await set_out(world), world.running[0].clock()
        await guest.join()
        await until(lambda: desk.invite.is_over)
        assert guest.host.clock() - began < 1.0

    in_world(main)
