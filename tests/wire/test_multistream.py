from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, NegotiationError, RemoteProtocolError
from peerup.wire.multistream import MAX_MESSAGE, MAX_PROPOSALS, Proposer, Responder, frame
from tests.wire.multistream_lines import HEADER, NA, line, lines

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST: Final = "/" + "x" * (MAX_MESSAGE - 2)


def responder(*names: str) -> Responder:
    """A responder that supports and lists these names."""
    return Responder(names.__contains__, lambda: names)


def greeted(*names: str) -> Responder:
    """One that has exchanged headers with its proposer."""
    machine = responder(*names)
    machine.receive(HEADER)
    assert machine.data_to_send() == HEADER
    return machine


def talk(proposer: Proposer, machine: Responder) -> None:
    """Let both speak until neither has more to say."""
    while (up := proposer.data_to_send()) + (down := machine.data_to_send()):
        machine.receive(up)
        proposer.receive(down)


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("/multistream/1.0.0", "132f6d756c746973747265616d2f312e302e300a"),
        ("/noise", "072f6e6f6973650a"),
        ("/yamux/1.0.0", "0d2f79616d75782f312e302e300a"),
        ("na", "036e610a"),
        ("/" + "x" * 125, "7f2f" + "78" * 125 + "0a"),
        ("/" + "x" * 126, "80012f" + "78" * 126 + "0a"),
    ],
)
def test_a_message_is_its_length_the_text_and_a_newline(text: str, wire: str) -> None:
    assert frame(text).hex() == wire


@pytest.mark.parametrize("text", ["", "/a\n", "/\x1b[31m", "/\xe4", LONGEST + "x"])
def test_our_own_protocol_ids_are_short_printable_ascii(text: str) -> None:
    with pytest.raises(ValueError, match="not a protocol id"):
        frame(text)


def test_whoever_proposes_proposes_something() -> None:
    with pytest.raises(ValueError, match="nothing to propose"):
        Proposer([])


def test_header_and_first_proposal_leave_before_anything_arrives() -> None:
    assert Proposer(["/a", "/b"]).data_to_send() == HEADER + line("/a")


def test_the_responder_sends_its_header_before_anything_arrives() -> None:
    assert responder("/a").data_to_send() == HEADER


@pytest.mark.parametrize(
    ("proposals", "supported", "agreed"),
    [
        (["/a"], ["/a"], "/a"),
        (["/a", "/b"], ["/b", "/a"], "/a"),
        (["/a", "/b", "/c"], ["/c"], "/c"),
        ([LONGEST], [LONGEST], LONGEST),
        (["no slash"], ["no slash"], "no slash"),
    ],
)
def test_the_first_proposal_that_is_supported_is_agreed_on(
    proposals: list[str], supported: list[str], agreed: str
) -> None:
    ours, theirs = Proposer(proposals), responder(*supported)
    talk(ours, theirs)
    assert (ours.agreed, theirs.agreed) == (agreed, agreed)
    assert (ours.leftover, theirs.leftover) == (b"", b"")


def test_nothing_in_common_is_an_error_that_names_the_proposals() -> None:
    ours, theirs = Proposer(["/a", "/b"]), responder("/c")
    with pytest.raises(NegotiationError, match="not supported: /a, /b"):
        talk(ours, theirs)
    assert (ours.agreed, theirs.agreed) == (None, None)


def test_a_table_may_hold_patterns_and_the_name_that_was_asked_is_echoed() -> None:
    ours, theirs = Proposer(["/pre/9.9"]), Responder(lambda name: name.startswith("/pre/"))
    talk(ours, theirs)
    assert (ours.agreed, theirs.agreed) == ("/pre/9.9", "/pre/9.9")


def test_what_follows_the_agreement_belongs_to_the_protocol() -> None:
    theirs = responder("/a")
    theirs.receive(HEADER + line("/a") + b"data")
    theirs.receive(b" and more")
    assert (theirs.agreed, theirs.leftover) == ("/a", b"data and more")

    ours = Proposer(["/a"])
    ours.receive(HEADER + line("/a") + line("na"))
    assert (ours.agreed, ours.leftover) == ("/a", NA)


