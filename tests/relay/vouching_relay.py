"""A relay in memory that knows some peers and lets them vouch for others."""

from __future__ import annotations

from pathlib import Path

from peerup.host.gater import Answer, Verdict
from peerup.host.host import Host
from peerup.relay.server import HopService
from peerup.relay.vouch_server import VouchService
from peerup.relay.vouching import Vouching
from peerup.wire.peer_id import PeerId
from peerup.wire.vouch import ticket_of
from tests.world import UNLIMITED, World, peer_of

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
