"""Ping, twice: libp2p's echo of 32 bytes, and peerup's one line.

Spec: libp2p specs, ping/ping.md. peerup's own: the client writes ``ping`` and a newline, the
server answers ``pong`` (``unknown`` to anything else) and closes; one stream a ping.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from peerup.errors import NegotiationError, RemoteProtocolError
from peerup.transport.messages import read_exactly

if TYPE_CHECKING:
    from peerup.host.host import Host
    from peerup.transport.muxed import MuxedConnection, MuxedStream

PROTOCOL: Final = "/ipfs/ping/1.0.0"
PEERUP_PROTOCOL: Final = "/pingpong/1.0.0"  # the configured id may differ
PROBE: Final = "/peerup/rtt-probe/1.0.0"  # Go peerup asks for it, and everybody refuses it
SIZE: Final = 32
MAX_INBOUND: Final = 2  # streams of one peer, as go and js
IDLE_TIMEOUT_S: Final = 30.0  # between two pings of one stream
REPLY_TIMEOUT_S: Final = 10.0
MAX_LINE: Final = 64


async def serve(stream: MuxedStream) -> None:
    """Echo 32 bytes at a time until the peer finishes."""
    while True:
        async with asyncio.timeout(IDLE_TIMEOUT_S):
            payload = await stream.read(SIZE)
            if not payload:
                return
            if len(payload) < SIZE:
                payload += await read_exactly(stream, SIZE - len(payload))
            await stream.write(payload)


async def serve_peerup(stream: MuxedStream) -> None:
    """Answer one line."""
    async with asyncio.timeout(REPLY_TIMEOUT_S):
        line = await _read_line(stream)
        await stream.write(b"pong\n" if line.strip() == b"ping" else b"unknown\n")


async def ping(host: Host, conn: MuxedConnection, protocols: list[str]) -> float:
    """Measure one round trip on ``conn`` in seconds, by the first of ``protocols`` it speaks.

    The stream is agreed on before the clock starts, so one round trip is what is measured.

    Raises:
        NegotiationError: the peer speaks none of them.
        RemoteProtocolError: the answer is not an answer.
        TimeoutError: none came within 10 s.
    """
    stream = await host.open_stream_on(conn, protocols, allow_limited=True)
    async with stream, asyncio.timeout(REPLY_TIMEOUT_S):
        if stream.protocol == PROTOCOL:
            return await _measure_echo(host, stream)
        began = host.clock()
        await stream.write(b"ping\n")
        line = await _read_line(stream)
        took = host.clock() - began
        if line.strip() != b"pong":
            raise RemoteProtocolError(f"ping was answered with {line[:MAX_LINE]!r}")
        return took


async def probe(host: Host, conn: MuxedConnection) -> float:
    """Measure one round trip on ``conn`` in seconds by asking for a protocol that nobody has.

    All that was sent on ``conn`` before has arrived then, as its bytes keep their order.

    Raises:
        PeerupError, TimeoutError: the connection broke, or is silent.
    """
    began = host.clock()
    try:
        stream = await host.open_stream_on(conn, PROBE, allow_limited=True)
    except NegotiationError:
        return host.clock() - began
    stream.close()  # somebody has it after all
    return host.clock() - began


async def _measure_echo(host: Host, stream: MuxedStream) -> float:
    payload = secrets.token_bytes(SIZE)
    began = host.clock()
    await stream.write(payload)
    answer = await read_exactly(stream, SIZE)
    took = host.clock() - began
    if answer != payload:
        raise RemoteProtocolError("ping was answered with other bytes")
    return took


async def _read_line(stream: MuxedStream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_LINE:
        piece = await stream.read(MAX_LINE - len(line))
        if not piece:
            break
        line += piece
    return line
