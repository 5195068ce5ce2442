"""A home that keeps places at relays, and somebody who wants to reach it."""

from __future__ import annotations

from dataclasses import dataclass, field

from peerup.errors import PeerupError
from peerup.host.gater import Answer, Verdict
from peerup.host.host import Host
from peerup.relay.autorelay import AutoRelay
from peerup.wire.peer_id import PeerId
from tests.world import World, echo, memory, peer_of, through

HOME, RELAY, SECOND = peer_of("home"), peer_of("relay"), peer_of("second")


@dataclass
class ListGater:
    listed: set[PeerId] = field(default_factory=set)

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        return Answer.YES if peer in self.listed else Answer.NO


def keeping(host: Host, *relays: tuple[PeerId, int]) -> AutoRelay:
    return AutoRelay(host, {relay: [memory(at)] for relay, at in relays})


async def home_at(world: World, *relays: tuple[PeerId, int]) -> tuple[Host, AutoRelay]:
    home = await world.device("home")
    home.handle("/echo", echo)
    return home, keeping(home, *(relays or ((RELAY, 1),)))


async def reachable(world: World, name: str = "laptop") -> bool:
    """Dial home as somebody does who has just come."""
    laptop = await world.device(name)
    try:
        stream = await laptop.open_stream(HOME, "/echo", addrs=[through(RELAY)])
        await stream.write(b"hello")
        return await stream.read() == b"hello"
    except PeerupError:
        return False
    finally:
        await world.stop(laptop)
