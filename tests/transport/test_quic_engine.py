from __future__ import annotations

from tests.conformance.conversation import Wire
from tests.conformance.muxers import MuxerSuite
from tests.transport.quic_wire import QuicWire


class TestQuic(MuxerSuite):
    def wire(self) -> Wire:
        return QuicWire()
