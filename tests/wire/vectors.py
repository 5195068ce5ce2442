"""Loads the vectors in tests/vectors, which say themselves where they come from."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DIRECTORY = Path(__file__).parent.parent / "vectors"


@dataclass(frozen=True, slots=True)
class Vector:
    """What went into another implementation and what came out; bytes are hex."""

    name: str
    inputs: dict[str, Any]
    expect: dict[str, Any]

    def __str__(self) -> str:
        return self.name


def vectors(section: str) -> list[Vector]:
    """Return the vectors of one section of the go-libp2p v0.47.0 file."""
    found = _load("go_libp2p_0_47")[section]
    return [Vector(item["name"], item["inputs"], item["expect"]) for item in found]


def captured(file: str) -> dict[str, Any]:
    """Return what was captured from one live node: ``go_libp2p_0_32`` or ``js_libp2p_3_3``."""
    return _load(file)


def name_of(vector: Vector) -> str:
    """Return what pytest shows for a vector."""
    return vector.name


@functools.cache
def _load(file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_DIRECTORY / f"{file}.json").read_text())
    return content
