"""A transport inside one process, for tests, examples and simulations.

It runs the same upgrade as TCP over a pair of pipes, so everything above it is real. Addresses
are ``/memory/N``; ``/memory/0`` listens on a free number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from peerup.errors import ConnectionClosedError, LocalProtocolError, PeerupError
from peerup.transport.base import Accept, LocalPeer
from peerup.transport.endpoints import Endpoints, Role
from peerup.transport.upgrade import upgrade
from peerup.wire.multiaddr import Multiaddr

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.peer_id import PeerId

PIPE_SIZE: Final = 256 * 1024  # bytes a pipe holds before its writer waits


class _Direction:
    """Bytes on their way one way."""

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.size = 0
        self.ended = False
        self.broken: OSError | None = None
        self.changed = asyncio.Event()
        self.waiting: set[str] = set()  # who waits: reader, writer or nobody

    async def wait(self, who: str) -> None:
        """Wait for a change as ``who``, of whom there is one at most."""
        if who in self.waiting:
            raise LocalProtocolError(f"a pipe has one {who}")
        self.waiting.add(who)
        self.changed.clear()
        try:
            await self.changed.wait()
        finally:
            self.waiting.discard(who)

    def put(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.size += len(piece)
        self.changed.set()

    def fail(self, why: OSError) -> None:
        """Drop what is on its way; whoever reads or writes from now on sees ``why``."""
        self.broken = self.broken or why
        self.pieces.clear()
        self.size = 0
        self.changed.set()


class Pipe:
    """One end of a two-way pipe. See ``transport.base.ByteStream``."""

    def __init__(self, incoming: _Direction, outgoing: _Direction) -> None:
        self._in, self._out = incoming, outgoing
        self._closed = False
        self.written = 0

    async def read(self, max_bytes: int = 65536) -> bytes:
        side = self._in
        while not side.pieces:
            if self._closed:
                raise ConnectionClosedError("we closed the pipe")
            if side.broken is not None:
                raise side.broken
            if side.ended:
                return b""
            await side.wait("reader")
        piece = side.pieces.popleft()
        if len(piece) > max_bytes:
            side.pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        side.size -= len(piece)
        side.changed.set()
        return piece

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        side, view = self._out, memoryview(data)
        while view:
            if side.broken is not None:
                raise side.broken
            if side.ended:
                raise LocalProtocolError("write after close_write")
            if room := PIPE_SIZE - side.size:
                piece = bytes(view[:room])
                side.put(piece)
                self.written += len(piece)
                view = view[len(piece) :]
            else:
                await side.wait("writer")

    def close_write(self) -> None:
        self._out.ended = True
        self._out.changed.set()

    def close(self) -> None:
        self.close_write()
        self._closed = True
        self._in.fail(BrokenPipeError("nobody reads the pipe"))

    def reset(self, code: int = 0) -> None:
        why = ConnectionResetError("the pipe was reset")  # as of a socket, the code is lost
        self._in.fail(why)
        self._out.fail(why)


def pipe() -> tuple[Pipe, Pipe]:
    """Return the two ends of a new pipe."""
    one, two = _Direction(), _Direction()
    return Pipe(one, two), Pipe(two, one)


class MemoryNetwork:
    """Who listens on which number; hosts that share one can reach each other."""

    def __init__(self) -> None:
        self._listeners: dict[int, Callable[[Pipe, Multiaddr], None]] = {}

    def transport(self, local: LocalPeer) -> Memory:
        """Return a host's transport on this network: ``Host(key, transports=[net.transport])``."""
        return Memory(self, local)

    def bind(self, number: int, accept: Callable[[Pipe, Multiaddr], None]) -> int:
        number = number or max(self._listeners, default=0) + 1
        if number in self._listeners:
            raise OSError(f"/memory/{number} is taken")
        self._listeners[number] = accept
        return number

    def release(self, number: int, accept: Callable[[Pipe, Multiaddr], None]) -> None:
        """Give ``number`` back, if ``accept`` is who holds it."""
        if self._listeners.get(number) == accept:
            del self._listeners[number]

    def connect(self, number: int, source: Multiaddr) -> Pipe:
        accept = self._listeners.get(number)
        if accept is None:
            raise ConnectionRefusedError(f"nobody listens on /memory/{number}")
        near, far = pipe()
        accept(far, source)
        return near


class Memory:
    """The memory transport of one host."""

    def __init__(self, network: MemoryNetwork, local: LocalPeer) -> None:
        self._network, self._local = network, local

    def can_dial(self, addr: Multiaddr) -> bool:
        names = [part.protocol.name for part in addr.without_peer().components]
        return names == ["memory"]

    can_listen = can_dial

    async def dial(
        self, addr: Multiaddr, peer: PeerId, *, role: Role = Role.CLIENT
    ) -> MuxedConnection:
        """See ``Transport.dial``."""
        source = Multiaddr.parse("/memory/0")
        near = self._network.connect(int(addr.get("memory") or 0), source)
        target = addr.without_peer()
        return await upgrade(near, self._local, Endpoints(target), role=role, expected=peer)

    async def listen(self, addr: Multiaddr, accept: Accept) -> MemoryListener:
        """See ``Transport.listen``."""
        return MemoryListener(self._network, self._local, int(addr.get("memory") or 0), accept)

    def close(self) -> None:
        """See ``Transport.close``; nothing is shared here."""


class MemoryListener:
    """One number on a memory network."""

    def __init__(
        self, network: MemoryNetwork, local: LocalPeer, number: int, accept: Accept
    ) -> None:
        self._network, self._local, self._accept = network, local, accept
        self._number = network.bind(number, self._on_connect)

    @property
    def addrs(self) -> tuple[Multiaddr, ...]:
        return (Multiaddr.parse(f"/memory/{self._number}"),)

    async def close(self) -> None:
        self._network.release(self._number, self._on_connect)

    def _on_connect(self, far: Pipe, source: Multiaddr) -> None:
        if self._local.tasks.spawn(self._upgrade, far, source) is None:
            far.reset()

    async def _upgrade(self, far: Pipe, source: Multiaddr) -> None:
        try:
            conn = await upgrade(
                far, self._local, Endpoints(source, inbound=True), role=Role.SERVER
            )
        except (PeerupError, OSError, TimeoutError):
            return
        await self._accept(conn)
