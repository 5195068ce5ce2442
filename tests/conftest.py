"""What every test may use: two clocks to run coroutines on, a network, and Hypothesis profiles.

``run`` is the clock that jumps (see tests/sim/clock.py); almost every test wants it, and
``in_world`` is the same with a network in memory (see tests/world.py). ``run_real`` is for tests
marked ``real_clock``: sockets, processes and watched files.

``HYPOTHESIS_PROFILE`` chooses how hard property tests look: ``dev`` (50 examples, the default),
``ci`` (300, the same ones in each run) or ``deep`` (10,000).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.sim import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.world import InWorld, World

T = TypeVar("T")

# A busy machine must not make a good test fail: no deadline, and slow input generation is no fault.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("dev", _COMMON, max_examples=50)
settings.register_profile("ci", _COMMON, max_examples=300, derandomize=True)
settings.register_profile("deep", _COMMON, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")  # it holds no state, and so it may be used with @given
def run() -> clock.RunVirtual:
    """Run a coroutine on virtual time; what it leaves running fails the test."""
    return clock.run_virtual


@pytest.fixture
def run_real(request: pytest.FixtureRequest) -> clock.RunReal:
    """Run a coroutine on real time, at most 10 seconds unless told otherwise."""
    if request.node.get_closest_marker("real_clock") is None:
        pytest.fail("a test that uses run_real needs @pytest.mark.real_clock", pytrace=False)
    return clock.run_real


@pytest.fixture(scope="session")
def in_world() -> InWorld:
    """Run a coroutine function on virtual time with a World, whose hosts are stopped after it."""
    from tests.world import World  # noqa: PLC0415  tests of wire/ need none of what it imports

    def run_in_world(
        main: Callable[[World], Coroutine[Any, Any, T]], *, horizon: float = clock.HORIZON
    ) -> T:
        async def inside() -> T:
            async with World() as world:
                return await main(world)

        return clock.run_virtual(inside(), horizon=horizon)

    return run_in_world
