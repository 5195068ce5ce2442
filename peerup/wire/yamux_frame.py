"""Yamux frame header. Spec: libp2p specs, yamux/README.md, "Framing"."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from peerup.errors import RemoteProtocolError


class FrameType(enum.IntEnum):
    """Second header byte; the comment says what ``length`` means."""

    DATA = 0  # payload size in bytes, payload follows
    WINDOW_UPDATE = 1  # credit granted in bytes, or an error code with RST; no payload
    PING = 2  # opaque value to echo, no payload
    GO_AWAY = 3  # reason code, no payload


class Flag(enum.IntFlag):
    """Start, accept, half-close, abandon: alone or together, on DATA or WINDOW_UPDATE."""

    NONE = 0
    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


LAYOUT: Final = struct.Struct(">BBHII")  # version, type, flags, stream id, length
HEADER_SIZE: Final = LAYOUT.size
KNOWN_FLAGS: Final = 0xF
ON_SESSION: Final = frozenset({FrameType.PING, FrameType.GO_AWAY})  # these travel on stream 0


@dataclass(frozen=True, slots=True)
class Header:
    """The 12 bytes before every payload."""

    type: FrameType
    flags: Flag
    stream_id: int
    length: int

    def encode(self) -> bytes:
        return LAYOUT.pack(0, self.type, self.flags, self.stream_id, self.length)

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview, offset: int = 0) -> Header:
        """Read the 12 bytes at ``offset``.

        Raises:
            RemoteProtocolError: unknown version, type or flag, or a stream id that does not
                go with the type.
        """
        version, kind, flags, stream_id, length = LAYOUT.unpack_from(data, offset)
        if version != 0 or kind > FrameType.GO_AWAY or flags > KNOWN_FLAGS:
            raise RemoteProtocolError(f"yamux: version {version}, type {kind}, flags {flags:#x}")
        if (stream_id == 0) != (kind in ON_SESSION):
            raise RemoteProtocolError(f"yamux: frame type {kind} on stream {stream_id}")
        return cls(_TYPES[kind], _FLAGS[flags], stream_id, length)


_TYPES: Final = tuple(FrameType)  # a tuple look-up is 10 times quicker than an enum call
_FLAGS: Final = tuple(Flag(value) for value in range(KNOWN_FLAGS + 1))
