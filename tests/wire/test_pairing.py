"""The pairing exchange: Go's vectors in both roles, and what the other side may not do."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerup.errors import LimitError, LocalProtocolError, NotAuthorizedError, RemoteProtocolError
from peerup.wire.invite import V1, V2
from peerup.wire.pairing import (
    MAX_FRAME,
    MAX_LINE,
    Fixed,
    Inviter,
    Joiner,
    Secret,
    Step,
    derive_key,
    hkdf,
)

TOKEN: Final = bytes.fromhex("0102030405060708")
OTHER: Final = bytes.fromhex("0102030405060709")
JOINER_KEY: Final = b"\x11" * 32
INVITER_KEY: Final = b"\x22" * 32
JOINER_PUBLIC: Final = "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
INVITER_PUBLIC: Final = "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"
SHARED: Final = "9e004098efc091d4ec2663b4e9f5cfd4d7064571690b4bea97ab146ab9f35056"
KEY: Final = "210086310a5be138c6e0abf67ea5f983d29213bc22e9935b07b9664cef2cce4a"
NAME_FRAME: Final = "002e" + "33" * 24 + "72206ebc3cef24d3fb747c72171163c409b6c27dee87"
EMPTY_FRAME: Final = "0028" + "33" * 24 + "18c480a88a34c04e58d6402c327d25c1"
OK_FRAME: Final = "002f" + "44" * 24 + "966c174212a1cc1ed8b7c447fd101fc4be1c6630234489"
LOW_ORDER: Final = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def joiner(name: str = "laptop", token: bytes = TOKEN, version: int = V2) -> Joiner:
    return Joiner(token, name, version=version, fixed=Fixed(JOINER_KEY, b"\x33" * 24))


def inviter(token: bytes = TOKEN, version: int = V2) -> Inviter:
    return Inviter(token, version=version, fixed=Fixed(INVITER_KEY, b"\x44" * 24))


# --- the vectors of Go ----------------------------------------------------------------


def test_the_key_is_that_of_go() -> None:
    assert derive_key(bytes.fromhex(SHARED), TOKEN).hex() == KEY
    later = hkdf(bytes.fromhex(SHARED) + TOKEN, b"peerup-invite-v1")  # that of a later version
    assert later.hex() == "6f200ea6bebe3f05ffbc62184584c106119f4a76bc598ecad4c853e249ab3b3d"


def test_hkdf_is_that_of_rfc_5869() -> None:
    # test case 3: no salt, no info; the first 32 of its 42 bytes
    assert hkdf(b"\x0b" * 22, b"").hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    )


@pytest.mark.parametrize(("name", "frame"), [("laptop", NAME_FRAME), ("", EMPTY_FRAME)])
def test_a_joiner_sends_what_go_sends(name: str, frame: str) -> None:
    side = joiner(name)
    assert side.data_to_send().hex() == "02" + JOINER_PUBLIC
    side.receive(bytes.fromhex(INVITER_PUBLIC))
    assert side.data_to_send().hex() == frame
    assert side.inviter_name is None
    side.receive(bytes.fromhex(OK_FRAME))
    assert side.inviter_name == "home"
    assert side.data_to_send() == b""


@pytest.mark.parametrize(("name", "frame"), [("laptop", NAME_FRAME), ("", EMPTY_FRAME)])
def test_an_inviter_sends_what_go_sends(name: str, frame: str) -> None:
    side = inviter()
    side.receive(bytes.fromhex("02" + JOINER_PUBLIC))
    assert side.data_to_send().hex() == INVITER_PUBLIC
    side.receive(bytes.fromhex(frame))
    assert (side.step, side.joiner_name) == (Step.PROVEN, name)
    side.accept("home")
    assert side.data_to_send().hex() == OK_FRAME


def test_version_1_is_a_line_each_way() -> None:
    here, there = joiner(version=V1), inviter(version=V1)
    line = here.data_to_send()
    assert line == b"0102030405060708 laptop\n"
    there.receive(line)
    assert (there.step, there.joiner_name) == (Step.PROVEN, "laptop")
    there.accept("home")
    reply = there.data_to_send()
    assert reply == b"OK home\n"
    here.receive(reply)
    assert here.inviter_name == "home"


def test_version_1_without_names() -> None:
    assert joiner("", version=V1).data_to_send() == b"0102030405060708\n"
    there = inviter(version=V1)
    there.receive(b"0102030405060708\n")
    assert there.joiner_name == ""
    there.accept("")
    here = joiner("", version=V1)
    here.receive(there.data_to_send())
    assert here.inviter_name == ""


# --- any two of ours ------------------------------------------------------------------


@given(
    names=st.tuples(st.text(max_size=100), st.text(max_size=100)),
    token=st.binary(min_size=8, max_size=8),
    versions=st.sampled_from([(V2, V2), (V1, V1), (V2, V1)]),
    data=st.data(),
)
def test_how_the_bytes_are_cut_never_matters(
    names: tuple[str, str], token: bytes, versions: tuple[int, int], data: st.DataObject
) -> None:
    here, there = Joiner(token, names[0], version=versions[0]), Inviter(token, version=versions[1])

    def move(sent: bytes, side: Joiner | Inviter) -> None:
        while sent:
            cut = data.draw(st.integers(1, len(sent)))
            side.receive(sent[:cut])
            sent = sent[cut:]

    for _ in range(3):
        move(here.data_to_send(), there)
        if there.step is Step.PROVEN:
            there.accept(names[1])
        move(there.data_to_send(), here)
    expected = [name[:64].encode("utf-8", "replace").decode() for name in names]
    if versions[0] == V1:
        assert there.joiner_name.split() == expected[0].split()
        assert (here.inviter_name or "").split() == expected[1].split()
    else:
        assert there.joiner_name == expected[0]
        assert here.inviter_name == expected[1].strip()


# --- who does not have the code -------------------------------------------------------


def test_w08_a_joiner_with_another_token_is_told_nothing() -> None:
    here, there = joiner(token=OTHER), inviter()
    there.receive(here.data_to_send())
    here.receive(there.data_to_send())
    with pytest.raises(NotAuthorizedError):
        there.receive(here.data_to_send())
    assert there.step is Step.OVER
    assert there.data_to_send() == b""
    with pytest.raises(NotAuthorizedError, match="does not accept") as caught:
        here.receive(b"")
    assert "Copy the code again" in caught.value.hint


@pytest.mark.parametrize("line", [b"0102030405060709 x\n", b"\n", b"0\n", b"\xff\xfe\n", b"x y\n"])
def test_w08_a_wrong_token_of_version_1_gets_the_answer_of_go(line: bytes) -> None:
    there = inviter(version=V1)
    with pytest.raises(NotAuthorizedError):
        there.receive(line)
    assert there.data_to_send() == b"ERR invalid token\n"
    with pytest.raises(NotAuthorizedError, match="Invite rejected: invalid token"):
        joiner(version=V1).receive(b"ERR invalid token\n")


def test_w08_a_code_of_version_2_takes_no_joiner_of_version_1() -> None:
    there = inviter()
    with pytest.raises(RemoteProtocolError, match="older version"):
        there.receive(b"0102030405060708 laptop\n")  # even though it has the token
    assert there.data_to_send() == b"ERR invalid token\n"
    assert there.step is Step.OVER
    there.receive(b"more")  # is not even looked at
    assert there.data_to_send() == b""


def test_a_code_of_version_1_takes_joiners_of_both() -> None:
    there = inviter(version=V1)
    there.receive(joiner().data_to_send())
    there.receive(bytes.fromhex(NAME_FRAME))
    assert there.step is Step.PROVEN


# --- who sends what makes no sense ----------------------------------------------------


@pytest.mark.parametrize("public", LOW_ORDER)
def test_keys_that_agree_on_nothing_are_refused(public: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        inviter().receive(b"\x02" + public)
    with pytest.raises(RemoteProtocolError):
        joiner().receive(public)


@pytest.mark.parametrize("size", [0, 1, 24, 39, MAX_FRAME + 1, 0xFFFF])
def test_a_frame_of_no_possible_size_is_refused_before_it_is_read(size: int) -> None:
    frame = size.to_bytes(2, "big")
    there = inviter()
    there.receive(bytes.fromhex("02" + JOINER_PUBLIC))
    with pytest.raises(RemoteProtocolError):
        there.receive(frame)
    here = joiner()
    here.receive(bytes.fromhex(INVITER_PUBLIC))
    with pytest.raises(RemoteProtocolError):
        here.receive(frame)


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(LimitError):
        inviter(version=V1).receive(b"0" * (MAX_LINE + 1))
    with pytest.raises(LimitError):
        joiner(version=V1).receive(b"O" * MAX_LINE)


def test_w32_what_does_not_fit_into_a_frame_is_not_sent() -> None:
    here = joiner("n" * 70_000)
    here.data_to_send()
    here.receive(bytes.fromhex(INVITER_PUBLIC))
    assert len(here.data_to_send()) == 2 + 40 + 64  # characters of the name
    secret = Secret(TOKEN, Fixed(JOINER_KEY))
    secret.agree(bytes.fromhex(INVITER_PUBLIC))
    assert len(secret.seal("n" * (MAX_FRAME - 40))) == MAX_FRAME + 2
    with pytest.raises(ValueError, match="do not fit"):
        secret.seal("n" * (MAX_FRAME - 39))


@pytest.mark.parametrize(
    ("reply", "error", "what"),
    [
        ("ERR server error", NotAuthorizedError, "Invite rejected: server error"),
        ("ERR \x1b[31mred", NotAuthorizedError, r"Invite rejected: \\x1b\[31mred"),
        ("", RemoteProtocolError, "Unexpected response"),
        ("hello", RemoteProtocolError, "Unexpected response: hello"),
        ("\x1b]0;x", RemoteProtocolError, r"Unexpected response: \\x1b"),
    ],
)
def test_what_an_inviter_answers_instead_of_ok(
    reply: str, error: type[Exception], what: str
) -> None:
    here, secret = joiner(), Secret(TOKEN, Fixed(INVITER_KEY))
    secret.agree(bytes.fromhex(JOINER_PUBLIC))
    here.receive(bytes.fromhex(INVITER_PUBLIC))
    with pytest.raises(error, match=what):
        here.receive(secret.seal(reply))


def test_an_inviter_that_has_another_token_is_no_inviter() -> None:
    here = joiner()
    here.receive(bytes.fromhex(INVITER_PUBLIC))
    liar = Secret(OTHER, Fixed(INVITER_KEY))
    liar.agree(bytes.fromhex(JOINER_PUBLIC))
    with pytest.raises(RemoteProtocolError, match="another key"):
        here.receive(liar.seal("OK home"))


@given(data=st.binary(max_size=700), version=st.sampled_from([V1, V2]))
def test_any_bytes_mean_something_or_are_refused(data: bytes, version: int) -> None:
    for side in (inviter(version=version), joiner(version=version)):
        try:
            side.receive(data)
        except (RemoteProtocolError, NotAuthorizedError):
            continue
        if isinstance(side, Inviter):
            assert side.step is not Step.PROVEN  # nobody gets in by chance


@given(public=st.binary(min_size=32, max_size=32), frame=st.binary(min_size=40, max_size=200))
def test_no_frame_without_the_token_proves_anything(public: bytes, frame: bytes) -> None:
    there = inviter()
    with pytest.raises((RemoteProtocolError, NotAuthorizedError)):
        there.receive(b"\x02" + public + len(frame).to_bytes(2, "big") + frame)


# --- how it is used -------------------------------------------------------------------


def test_there_is_one_answer_and_only_to_who_has_the_code() -> None:
    there = inviter()
    with pytest.raises(LocalProtocolError):
        there.accept("home")
    there.receive(bytes.fromhex("02" + JOINER_PUBLIC + NAME_FRAME))
    there.refuse("used by another machine")
    with pytest.raises(LocalProtocolError):
        there.accept("home")
    here = joiner()
    with pytest.raises(NotAuthorizedError, match="Invite rejected: used by another machine"):
        here.receive(there.data_to_send())
