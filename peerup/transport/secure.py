"""Noise over a byte stream: the handshake, then records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.errors import RemoteProtocolError
from peerup.wire.noise import Handshake, SecureSession, sealed_size
from peerup.wire.yamux import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerup.transport.base import ByteStream
    from peerup.wire.keys import PrivateKey
    from peerup.wire.peer_id import PeerId

READ_SIZE: Final = 512 * 1024  # bytes taken from the network at once; eight full records
HANDSHAKE_READ: Final = 4096
MAX_SPARE: Final = 4  # output buffers kept for the next batch, of whichever connection

_buffers: Final[list[bytearray]] = []


async def handshake(
    raw: ByteStream,
    key: PrivateKey,
    *,
    initiator: bool,
    expected: PeerId | None,
    muxers: Sequence[str],
) -> NoiseChannel:
    """Prove who we are and learn who is there.

    Raises:
        WrongPeerError: the other side is not ``expected``.
        RemoteProtocolError: the handshake failed, or the other side hung up in it.
        OSError: the network gave up.
    """
    machine = Handshake(key, initiator=initiator, expected=expected, muxers=muxers)
    while True:
        if out := machine.data_to_send():
            await raw.write(out)
        if machine.session is not None:
            return NoiseChannel(raw, machine.session)
        data = await raw.read(HANDSHAKE_READ)
        if not data:
            raise RemoteProtocolError("noise: the other side hung up in the handshake")
        machine.receive(data)


class NoiseChannel:
    """An encrypted, authenticated byte channel to ``session.peer``."""

    def __init__(self, raw: ByteStream, session: SecureSession) -> None:
        self.raw = raw
        self.session = session
        self._sealer, self._opener = session.sealer, session.opener
        self._early = session.opener.open(session.leftover)

    async def receive(self) -> list[bytes]:
        """Return what arrived, one piece a record; an empty list is the end.

        Raises:
            RemoteProtocolError: a record does not verify, or the end came inside one.
            OSError: the network gave up.
        """
        if self._early:
            pieces, self._early = self._early, []
            return pieces
        while data := await self.raw.read(READ_SIZE):
            if pieces := self._opener.open(data):
                return pieces
        if self._opener.midway:
            raise RemoteProtocolError("noise: the connection ended inside a record")
        return []

    async def read(self, max_bytes: int = 0) -> bytes:
        """Return what arrived as one piece, of any size: a channel for negotiation."""
        return b"".join(await self.receive())

    async def write(self, data: bytes) -> None:
        """Seal ``data`` and hand it to the network, waiting while that is slow."""
        await self.raw.write(self._sealer.seal(data))

    async def write_batch(self, parts: list[bytes | memoryview]) -> None:
        """Do as ``write`` with at most ``yamux.MAX_BATCH`` bytes in pieces, copying them once."""
        buffer = _buffers.pop() if _buffers else bytearray(sealed_size(MAX_BATCH))
        try:
            size = self._sealer.seal_into(parts, memoryview(buffer))
            await self.raw.write(memoryview(buffer)[:size])
        finally:
            if len(_buffers) < MAX_SPARE:
                _buffers.append(buffer)
