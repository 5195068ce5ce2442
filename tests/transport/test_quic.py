from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from peerup.transport.quic import Quic
from tests.conformance.transports import TransportSuite

if TYPE_CHECKING:
    from peerup.transport.base import TransportFactory
    from tests.conformance.byte_streams import Drive
    from tests.sim.clock import RunReal

pytestmark = pytest.mark.real_clock

LOOPBACK: Final = "/ip4/127.0.0.1/udp/0/quic-v1"


class TestQuic(TransportSuite):
    listen_on = LOOPBACK

    @pytest.fixture
    def drive(self, run_real: RunReal) -> Drive[None]:
        return run_real

    def factory(self) -> TransportFactory:
        return Quic
