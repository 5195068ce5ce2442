"""Requests to a relay, byte by byte if need be, and its answers."""

from __future__ import annotations

from peerup.host.host import Host
from peerup.transport.messages import expect_message
from peerup.transport.muxed import MuxedConnection, MuxedStream
from peerup.wire.circuit import HOP_PROTOCOL, MAX_MESSAGE, HopMessage, HopType, Peer, Status
from peerup.wire.delimited import join
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import decode, encode
from tests.world import memory, peer_of, read_all

HOME, RELAY, LAPTOP = peer_of("home"), peer_of("relay"), peer_of("laptop")
RESERVE = HopMessage(HopType.RESERVE)
HOUR = 3600


def connect_to(target: PeerId | bytes) -> HopMessage:
    raw = target if isinstance(target, bytes) else target.to_bytes()
    return HopMessage(HopType.CONNECT, peer=Peer(raw))


async def ask_on(
    host: Host, conn: MuxedConnection, request: HopMessage | bytes
) -> tuple[HopMessage, MuxedStream]:
    """Send a request to the relay at the other end; return its answer and the stream."""
    stream = await host.open_stream_on(conn, HOP_PROTOCOL)
    await stream.write(request if isinstance(request, bytes) else join(encode(request)))
    answer = decode(HopMessage, await expect_message(stream, MAX_MESSAGE))
    assert answer.type is HopType.STATUS
    return answer, stream


async def ask(host: Host, request: HopMessage | bytes) -> HopMessage:
    """Ask the relay; its answer must be all that it says."""
    conn = await host.connect(RELAY, [memory(1)])
    answer, stream = await ask_on(host, conn, request)
    if answer.status != Status.OK or request == RESERVE:
        assert await read_all(stream) == b""
    stream.reset()
    return answer


async def status_of(host: Host, request: HopMessage | bytes) -> int | None:
    return (await ask(host, request)).status
