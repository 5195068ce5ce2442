"""A relay in memory that knows some peers and lets them vouch for others."""

from __future__ import annotations

from pathlib import Path

from peerup.host.gater import Answer, Verdict
from peerup.host.handlers import Registration
from peerup.host.host import Host
from peerup.relay import vouch_client
from peerup.relay.server import HopService
from peerup.relay.vouch_server import VouchService
from peerup.relay.vouching import Vouching
from peerup.transport.muxed import MuxedConnection
from peerup.wire.peer_id import PeerId
from peerup.wire.vouch import VouchStatus, ticket_of
from tests.world import UNLIMITED, World, echo, memory, peer_of, through

RELAY, HOME = peer_of("relay"), peer_of("home")
WEB = "/peerup/web/1.0.0"
TOKEN = bytes.fromhex("0102030405060708")
TICKET = ticket_of(TOKEN, peer_of("relay"), peer_of("home"))


class Gate:
    """Lets in whom the test says, and others as far as they are vouched for."""

    def __init__(self, *known: str) -> None:
        self.known = {peer_of(name) for name in known}
        self.vouch: VouchService | None = None

    def knows(self, peer: PeerId) -> bool:
        return peer in self.known

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        if self.knows(peer) or self.vouch is None:
            return Answer.YES if self.knows(peer) else Answer.NO
        return self.vouch.verdict(peer)


class Relay:
    """The relay and what belongs to it; started again with the same file it is the same one."""

    def __init__(self, world: World, host: Host, gate: Gate, file: Path, most: int) -> None:
        self.world, self.host, self.gate, self.file = world, host, gate, file
        self.vouch = gate.vouch = VouchService(host, Vouching(gate.knows, most), file)
        self.hop = HopService(host, UNLIMITED, self.vouch.vouching)
        self.vouch.start()

    @property
    def vouching(self) -> Vouching:
        return self.vouch.vouching


async def start_relay(world: World, folder: Path, *known: str, most: int = 16) -> Relay:
    gate = Gate(*known)
    host = await world.host("relay", at=1, gater=gate)
    return Relay(world, host, gate, folder / "vouched.json", most)


async def at_relay(host: Host) -> MuxedConnection:
    return await host.connect(RELAY, [memory(1)], direct=True)


async def inviting(world: World, folder: Path, *known: str) -> tuple[Relay, Host]:
    """The relay, and home, which it knows and which has an invite open there."""
    relay = await start_relay(world, folder, "home", *known)
    home = await world.home()
    home.handle(WEB, Registration(echo, on_limited=True))
    assert await vouch_client.open_invite(home, await at_relay(home), TICKET, 600) == 600
    return relay, home


async def show(host: Host) -> VouchStatus | None:
    return await vouch_client.present(host, await at_relay(host), TICKET, HOME)


async def pair(home: Host, laptop: Host) -> None:
    await show(laptop)
    await vouch_client.confirm(home, await at_relay(home), TICKET, laptop.peer)
    await vouch_client.close_invite(home, await at_relay(home), TICKET)


async def to(source: Host, target: str) -> MuxedConnection:
    """Dial through the relay; a connection that there is already does not count."""
    for conn in source.connections.of(peer_of(target)):
        conn.close()
    return await source.connect(peer_of(target), [through(RELAY)])
