"""Invite codes: one line of text that says where an inviter waits, and that one was invited.

A code is base32 in groups of four. What is in it, in bytes:

====  =======================================================
1     version: 2, or 1 for the code of an older Go peerup
8     token, the secret
4, 2  IPv4 address and TCP port of the relay
1, R  peer id of the relay, behind its length
1, L  version 2 only: network namespace, behind its length
rest  peer id of the inviter
====  =======================================================

There is no checksum. What notices a slip is the base32 alphabet, the length, and that both ids
are exactly one peer id each; a slip in the token shows when the code is used.

Spec: peerup's own, as Go peerup has it; decoding is stricter where no encoder goes (W-33).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from peerup.errors import RemoteProtocolError, UsageError
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Callable

V1: Final = 1
V2: Final = 2
TOKEN_SIZE: Final = 8
MAX_NETWORK_BYTES: Final = 63
MAX_CODE_CHARS: Final = 4096  # of text that is looked at; the longest code has 312

_GROUP: Final = 4
_MIN_BYTES: Final = 16
_ALPHABET: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_DASHES: Final = frozenset(map(chr, (0x2D, *range(0x2010, 0x2016), 0x2212)))  # editors make such
_LOOKALIKE: Final = {"0": "the letter O", "1": "the letter I or L", "8": "the letter B"}
_UNFINISHED: Final = frozenset({1, 3, 6})  # symbols in a last group of 8 that hold no whole byte
_NETWORK: Final = re.compile(rb"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?")
_HEAD_TOKEN_SIZE: Final = 16  # in the relay pairing codes of later Go versions

COPY_AGAIN: Final = "Copy the whole code again, from its first letter to its last."
ASK_AGAIN: Final = "Ask for a new one: `peerup invite` on the other machine prints it."


@dataclass(frozen=True, slots=True)
class Invite:
    """What a code says.

    ``relay`` is the address where the relay of the inviter is, ending in its ``/p2p``. The
    ``token`` is 8 secret bytes. ``network`` is the DHT namespace, "" for the common one.
    """

    token: bytes
    relay: Multiaddr
    inviter: PeerId
    network: str = ""
    version: int = V2


def can_carry(relay: Multiaddr) -> bool:
    """Say whether a code can hold this relay address: it is one of IPv4 and TCP."""
    names = tuple(component.protocol.name for component in relay.components)
    return names == ("ip4", "tcp", "p2p")


def encode(invite: Invite) -> str:
    """Return the code of ``invite``, in groups of four.

    Raises:
        ValueError: The relay's address is none of IPv4 and TCP with a peer id, the namespace
            is no DNS label, or the version has no room for it.
    """
    if not can_carry(invite.relay):
        raise ValueError(f"{invite.relay}: a code holds only /ip4/.../tcp/.../p2p/...")
    if len(invite.token) != TOKEN_SIZE:
        raise ValueError(f"a token has {TOKEN_SIZE} bytes")
    network = invite.network.encode()
    if not _NETWORK.fullmatch(network):
        raise ValueError(f"invalid network name {invite.network!r}")
    if invite.version == V2:
        network = bytes([len(network)]) + network
    elif invite.version != V1 or network:
        raise ValueError(f"no version {invite.version} code for network {invite.network!r}")
    assert invite.relay.host is not None
    assert invite.relay.port is not None
    assert invite.relay.peer_id is not None
    place = IPv4Address(invite.relay.host).packed + invite.relay.port.to_bytes(2, "big")
    relay = invite.relay.peer_id.to_bytes()
    data = bytes([invite.version]) + invite.token + place + bytes([len(relay)]) + relay
    text = base64.b32encode(data + network + invite.inviter.to_bytes()).decode().rstrip("=")
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def decode(text: str) -> Invite:
    """Return what a code says, however it is grouped and whether in capitals or not.

    Raises:
        UsageError: It is no code, or none that this version can use; the message says what is
            wrong with it, the hint what mends it.
    """
    data = _symbols_to_bytes(text)
    if not data:
        raise _bad("the invite code is empty", ASK_AGAIN)
    version = data[0]
    if version > V2:
        raise _bad(
            f"invite code version {version} is newer than supported; please upgrade peerup",
            "Or it has a slip in its first letters.",
        )
    if version < V1:
        raise _bad("unsupported invite code version: 0")
    if len(data) < _MIN_BYTES:
        raise _bad("invite code too short: most of it is missing")
    try:
        return _Reader(data).invite()
    except UsageError as why:
        if _is_of_later_go(data):
            raise _bad(
                "this code is of a later Go peerup, whose way of pairing differs",
                "Run a peerup on the other machine that makes codes of this kind, and `invite`.",
            ) from why
        raise


def _bad(message: str, hint: str = COPY_AGAIN) -> UsageError:
    return UsageError(message, hint=hint)


def _symbols_to_bytes(text: str) -> bytes:
    """Undo grouping and base32, strictly: one sequence of bytes has one text."""
    if len(text) > MAX_CODE_CHARS:
        raise _bad(f"invalid invite code: {len(text)} characters are no code")
    symbols = "".join(char for char in text if not (char.isspace() or char in _DASHES))
    if not symbols.isascii():
        at = next(index for index, char in enumerate(symbols, 1) if not char.isascii())
        raise _bad(f"invalid invite code: its letter {at} is none of A to Z and 2 to 7")
    symbols = symbols.upper()
    for at, char in enumerate(symbols, 1):
        if char not in _ALPHABET:
            meant = f"; is it {_LOOKALIKE[char]}?" if char in _LOOKALIKE else ""
            shown = char if char.isprintable() else f"\\x{ord(char):02x}"
            raise _bad(
                f"invalid invite code: {shown} in group {(at - 1) // _GROUP + 1} is none of "
                f"A to Z and 2 to 7{meant}"
            )
    if len(symbols) % 8 in _UNFINISHED:
        raise _bad(f"invalid invite code: a letter is missing or too many ({len(symbols)} letters)")
    try:
        data = base64.b32decode(symbols + "=" * (-len(symbols) % 8))
    except binascii.Error as error:
        raise _bad(f"invalid invite code: {error}") from None
    if base64.b32encode(data).decode().rstrip("=") != symbols:
        raise _bad("invalid invite code: its last letter is wrong, or cut off")
    return data


class _Reader:
    """Takes the fields of a code one after the other."""

    def __init__(self, data: bytes, token_size: int = TOKEN_SIZE) -> None:
        self._data, self._at = data, 0
        self._token_size = token_size

    def invite(self) -> Invite:
        version = self._take(1)[0]
        token, relay = self._token_and_relay()
        network = self.network() if version == V2 else ""
        inviter = self._peer("inviter", self._rest())
        return Invite(token, relay, inviter, network, version)

    def _token_and_relay(self) -> tuple[bytes, Multiaddr]:
        token = self._take(self._token_size)
        host, port = IPv4Address(self._take(4)), int.from_bytes(self._take(2), "big")
        peer = self._peer("relay", self._take(self._take(1)[0]))
        return token, Multiaddr.parse(f"/ip4/{host}/tcp/{port}").with_peer(peer)

    def network(self) -> str:
        found = self._take(self._take(1)[0])
        if len(found) > MAX_NETWORK_BYTES or not _NETWORK.fullmatch(found):
            raise _bad("invalid invite code: what it has for a network name is none")
        return found.decode("ascii")

    def relay_pairing(self) -> None:
        """Read the other kind of code that later Go versions have, to the last byte."""
        self._take(1)
        self._token_and_relay()
        self.network()
        if self._rest():
            raise _bad("bytes behind the end")

    def later_invite(self) -> None:
        """Read an invite of later Go versions: our version 2 under the number 1."""
        self._take(1)
        self._token_and_relay()
        self.network()
        self._peer("inviter", self._rest())

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise _bad("invite code truncated: its end is missing, or it has a slip")
        self._at += size
        return taken

    def _rest(self) -> bytes:
        return self._take(len(self._data) - self._at)

    def _peer(self, whose: str, data: bytes) -> PeerId:
        try:
            return PeerId.from_bytes(data)
        except RemoteProtocolError as error:
            raise _bad(
                f"invalid invite code: the {whose}'s peer id in it is damaged ({error}): "
                "letters are missing, too many or mistyped"
            ) from None


def _is_of_later_go(data: bytes) -> bool:
    """Tell a code of Go peerup after 59f0969, which gave the version bytes another meaning."""
    read: Callable[[], None]
    if data[0] == V1:
        read = _Reader(data).later_invite
    else:
        read = _Reader(data, _HEAD_TOKEN_SIZE).relay_pairing
    try:
        read()
    except UsageError:
        return False
    return True
