"""Invite codes: the vectors of Go peerup, and everything that a code can suffer on its way."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import UsageError
from peerup.wire.invite import MAX_CODE_CHARS, V1, V2, Invite, can_carry, decode, encode
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from tests.world import peer_of

R1: Final = PeerId.parse("12D3KooWRzaGMTqQbRHNMZkAYj8ALUXoK99qSjhiFLanDoVWK9An")
R2: Final = PeerId.parse("12D3KooWQvzCBP1MdU6g3UC6rUwHtDkbMUWQKDapmHqQFPqZqTn7")
INV: Final = PeerId.parse("12D3KooWPrmh163sTHW3mYQm7YsLsSR2wr71fPp4g6yjuGv3sGQt")
PLACE: Final = Multiaddr.parse("/ip4/203.0.113.50/tcp/7777")
TOKEN: Final = bytes.fromhex("0102030405060708")

A1: Final = (
    "AIAQ-EAYE-AUDA-OCGL-ABYT-EHTB-EYAC-ICAB-CIQP-AWD2-BFSK-JRGN-FE7R-DFHY-CCW2-PXUE-7N6R-LGD3-"
    "3MVO-FP4L-WTKU-V5YA-AASA-QAIS-EDIK-CX7I-U7OX-HR3G-TW7Q-DAHO-OQLU-ALA4-JNOT-VXA6-QL5A-TFJ4-"
    "OBYF-K"
)
A2: Final = (
    "ALPK-3PXP-ZL7L-VPWL-ABYT-EHTB-EYAC-ICAB-CIQO-BEMF-UXEY-BE3D-RMBI-W4LY-F6XG-OWOB-CFJI-DKBZ-"
    "3KA3-H5VB-NJBZ-VYAH-NV4S-2Y3S-MV3Q-AJAI-AEJC-BUFB-L7UK-PXLT-Y5TJ-3PYB-QDXH-IF2A-FQOE-WXJ2-"
    "3QPI-F6QJ-SU6H-A4CV"
)
A3: Final = (
    "AEAQ-EAYE-AUDA-OCGL-ABYT-EHTB-EYAC-ICAB-CIQP-AWD2-BFSK-JRGN-FE7R-DFHY-CCW2-PXUE-7N6R-LGD3-"
    "3MVO-FP4L-WTKU-V5YA-EQEA-CERA-2CQV-72FH-3VZ4-OZU5-X4AY-B3TU-C5AC-YHCL-LU5N-YHUC-7IEZ-KPDQ-"
    "OBKQ"
)
A5: Final = "AMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
A6_V1: Final = (
    "AEAQ-EAYE-AUDA-OCGL-ABYT-EHTB-EYAC-ICAB-CIQP-AWD2-BFSK-JRGN-FE7R-DFHY-CCW2-PXUE-7N6R-LGD3-"
    "3MVO-FP4L-WTKU-V5YA-AASA-QAIS-EDIK-CX7I-U7OX-HR3G-TW7Q-DAHO-OQLU-ALA4-JNOT-VXA6-QL5A-TFJ4-"
    "OBYF-K"
)
A6_V2: Final = (
    "AIAQ-EAYE-AUDA-OCAJ-BIFQ-YDIO-B4IM-WADR-GIPG-CJQA-EQEA-CERA-6BMH-UCLE-UTCM-2KJ7-CGKP-QEFN-"
    "U7PI-J635-CWMH-XWZK-4K7Y-XNGV-JL3Q-A"
)
A4_PLACE: Final = Multiaddr.parse("/ip4/127.0.0.1/tcp/65535").with_peer(R1)

VECTORS: Final = [
    (A1, Invite(TOKEN, PLACE.with_peer(R1), INV)),
    (A2, Invite(bytes.fromhex("deadbeefcafebabe"), PLACE.with_peer(R2), INV, "my-crew")),
    (A3, Invite(TOKEN, PLACE.with_peer(R1), INV, version=V1)),
]


@pytest.mark.parametrize(("code", "invite"), VECTORS, ids=["A1", "A2", "A3"])
def test_codes_are_those_of_go(code: str, invite: Invite) -> None:
    assert encode(invite) == code
    assert decode(code) == invite


def test_the_longest_code_is_that_of_go() -> None:
    invite = Invite(bytes(8), A4_PLACE, INV, "a" * 63)
    code = encode(invite)
    assert len(code) == 312
    assert code.startswith("AIAA-AAAA-AAAA-AAD7-AAAA-D777-EYAC")
    assert code.endswith("-Y4DQ-KU")
    assert decode(code) == invite


@pytest.mark.parametrize(
    "written",
    [
        A2.lower(),
        A2.replace("-", ""),
        A2.replace("-", " "),
        f"  {A2}\r\n",
        A2.replace("-", "\n", 3),
        A2.replace("-", "\u2013"),  # what some editors make of a hyphen
    ],
)
def test_how_a_code_is_grouped_does_not_matter(written: str) -> None:
    assert decode(written) == VECTORS[1][1]


def reason(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        decode(text)
    assert caught.value.hint
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_code_of_a_future_version_says_so() -> None:
    assert "version 3 is newer than supported; please upgrade" in reason(A5)
    assert "version: 0" in reason("AAAA" * 8)


@pytest.mark.parametrize("code", [A6_V1, A6_V2])
def test_a_code_of_a_later_go_peerup_is_known_for_one(code: str) -> None:
    assert "of a later Go peerup" in reason(code)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("", "empty"),
        ("  - ", "empty"),
        (A2[:20], "too short"),
        (A2[:60], "truncated"),
        (A2[:-10], "peer id in it is damaged"),
        (A2 + "AAAA", "2 bytes|40|damaged"),
        (A1 + "AAAA", "missing or too many|damaged|last letter"),
        (A2.replace("3PXP", "3PX0"), "0 in group 2 .* is it the letter O"),
        (A2.replace("3PXP", "3PX1"), "letter I or L"),
        (A2.replace("3PXP", "3PX8"), "letter B"),
        (A2.replace("3PXP", "3PX!"), "! in group 2"),
        (A2.replace("3PXP", "3PX\x1b"), r"\\x1b in group 2"),
        (A2.replace("3PXP", "3PX\u0130"), "letter 8 is none"),
        ("A" * (MAX_CODE_CHARS + 1), "are no code"),
    ],
)
def test_what_is_wrong_with_a_code_is_said(code: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        decode(code)


def test_a_network_name_that_is_none_is_refused() -> None:
    data = bytearray(base64.b32decode(A2.replace("-", "")))
    data[data.index(b"my-crew")] = 0x1B
    assert "network name" in reason(base64.b32encode(bytes(data)).decode())


@pytest.mark.parametrize("symbols", [1, 3, 6])
def test_w33_a_last_group_that_no_encoder_writes_is_refused(symbols: int) -> None:
    whole = A2.replace("-", "")  # 160 symbols, so that these make a group of their own
    assert "a letter is missing or too many" in reason(whole + "A" * symbols)


def test_w33_bits_behind_the_last_byte_are_zero() -> None:
    for last in "LMNOPQRSTUVWXYZ":
        code = A1[:-1] + last
        if last in "AIQY":  # 745 bits: one is left over
            continue
        try:
            decoded = decode(code)
        except UsageError:
            continue
        assert encode(decoded) == code


def test_w14_a_slip_in_an_id_is_noticed_where_it_changes_the_length_or_kind() -> None:
    whole = A2.replace("-", "")
    noticed = 0
    for at in range(len(whole)):
        try:
            decode(whole[:at] + whole[at + 1 :])  # one symbol lost
        except UsageError:
            noticed += 1
    assert noticed == len(whole)


multihashes = st.binary(min_size=32, max_size=32).map(lambda key: b"\x00\x24\x08\x01\x12\x20" + key)
invites = st.builds(
    Invite,
    token=st.binary(min_size=8, max_size=8),
    relay=st.builds(
        lambda host, port, peer: Multiaddr.parse(f"/ip4/{host}/tcp/{port}").with_peer(
            PeerId.from_bytes(peer)
        ),
        st.ip_addresses(v=4),
        st.integers(0, 65535),
        multihashes,
    ),
    inviter=multihashes.map(PeerId.from_bytes),
    network=st.from_regex(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?", fullmatch=True),
)


@given(invite=invites)
def test_encode_and_decode_are_inverse(invite: Invite) -> None:
    assert decode(encode(invite)) == invite
    older = replace(invite, version=V1, network="")
    code = encode(older)
    try:
        assert decode(code) == older
    except UsageError as why:  # an id that begins as a later Go's namespace would: not ours
        pytest.fail(str(why))


@given(text=st.text())
def test_any_text_is_a_code_or_an_error_of_ours(text: str) -> None:
    message = ""
    try:
        decode(text)
    except UsageError as why:
        message = str(why)
    assert message.isprintable()


@given(data=st.binary(max_size=200), version=st.sampled_from([V1, V2]))
def test_any_bytes_are_a_code_or_an_error_of_ours(data: bytes, version: int) -> None:
    text = base64.b32encode(bytes([version]) + data).decode().rstrip("=")
    try:
        invite = decode(text)
    except UsageError:
        return
    assert encode(invite).replace("-", "") == text


@given(
    invite=invites,
    at=st.integers(0, 400),
    symbol=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
)
def test_a_mistyped_code_is_another_code_or_an_error(invite: Invite, at: int, symbol: str) -> None:
    code = encode(invite).replace("-", "")
    at %= len(code)
    mistyped = code[:at] + symbol + code[at + 1 :]
    try:
        found = decode(mistyped)
    except UsageError:
        return
    assert (found == invite) is (mistyped == code)


RELAY: Final = PLACE.with_peer(R1)


@pytest.mark.parametrize(
    "invite",
    [
        Invite(TOKEN, Multiaddr.parse("/ip6/::1/tcp/1").with_peer(R1), INV),
        Invite(TOKEN, Multiaddr.parse("/ip4/127.0.0.1/udp/1/quic-v1").with_peer(R1), INV),
        Invite(TOKEN, Multiaddr.parse("/dns4/example.org/tcp/1").with_peer(R1), INV),
        Invite(TOKEN, PLACE, INV),
        Invite(TOKEN[1:], RELAY, INV),
        Invite(TOKEN, RELAY, INV, "Not A Label"),
        Invite(TOKEN, RELAY, INV, "a" * 64),
        Invite(TOKEN, RELAY, INV, "crew", version=V1),
        Invite(TOKEN, RELAY, INV, version=3),
    ],
)
def test_what_no_code_can_hold_is_not_encoded(invite: Invite) -> None:
    with pytest.raises(ValueError, match=r"code|token|network"):
        encode(invite)


def test_which_relays_a_code_can_hold() -> None:
    assert can_carry(RELAY)
    assert not can_carry(PLACE)
    assert not can_carry(Multiaddr.parse("/ip4/1.2.3.4/tcp/443/ws").with_peer(peer_of("relay")))
