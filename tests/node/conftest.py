"""A town of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.node.pairing_town import InPairingTown, PairingTown
from tests.node.town import InTown, Town
from tests.sim.clock import RunVirtual

T = TypeVar("T")


@pytest.fixture
def in_town(run: RunVirtual, tmp_path: Path) -> InTown:
    """Run a coroutine function on virtual time with a Town, whose nodes are stopped after it."""

    def run_in_town(main: Callable[[Town], Coroutine[Any, Any, T]]) -> T:
        async def inside() -> T:
            async with Town(tmp_path) as town:
                return await main(town)

        return run(inside())

    return run_in_town


@pytest.fixture
def in_pairing_town(run: RunVirtual, tmp_path: Path) -> InPairingTown:
    """The same with a PairingTown."""

    def run_in_town(main: Callable[[PairingTown], Coroutine[Any, Any, None]]) -> None:
        async def inside() -> None:
            async with PairingTown(tmp_path) as town:
                await main(town)

        run(inside())

    return run_in_town
