"""Who may connect and who may open which stream, asked of whole hosts."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from peerup.errors import ConnectionClosedError, NotAuthorizedError, StreamResetError
from peerup.host.gater import Answer, Only, Verdict
from peerup.host.host import Host
from peerup.protocols import identify, ping
from peerup.transport.muxed import MuxedStream
from peerup.wire.circuit import STOP_PROTOCOL
from peerup.wire.error_codes import ConnectionCode, StreamCode
from peerup.wire.peer_id import PeerId
from tests.world import InWorld, World, echo, never, peer_of, read_all, until

STRANGER, FRIEND, RELAY = peer_of("stranger"), peer_of("friend"), peer_of("relay")
DIALLED = frozenset({identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL})


@dataclass
class ListGater:
    """Friends may do everything, whom we dialled may do this much, nobody else gets in."""

    friends: set[PeerId] = field(default_factory=lambda: {FRIEND})
    dialled: frozenset[str] = DIALLED

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        if peer in self.friends:
            return Answer.YES
        return Answer.NO if inbound else Only(self.dialled)


def serving(host: Host) -> None:
    """Offer what a node offers: a service and both pings."""
    host.handle("/peerup/web/1.0.0", echo)
    host.handle(ping.PEERUP_PROTOCOL, ping.serve_peerup)
    host.handle(ping.PROTOCOL, ping.serve)
    host.handle(STOP_PROTOCOL, never)


async def gated(world: World, gater: ListGater) -> Host:
    home = await world.host("home", at=2, gater=gater)
    serving(home)
    return home


# --- inbound connections --------------------------------------------------------------


def test_a_stranger_is_told_that_it_is_not_authorized(
    in_world: InWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(world: World) -> None:
        home = await gated(world, ListGater())
        stranger = await world.host("stranger")
        with pytest.raises(NotAuthorizedError) as caught:
            await stranger.connect(home.peer, home.addrs)
        assert caught.value.exit_code == 4
        assert len(home.connections) == 0
        await until(lambda: len(stranger.connections) == 0)

    in_world(main)
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "not authorized" in warning.message
    assert vars(warning)["peer"] == STRANGER


def test_a_friend_may_use_what_is_served(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await gated(world, ListGater())
        friend = await world.host("friend")
        stream = await friend.open_stream(home.peer, "/peerup/web/1.0.0", addrs=home.addrs)
        await stream.write(b"hello")
        stream.close_write()
        assert await read_all(stream) == b"hello"

    in_world(main)


# --- W-00: whom we dialled ------------------------------------------------------------


async def dialled_by_home(world: World, gater: ListGater) -> tuple[Host, Host]:
    home = await gated(world, gater)
    stranger = await world.host("stranger", at=9)
    await home.connect(stranger.peer, stranger.addrs)
    return home, stranger


@pytest.mark.parametrize("protocol", ["/peerup/web/1.0.0", ping.PEERUP_PROTOCOL, STOP_PROTOCOL])
def test_w00_a_peer_that_we_dialled_gets_no_service(
    in_world: InWorld, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    async def main(world: World) -> None:
        home, stranger = await dialled_by_home(world, ListGater())
        with pytest.raises(NotAuthorizedError, match=protocol):
            await stranger.open_stream(home.peer, protocol)
        assert home.connections.best(STRANGER) is not None  # our own use of it goes on

    in_world(main)
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "stream refused" in warning.message


def test_w00_a_peer_that_we_dialled_may_say_who_it_is_and_be_pinged(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, stranger = await dialled_by_home(world, ListGater())
        conn = await stranger.connect(home.peer)
        assert await ping.ping(stranger, conn, [ping.PROTOCOL]) >= 0
        assert "/peerup/web/1.0.0" in stranger.peerstore.protocols(home.peer)  # identify went
        stranger.handle("/new", echo)  # and so does a push
        await until(lambda: "/new" in home.peerstore.protocols(STRANGER))

    in_world(main)


def test_w00_a_relay_that_we_dialled_may_hand_us_circuits(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home, stranger = await dialled_by_home(world, ListGater(dialled=DIALLED | {STOP_PROTOCOL}))
        stream = await stranger.open_stream(home.peer, STOP_PROTOCOL)
        stream.reset()
        with pytest.raises(NotAuthorizedError):
            await stranger.open_stream(home.peer, "/peerup/web/1.0.0")

    in_world(main)


def test_w00_every_stream_is_asked_about_anew(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gater = ListGater()
        home, stranger = await dialled_by_home(world, gater)

        async def use() -> MuxedStream:
            return await stranger.open_stream(home.peer, "/peerup/web/1.0.0")

        with pytest.raises(NotAuthorizedError):
            await use()
        gater.friends.add(STRANGER)
        (await use()).reset()
        gater.friends.discard(STRANGER)
        with pytest.raises(NotAuthorizedError):
            await use()

    in_world(main)


def test_w00_a_protocol_that_is_not_there_tells_a_stranger_nothing(in_world: InWorld) -> None:
    """What is served and what is not must look the same to whoever may have neither."""

    async def main(world: World) -> None:
        home, stranger = await dialled_by_home(world, ListGater())
        for protocol in ("/peerup/web/1.0.0", "/peerup/nothing/1.0.0"):
            with pytest.raises(NotAuthorizedError):
                await stranger.open_stream(home.peer, protocol)

    in_world(main)


# --- W-06: a change of mind -----------------------------------------------------------


def test_w06_a_removed_peer_loses_its_connections_and_streams(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gater = ListGater()
        home = await gated(world, gater)
        friend = await world.host("friend")
        stream = await friend.open_stream(home.peer, "/peerup/web/1.0.0", addrs=home.addrs)
        gater.friends.clear()
        home.recheck([FRIEND])
        async with asyncio.timeout(2.0):
            with pytest.raises(NotAuthorizedError):
                await stream.read()
        await until(lambda: len(home.connections) == len(friend.connections) == 0, within=2.0)
        with pytest.raises(NotAuthorizedError):
            await friend.connect(home.peer, home.addrs)

    in_world(main)


def test_w06_a_removed_peer_loses_connections_that_we_dialled_too(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gater = ListGater()
        home = await gated(world, gater)
        friend = await world.host("friend", at=9)
        serving(friend)
        ours = await home.open_stream(FRIEND, "/peerup/web/1.0.0", addrs=friend.addrs)
        theirs = await friend.open_stream(home.peer, "/peerup/web/1.0.0")
        gater.friends.clear()
        home.recheck([FRIEND])
        for stream in (ours, theirs):
            with pytest.raises((ConnectionClosedError, NotAuthorizedError)):
                await stream.read()
        await until(lambda: len(home.connections) == 0, within=2.0)

    in_world(main)


def test_w06_others_are_not_concerned(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gater = ListGater({FRIEND, STRANGER})
        home = await gated(world, gater)
        friend, other = await world.host("friend"), await world.host("stranger")
        await friend.connect(home.peer, home.addrs)
        stream = await other.open_stream(home.peer, "/peerup/web/1.0.0", addrs=home.addrs)
        gater.friends.discard(FRIEND)
        home.recheck([FRIEND])
        await until(lambda: home.connections.peers == (STRANGER,), within=2.0)
        await stream.write(b"hello")
        assert await stream.read() == b"hello"

    in_world(main)


def test_w06_a_peer_that_may_keep_its_connection_loses_what_it_may_not_have(
    in_world: InWorld,
) -> None:
    async def main(world: World) -> None:
        gater = ListGater({STRANGER})
        home, stranger = await dialled_by_home(world, gater)
        web = await stranger.open_stream(home.peer, "/peerup/web/1.0.0")
        pinging = await stranger.open_stream(home.peer, ping.PROTOCOL)
        gater.friends.clear()
        home.recheck()  # not removed by name: we keep the connection, as it is ours
        with pytest.raises(StreamResetError) as caught:
            await web.read()
        assert caught.value.code == StreamCode.GATED
        await pinging.write(bytes(32))
        assert await pinging.read() == bytes(32)

    in_world(main)


def test_w06_the_reason_travels_with_the_end_of_the_connection(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        gater = ListGater()
        home = await gated(world, gater)
        friend = await world.host("friend")
        conn = await friend.connect(home.peer, home.addrs)
        (far,) = home.connections.of(FRIEND)
        gater.friends.clear()
        home.recheck([FRIEND])
        await conn.wait_closed()
        assert isinstance(conn.reason, NotAuthorizedError)
        assert isinstance(far.reason, ConnectionClosedError)
        assert far.reason.code == ConnectionCode.GATED

    in_world(main)


def test_nothing_changes_for_those_who_stay(in_world: InWorld) -> None:
    async def main(world: World) -> None:
        home = await gated(world, ListGater())
        friend = await world.host("friend")
        stream = await friend.open_stream(home.peer, "/peerup/web/1.0.0", addrs=home.addrs)
        home.recheck()
        home.recheck([STRANGER, RELAY])
        await stream.write(b"hello")
        assert await stream.read() == b"hello"

    in_world(main)
