"""Cuts bytes as a network might."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def pieces(wire: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut ``wire``: pieces of these sizes, then the rest; some may be empty."""
    at = 0
    for size in sizes:
        yield wire[at : at + size]
        at += size
    yield wire[at:]
