"""Peers whose identify says what a test wants."""

from __future__ import annotations

from collections.abc import Sequence

from peerup.host.handlers import Handler
from peerup.host.host import Host
from peerup.protocols.identify import PROTOCOL, PUSH_PROTOCOL
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.wire import identify as wire
from peerup.wire.delimited import decode_all, join
from peerup.wire.keys import PrivateKey
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.protobuf import encode
from tests.world import World, peer_of, read_all

HOME = peer_of("home")
LAN = Multiaddr.parse("/ip4/192.168.1.5/tcp/4001")
PUBLIC = Multiaddr.parse("/ip4/203.0.113.5/tcp/4001")
LOOPBACK = Multiaddr.parse("/ip4/127.0.0.1/tcp/4001")


class FakeListener:
    def __init__(self, *addrs: Multiaddr) -> None:
        self.addrs = addrs

    async def close(self) -> None:
        pass


def saying(*messages: bytes) -> Handler:
    """A handler that answers identify with these messages."""

    async def handler(stream: MuxedStream) -> None:
        await stream.write(b"".join(map(join, messages)))

    return handler


def identity(
    *,
    key: PrivateKey | None = None,
    addrs: Sequence[Multiaddr] = (),
    protocols: Sequence[str] = ("/x",),
    agent: str = "fake",
    record: bytes | None = None,
) -> bytes:
    return encode(
        wire.Identify(
            public_key=key.public_key.to_protobuf() if key else None,
            listen_addrs=tuple(addr.to_bytes() for addr in addrs),
            protocols=tuple(protocols),
            agent_version=agent,
            signed_peer_record=record,
        )
    )


async def asking(world: World, handler: Handler | None) -> tuple[Host, MuxedConnection]:
    """A host that has identified a peer whose answer is up to ``handler``."""
    home = await world.host("home", at=2, identify=False)
    if handler is not None:
        home.handle(PROTOCOL, handler)
    laptop = await world.host("laptop")
    return laptop, await laptop.connect(home.peer, home.addrs)


async def pushed(world: World, conn: MuxedConnection, message: bytes) -> None:
    """Push ``message`` the other way along ``conn``; returns when it was taken."""
    (home,) = (host for host in world.running if host.peer == conn.peer)
    (back,) = home.connections
    stream = await home.open_stream_on(back, PUSH_PROTOCOL)
    await stream.write(join(message))
    stream.close_write()
    await read_all(stream)


async def answer_of(laptop: Host, conn: MuxedConnection) -> tuple[bytes, wire.Identify]:
    """What the peer answers: the bytes, and what they mean."""
    stream = await laptop.open_stream_on(conn, PROTOCOL)
    data = await read_all(stream)
    return data, wire.merge(decode_all(data, wire.MAX_MESSAGE))
