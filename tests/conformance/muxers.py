"""What every sans-IO multiplexer must do, tested without a loop and without a clock.

    class TestYamux(MuxerSuite):
        def wire(self) -> Wire:
            return YamuxWire()

Spec: libp2p specs, connections/README.md, "Stream Multiplexing".
"""

from __future__ import annotations

import contextlib
import random
from typing import Final

import pytest

from peerup.errors import LocalProtocolError, RemoteProtocolError, ResourceLimitError
from tests.conformance.conversation import Conversation, Wire, pattern

SILENCE_S: Final = 120.0  # within which every muxer notices that its peer is gone


class MuxerSuite:
    """Inherit as ``class Test…``, and say how to make a fresh wire."""

    def wire(self) -> Wire:
        raise NotImplementedError

    def talk(self) -> Conversation:
        return Conversation(self.wire())

    # --- bytes ------------------------------------------------------------------------

    def test_both_ends_call_a_stream_by_the_same_id(self) -> None:
        talk = self.talk()
        streams = [talk.wire.client.open_stream() for _ in range(3)]
        talk.exchange()
        assert talk.server.opened == streams
        own = talk.wire.server.open_stream()
        talk.exchange()
        assert talk.client.opened == [own]
        assert own not in streams

    def test_bytes_arrive_in_order_both_ways(self) -> None:
        talk = self.talk()
        stream = talk.open()
        up, down = pattern(10_000, 1), pattern(7_000, 2)
        for at in range(0, len(up), 999):
            assert talk.wire.client.send(stream, up[at : at + 999]) == len(up[at : at + 999])
        assert talk.wire.server.send(stream, memoryview(down)) == len(down)
        talk.exchange()
        assert talk.server.data[stream] == up
        assert talk.client.data[stream] == down

    def test_our_half_is_sent_once_its_last_byte_and_its_end_have_left(self) -> None:
        talk = self.talk()
        stream = talk.open()
        assert not talk.wire.client.sent(stream)
        payload = pattern(2 * talk.wire.window)
        taken = talk.wire.client.send(stream, payload)  # more than the peer takes unread
        talk.wire.client.close_write(stream)
        talk.exchange()
        assert talk.wire.client.sent(stream) is (taken <= talk.wire.window)
        left = taken
        while left:
            size = min(left, talk.wire.window // 2)
            talk.wire.server.consumed(stream, size, talk.wire.now)
            left -= size
            talk.exchange()
        assert talk.wire.client.sent(stream)
        assert talk.server.data[stream] == payload[:taken]

    def test_a_stream_that_is_reset_has_nothing_left_to_send(self) -> None:
        talk = self.talk()
        stream = talk.open()
        talk.wire.client.send(stream, b"x")
        talk.wire.client.reset(stream)
        talk.exchange()
        assert talk.wire.client.sent(stream)

    def test_streams_do_not_mix(self) -> None:
        talk = self.talk()
        streams = [talk.open() for _ in range(5)]
        payload = {stream: pattern(3_000, stream) for stream in streams}
        for at in range(0, 3_000, 500):
            for stream in streams:
                talk.wire.client.send(stream, payload[stream][at : at + 500])
        talk.exchange()
        assert talk.server.data == payload

    def test_a_stream_with_much_to_say_does_not_hold_up_one_with_little(self) -> None:
        talk = self.talk()
        loud, quiet = talk.open(), talk.open()
        talk.wire.client.send(loud, bytes(talk.wire.window))
        talk.wire.client.send(quiet, b"x")
        talk.exchange()
        assert talk.server.order.index(quiet) < len(talk.server.order) - 1

    # --- windows ----------------------------------------------------------------------

    def test_the_sender_stops_exactly_at_the_window(self) -> None:
        talk = self.talk()
        stream, window = talk.open(), talk.wire.window
        assert talk.wire.client.send(stream, bytes(window + 1)) == window + 1
        talk.exchange()
        assert len(talk.server.data[stream]) == window
        talk.exchange()
        assert len(talk.server.data[stream]) == window, "nothing was consumed meanwhile"

    def test_consumed_bytes_let_the_sender_go_on(self) -> None:
        talk = self.talk()
        stream, window = talk.open(), talk.wire.window
        payload = pattern(window + 5_000)
        talk.wire.client.send(stream, payload)
        talk.exchange()
        talk.consume(stream, window)
        talk.exchange()
        assert talk.server.data[stream] == payload

    def test_each_direction_has_its_own_window(self) -> None:
        talk = self.talk()
        stream, window = talk.open(), talk.wire.window
        talk.wire.client.send(stream, bytes(window + 1))
        talk.exchange()
        talk.wire.server.send(stream, b"answer")
        talk.exchange()
        assert talk.client.data[stream] == b"answer"

    def test_each_stream_has_its_own_window(self) -> None:
        talk = self.talk()
        stuck, free = talk.open(), talk.open()
        talk.wire.client.send(stuck, bytes(talk.wire.window + 1))
        talk.exchange()
        talk.wire.client.send(free, b"through")
        talk.exchange()
        assert talk.server.data[free] == b"through"

    def test_what_a_sender_may_hand_over_is_bounded(self) -> None:
        talk = self.talk()
        stream = talk.open()
        block, taken = bytes(64 * 1024), 0
        for _ in range(1000):
            step = talk.wire.client.send(stream, block)
            taken += step
            if not step:
                break
            talk.exchange()
        assert talk.wire.window <= taken <= talk.wire.window + talk.wire.queue

    def test_a_starved_writer_hears_when_there_is_room(self) -> None:
        talk = self.talk()
        stream, most = talk.open(), talk.wire.window + talk.wire.queue
        left = most + 100_000
        while step := talk.wire.client.send(stream, bytes(left)):
            left -= step
            talk.exchange()
        talk.client.writable.clear()
        consumed = 0
        for _ in range(100):
            arrived = len(talk.server.data[stream])
            talk.consume(stream, arrived - consumed)
            consumed = arrived
            talk.exchange()
            if stream in talk.client.writable:
                break
        assert stream in talk.client.writable
        assert talk.wire.client.send(stream, bytes(left)) > 0

    # --- half-close -------------------------------------------------------------------

    def test_the_end_comes_after_all_bytes(self) -> None:
        talk = self.talk()
        stream = talk.open()
        payload = pattern(100_000)
        talk.wire.client.send(stream, payload)
        talk.wire.client.close_write(stream)
        talk.exchange()
        assert talk.server.data[stream] == payload
        assert talk.server.ended == [stream]

    def test_the_end_waits_for_the_window_too(self) -> None:
        talk = self.talk()
        stream, window = talk.open(), talk.wire.window
        talk.wire.client.send(stream, bytes(window + 1))
        talk.wire.client.close_write(stream)
        talk.exchange()
        assert talk.server.ended == []
        talk.consume(stream, window)
        talk.exchange()
        assert len(talk.server.data[stream]) == window + 1
        assert talk.server.ended == [stream]

    def test_the_other_half_goes_on_after_an_end(self) -> None:
        talk = self.talk()
        stream, window = talk.open(), talk.wire.window
        talk.wire.client.close_write(stream)
        talk.exchange()
        assert talk.server.ended == [stream]
        answer = pattern(window)
        assert talk.wire.server.send(stream, answer) == window
        talk.exchange()
        talk.wire.client.consumed(stream, window, talk.wire.now)
        talk.wire.server.send(stream, b"more")
        talk.wire.server.close_write(stream)
        talk.exchange()
        assert talk.client.data[stream] == answer + b"more"
        assert talk.client.ended == [stream]
        assert not talk.client.resets
        assert not talk.server.resets

    def test_both_may_end_at_the_same_time(self) -> None:
        talk = self.talk()
        stream = talk.open()
        for muxer in (talk.wire.client, talk.wire.server):
            muxer.send(stream, b"last words")
            muxer.close_write(stream)
        talk.exchange()
        assert talk.server.data == talk.client.data == {stream: b"last words"}
        assert talk.server.ended == talk.client.ended == [stream]

    def test_nothing_can_be_sent_after_the_end(self) -> None:
        talk = self.talk()
        stream = talk.open()
        talk.wire.client.close_write(stream)
        talk.wire.client.close_write(stream)
        with pytest.raises(LocalProtocolError):
            talk.wire.client.send(stream, b"x")
        talk.exchange()
        assert talk.server.ended == [stream]

    # --- reset ------------------------------------------------------------------------

    def test_a_reset_carries_its_code(self) -> None:
        talk = self.talk()
        ours, theirs = talk.open(), talk.open()
        talk.wire.client.reset(ours, 0x1002)
        talk.wire.server.reset(theirs, 7)
        talk.exchange()
        assert talk.server.resets == {ours: 0x1002}
        assert talk.client.resets == {theirs: 7}

    def test_a_reset_drops_what_waits_and_closes_both_halves(self) -> None:
        talk = self.talk()
        stream = talk.open()
        talk.wire.client.send(stream, bytes(talk.wire.window + 1))
        talk.exchange()
        talk.wire.client.reset(stream)
        talk.exchange()
        assert len(talk.server.data[stream]) == talk.wire.window
        assert talk.server.ended == []
        for muxer in (talk.wire.client, talk.wire.server):
            with pytest.raises(LocalProtocolError):
                muxer.send(stream, b"x")

    def test_a_reset_after_our_end_still_tells_the_peer(self) -> None:
        talk = self.talk()
        stream = talk.open()
        talk.wire.client.close_write(stream)
        talk.exchange()
        talk.wire.client.reset(stream, 3)
        talk.exchange()
        assert talk.server.resets == {stream: 3}

    def test_other_streams_live_on_after_a_reset(self) -> None:
        talk = self.talk()
        gone, kept = talk.open(), talk.open()
        talk.wire.client.send(gone, b"lost")
        talk.wire.client.send(kept, b"kept")
        talk.wire.client.reset(gone)
        talk.exchange()
        assert talk.server.data[kept] == b"kept"
        assert set(talk.server.resets) == {gone}

    def test_calls_about_a_stream_that_is_gone_do_nothing(self) -> None:
        talk = self.talk()
        stream = talk.open()
        talk.wire.client.reset(stream, 1)
        talk.exchange()
        for muxer in (talk.wire.client, talk.wire.server):
            muxer.reset(stream, 2)
            muxer.close_write(stream)
            muxer.consumed(stream, 10, talk.wire.now)
        talk.exchange()
        assert talk.server.resets == {stream: 1}
        assert talk.client.resets == {}

    # --- the whole session ------------------------------------------------------------

    def test_streams_that_nobody_takes_are_bounded_and_come_back(self) -> None:
        talk = self.talk()
        muxer = talk.wire.client
        streams: list[int] = []
        while muxer.can_open and len(streams) < 100_000:
            streams.append(muxer.open_stream())
        assert len(streams) < 100_000
        with pytest.raises(ResourceLimitError):
            muxer.open_stream()
        talk.exchange()
        for stream in streams:
            muxer.close_write(stream)
            talk.wire.server.close_write(stream)
        talk.exchange()
        assert muxer.can_open
        assert talk.open() not in streams

    def test_closing_ends_the_session_at_the_other_side(self) -> None:
        talk = self.talk()
        talk.open()
        talk.wire.client.close(0x1007)
        talk.wire.client.close(0)
        talk.exchange()
        assert talk.server.terminated == [0x1007]
        for muxer in (talk.wire.client, talk.wire.server):
            assert not muxer.can_open
            with pytest.raises(LocalProtocolError):
                muxer.open_stream()

    def test_a_silent_peer_is_found_out(self) -> None:
        talk = self.talk()
        talk.exchange()
        began, muxer = talk.wire.now, talk.wire.client
        while (due := muxer.next_timer()) is not None:
            assert due <= began + SILENCE_S
            talk.wire.now = max(talk.wire.now, due)
            muxer.handle_timer(talk.wire.now)
            while (event := muxer.next_event()) is not None:
                talk.client.add([event])
            if talk.client.terminated:
                return
        pytest.fail("the muxer waits for ever")

    def test_a_peer_that_answers_is_kept_for_hours(self) -> None:
        talk = self.talk()
        end = talk.wire.now + 3 * 3600
        while talk.wire.now < end:
            timers = [talk.wire.client.next_timer(), talk.wire.server.next_timer()]
            talk.wire.now = max(talk.wire.now, min([end, *filter(None, timers)]))
            talk.wire.client.handle_timer(talk.wire.now)
            talk.wire.server.handle_timer(talk.wire.now)
            talk.exchange()
        assert talk.client.terminated == talk.server.terminated == []

    @pytest.mark.parametrize("seed", range(40))
    def test_garbage_is_an_error_of_the_peer_or_nothing(self, seed: int) -> None:
        talk = self.talk()
        stream = talk.open()
        talk.wire.client.send(stream, b"before")
        talk.exchange()
        with contextlib.suppress(RemoteProtocolError):
            talk.wire.inject(pattern(random.Random(seed).randrange(1, 2_000), seed))
        while (event := talk.wire.server.next_event()) is not None:
            talk.server.add([event])
        assert talk.server.data[stream].startswith(b"before")