def test_a_proposal_can_come_in_the_same_segment_as_the_one_before() -> None:
    theirs = responder("/b")
    theirs.receive(HEADER + line("/a") + line("/b") + b"data")
    assert theirs.data_to_send() == HEADER + NA + line("/b")
    assert (theirs.agreed, theirs.leftover) == ("/b", b"data")


def test_ls_is_answered_with_the_names_in_one_message() -> None:
    theirs = greeted("/a/1", "/b/1")
    theirs.receive(line("ls") + line("/a/1"))
    listing = bytes.fromhex("0d052f612f310a052f622f310a0a")
    assert theirs.data_to_send() == listing + line("/a/1")
    assert theirs.agreed == "/a/1"


def test_ls_of_nothing_is_an_empty_line() -> None:
    theirs = Responder(lambda _: False)
    theirs.receive(HEADER + line("ls"))
    assert theirs.data_to_send() == HEADER + b"\x01\n"


def test_a_listing_is_never_longer_than_a_message_may_be() -> None:
    names = [f"/protocol/{number:04}/1.0.0" for number in range(100)]
    theirs = greeted(*names)
    theirs.receive(line("ls"))
    (listing,) = lines(theirs.data_to_send())
    assert len(listing) < MAX_MESSAGE
    listed = lines(listing.encode())
    assert listed == names[: len(listed)]
    assert len(listed) == 46  # 1,013 bytes; one more would make it 1,035


@pytest.mark.parametrize(
    "name", ["na", "/multistream/1.0.0", "/libp2p/simultaneous-connect", "/a "]
)
def test_what_is_not_supported_is_not_available(name: str) -> None:
    theirs = greeted("/a")
    theirs.receive(line(name))
    assert (theirs.data_to_send(), theirs.agreed) == (NA, None)


@pytest.mark.parametrize(
    "name",
    ["/a\nb", "/\x1b[2J", "/\x00", "/\x7f", "/\xe4", "/\u202e", "", " " * 9 + "\t"],
)
def test_no_name_that_cannot_be_printed_is_agreed_on(name: str) -> None:
    theirs = Responder(lambda _: True)
    theirs.receive(HEADER + line(name))
    assert (theirs.data_to_send(), theirs.agreed) == (HEADER + NA, None)


def test_64_proposals_are_answered_and_the_next_is_one_too_many() -> None:
    theirs = greeted("/a")
    asks = [line("ls")] * 4 + [line("na")] * 4 + [line(f"/x/{i}") for i in range(56)]
    assert len(asks) == MAX_PROPOSALS
    theirs.receive(b"".join(asks))
    with pytest.raises(LimitError, match="more than 64 proposals"):
        theirs.receive(line("/x"))


def test_the_last_proposal_that_is_allowed_may_succeed() -> None:
    theirs = greeted("/a")
    theirs.receive(line("/x") * MAX_PROPOSALS + line("/a"))
    assert theirs.agreed == "/a"


def test_a_responder_that_only_ever_refuses_is_given_up() -> None:
    ours = Proposer(["/a", "/b", "/c"])
    with pytest.raises(NegotiationError):
        ours.receive(HEADER + NA * 10_000)
    assert ours.agreed is None


MACHINES: Final[dict[str, Callable[[], Proposer | Responder]]] = {
    "proposer": lambda: Proposer(["/a", "/b"]),
    "responder": lambda: responder("/a", "/b"),
}
both = pytest.mark.parametrize("make", MACHINES.values(), ids=MACHINES.keys())


