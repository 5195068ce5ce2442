from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, NegotiationError, RemoteProtocolError
from peerup.transport.memory import Pipe, pipe
from peerup.transport.negotiation import finish, propose, respond
from peerup.wire.multistream import HEADER, MAX_PROPOSALS, Proposer, frame
from tests.conformance.byte_streams import read_all

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from tests.sim.clock import RunVirtual

OPENING = frame(HEADER)


def as_responder(end: Pipe) -> Coroutine[None, None, tuple[str, bytes]]:
    return respond(end, {"/b"}.__contains__)


def as_proposer(end: Pipe) -> Coroutine[None, None, tuple[str, bytes]]:
    return propose(end, ["/b"])


SIDES = (as_responder, as_proposer)


async def agree(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, str]:
    """What both sides come to."""
    one, two = pipe()
    async with asyncio.TaskGroup() as group:
        proposer = group.create_task(propose(one, ours))
        responder = group.create_task(respond(two, theirs.__contains__))
    (left, left_over), (right, right_over) = proposer.result(), responder.result()
    assert left_over == right_over == b""
    return left, right


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (["/a"], ["/a"], "/a"),
        (["/a", "/b"], ["/b", "/a"], "/a"),
        (["/a", "/b", "/c"], ["/c"], "/c"),
    ],
)
def test_the_first_proposal_that_the_other_side_speaks_is_taken(
    run: RunVirtual, ours: list[str], theirs: list[str], chosen: str
) -> None:
    assert run(agree(ours, theirs)) == (chosen, chosen)


def test_a_responder_may_decide_by_a_rule(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        async with asyncio.TaskGroup() as group:
            group.create_task(propose(one, ["/x/2.0.0", "/x/1.7.0"]))
            answer = group.create_task(respond(two, lambda name: name.startswith("/x/1.")))
        assert answer.result() == ("/x/1.7.0", b"")

    run(main())


def test_none_in_common_is_an_error_for_the_proposer(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        responder = asyncio.create_task(respond(two, {"/b"}.__contains__))
        with pytest.raises(NegotiationError, match="/a"):
            await propose(one, ["/a", "/c"])
        one.close_write()
        with pytest.raises(RemoteProtocolError):
            await responder

    run(main())


def test_what_follows_the_agreement_stays_on_the_stream(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        await one.write(OPENING + frame("/a") + b"first words")
        assert await respond(two, {"/a"}.__contains__) == ("/a", b"")
        assert await two.read() == b"first words"
        await two.write(b"answer")
        assert await propose(one, ["/a"]) == ("/a", b"")
        assert await one.read() == b"answer"

    run(main())


def test_a_channel_of_whole_records_gets_what_follows_back(run: RunVirtual) -> None:
    class Records(Pipe):
        """Pays no heed to how much was asked for, like a Noise channel."""

        async def read(self, max_bytes: int = 0) -> bytes:
            return await super().read()

    async def main() -> None:
        one, two = pipe()
        await one.write(OPENING + frame("/a") + b"first words")
        channel = Records(two._in, two._out)
        assert await respond(channel, {"/a"}.__contains__) == ("/a", b"first words")

    run(main())


def test_a_cancelled_proposal_can_be_finished_later(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        machine = Proposer(["/a"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await finish(one, machine)
        await respond(two, {"/a"}.__contains__)
        assert await finish(one, machine) == ("/a", b"")

    run(main())


def test_a_list_is_answered(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        await one.write(OPENING + frame("ls") + frame("/a"))
        await respond(two, {"/a"}.__contains__, lambda: ["/a", "/b"])
        two.close_write()
        assert frame("/a") + frame("/b") in await read_all(one)

    run(main())


@pytest.mark.parametrize("sent", [b"", OPENING[:5], OPENING, OPENING + frame("/a")[:2]])
def test_hanging_up_is_the_fault_of_the_peer(run: RunVirtual, sent: bytes) -> None:
    async def main() -> None:
        for work in SIDES:
            one, two = pipe()
            await one.write(sent)
            one.close_write()
            with pytest.raises(RemoteProtocolError):
                await work(two)

    run(main())


def test_endless_proposals_are_cut_off(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        await one.write(OPENING + (MAX_PROPOSALS + 1) * frame("/nothing"))
        with pytest.raises(LimitError):
            await respond(two, {"/a"}.__contains__)

    run(main())


def test_a_reset_is_an_os_error(run: RunVirtual) -> None:
    async def main() -> None:
        one, two = pipe()
        one.reset()
        with pytest.raises(ConnectionResetError):
            await propose(two, ["/a"])

    run(main())


FOREIGN: Final = {
    "http": b"GET / HTTP/1.0\r\n\r\n",
    "http, a long one": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"Cookie: y\r\n" * 200 + b"\r\n",
    "tls": bytes.fromhex("1603010200010001fc0303") + bytes(100),
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
    "smtp": b"EHLO example.org\r\n",
    "old libp2p": b"\x13/multistream/0.9.0\n",
    "one byte": b"\x00",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_another_protocol_is_refused_at_its_first_bytes(run: RunVirtual, name: str) -> None:
    """Without waiting for more: such a client may well wait for us."""

    async def main() -> None:
        for work in SIDES:
            one, two = pipe()
            await one.write(FOREIGN[name])
            with pytest.raises(RemoteProtocolError):
                await work(two)

    run(main())


@given(data=st.binary(max_size=100), opened=st.booleans())
def test_any_bytes_are_an_answer_or_an_error_of_the_peer(
    run: RunVirtual, data: bytes, *, opened: bool
) -> None:
    async def main() -> None:
        one, two = pipe()
        await one.write((OPENING if opened else b"") + data)
        one.close_write()
        with pytest.raises((RemoteProtocolError, NegotiationError)):
            await propose(two, ["/never to be agreed on"])

    run(main())
