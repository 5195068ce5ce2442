"""Multistream messages made and read by hand, apart from the code under test."""

from __future__ import annotations

from typing import Final

from peerup.wire import varint

HEADER: Final = bytes.fromhex("132f6d756c746973747265616d2f312e302e300a")
NA: Final = bytes.fromhex("036e610a")


def line(text: str | bytes) -> bytes:
    """One message: varint length, ``text``, newline."""
    body = (text.encode() if isinstance(text, str) else text) + b"\n"
    return varint.encode(len(body)) + body


def lines(wire: bytes) -> list[str]:
    """Read whole messages."""
    found = []
    at = 0
    while at < len(wire):
        size, at = varint.decode(wire, at)
        body = wire[at : at + size]
        assert len(body) == size
        assert body.endswith(b"\n")
        found.append(body[:-1].decode())
        at += size
    return found