@both
@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"\x00", "is not /multistream/1.0.0"),
        (HEADER + b"\x00", "empty message"),
        (HEADER + b"\x052/1.0x", "without a newline"),
        (HEADER[:-1] + b"\r", "is not /multistream/1.0.0"),
        (HEADER + b"\x03\xff\xfe\n", "not UTF-8"),
        (HEADER + b"\x81\x08", "1025 bytes"),
        (HEADER + b"\xff\x7f", "16383 bytes"),
        (b"\x93\x00" + HEADER[1:], "is not /multistream/1.0.0"),  # not the minimal length
        (HEADER + b"\x83\x00na\n", "longer than 1024"),
        (HEADER + b"\x80\x80\x01", "longer than 1024"),
        (HEADER + b"\xff" * 10, "longer than 1024"),
        (line("/a"), "is not /multistream/1.0.0"),
        (line("/multistream/2.0.0"), "is not /multistream/1.0.0"),
        (NA, "is not /multistream/1.0.0"),
        (b"GET / HTTP/1.0\r\n\r\n", "is not /multistream/1.0.0"),  # short of its "length"
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is not /multistream/1.0.0"),
        (b"\x16\x03\x01", "is not /multistream/1.0.0"),  # TLS
    ],
    ids=range(17),
)
def test_what_is_no_multistream_is_refused(
    make: Callable[[], Proposer | Responder], wire: bytes, error: str
) -> None:
    machine = make()
    with pytest.raises(RemoteProtocolError, match=error):
        machine.receive(wire)
    assert machine.agreed is None


@pytest.mark.parametrize("answer", ["/b", "/multistream/1.0.0", "ls", "/A", ""])
def test_an_answer_must_be_the_proposal_or_na(answer: str) -> None:
    ours = Proposer(["/a", "/b"])
    with pytest.raises(RemoteProtocolError, match="not made"):
        ours.receive(HEADER + line(answer))


@both
def test_a_message_of_1024_bytes_is_read(make: Callable[[], Proposer | Responder]) -> None:
    machine = make()
    machine.receive(HEADER)
    if isinstance(machine, Responder):
        machine.receive(line(LONGEST))
        assert machine.data_to_send() == HEADER + NA
    else:
        with pytest.raises(RemoteProtocolError, match="not made"):
            machine.receive(line(LONGEST))


messages = st.one_of(
    st.sampled_from([HEADER, NA, line("/a"), line("/b"), line("ls"), b"\x00", b"\x80"]),
    st.text(max_size=5).map(line),
    st.binary(max_size=5),
)


def outcome(machine: Proposer | Responder, reads: list[bytes]) -> tuple[object, ...]:
    """What a machine makes of what it reads."""
    error = ""
    try:
        for data in reads:
            machine.receive(data)
    except (RemoteProtocolError, NegotiationError) as why:
        error = str(why)
    return machine.agreed, machine.leftover, machine.data_to_send(), error


@both
@given(parts=st.lists(messages, max_size=8), greet=st.booleans(), draw=st.data())
def test_any_bytes_mean_something_or_are_refused_however_they_are_cut(
    make: Callable[[], Proposer | Responder], parts: list[bytes], greet: bool, draw: st.DataObject
) -> None:
    wire = HEADER * greet + b"".join(parts)
    reads, at = [], 0
    while at < len(wire):
        size = draw.draw(st.integers(1, len(wire) - at), label="bytes in this read")
        reads.append(wire[at : at + size])
        at += size
    whole = outcome(make(), [wire])
    assert outcome(make(), reads) == whole
    assert outcome(make(), [bytes([byte]) for byte in wire]) == whole


@both
@given(parts=st.lists(messages, max_size=8), greet=st.booleans())
def test_reading_no_more_than_is_wanted_never_reads_too_much(
    make: Callable[[], Proposer | Responder], parts: list[bytes], greet: bool
) -> None:
    wire = HEADER * greet + b"".join(parts)
    machine, at = make(), 0
    try:
        while at < len(wire) and machine.agreed is None:
            wanted = machine.wanted
            assert wanted >= 1
            machine.receive(wire[at : at + wanted])
            at += wanted
    except (RemoteProtocolError, NegotiationError):
        return
    assert machine.leftover == b""


def test_reading_what_is_wanted_takes_few_reads() -> None:
    machine, reads, at = responder(LONGEST), 0, 0
    wire = HEADER + line(LONGEST)
    while machine.agreed is None:
        wanted = machine.wanted
        machine.receive(wire[at : at + wanted])
        at, reads = at + wanted, reads + 1
    assert reads == 5  # length and text of the header; two bytes of length, then the name
