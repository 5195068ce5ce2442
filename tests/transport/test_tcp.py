from __future__ import annotations

import pytest

from peerup.transport.base import TransportFactory
from peerup.transport.tcp import Tcp
from tests.conformance.byte_streams import Drive
from tests.conformance.transports import TransportSuite
from tests.sim.clock import RunReal


@pytest.mark.real_clock
class TestTcp(TransportSuite):
    listen_on = "/ip4/127.0.0.1/tcp/0"

    @pytest.fixture
    def drive(self, run_real: RunReal) -> Drive[None]:
        return run_real

    def factory(self) -> TransportFactory:
        return Tcp
