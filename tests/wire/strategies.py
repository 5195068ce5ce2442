"""Hypothesis strategies for the values that most parsers meet: peer ids and multiaddrs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from peerup.wire.multiaddr import MAX_MULTIADDR_BYTES, Component, Multiaddr
from peerup.wire.multiaddr_protocols import BY_NAME, TABLE, VARIABLE, Protocol
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Mapping

_ED25519_PREFIX: Final = bytes.fromhex("002408011220")  # identity multihash, public key protobuf
_SHA2_256_PREFIX: Final = bytes.fromhex("1220")
# Of these categories str.isprintable takes nothing but the ordinary blank.
_UNPRINTABLE: Final = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")

_port = st.integers(1, 0xFFFF).map(lambda port: port.to_bytes(2, "big"))
_names = st.text(
    st.characters(exclude_categories=_UNPRINTABLE, exclude_characters="/"),
    min_size=1,
    max_size=12,
)
_paths = st.text(
    st.characters(exclude_categories=_UNPRINTABLE, include_characters="/ "), max_size=12
).filter(lambda text: not text.endswith("/"))
_sha2_256 = st.binary(min_size=32, max_size=32).map(_SHA2_256_PREFIX.__add__)
_ed25519 = st.binary(min_size=32, max_size=32).map(_ED25519_PREFIX.__add__)


def peer_ids() -> st.SearchStrategy[PeerId]:
    """Ids as of Ed25519 keys, and a few as of RSA keys; no key belongs to them."""
    return st.one_of(_ed25519, _sha2_256).map(PeerId.from_bytes)


_VALUES: Final[Mapping[str, st.SearchStrategy[bytes]]] = {
    **dict.fromkeys(("dns", "dns4", "dns6", "dnsaddr", "sni", "ip6zone"), _names.map(str.encode)),
    "p2p": peer_ids().map(PeerId.to_bytes),
    "certhash": _sha2_256,
    "unix": _paths.map(lambda text: b"/" + text.encode()).filter(lambda path: len(path) > 1),
    "http-path": st.binary(min_size=1, max_size=12),
    "onion": st.tuples(st.binary(min_size=10, max_size=10), _port).map(b"".join),
    "onion3": st.tuples(st.binary(min_size=35, max_size=35), _port).map(b"".join),
    "garlic64": st.binary(min_size=386, max_size=391),
    "garlic32": st.one_of(st.binary(min_size=32, max_size=32), st.binary(min_size=35, max_size=40)),
}


def components(protocol: Protocol) -> st.SearchStrategy[Component]:
    """Components of ``protocol`` with any value it can have; sizes are kept small."""
    if protocol.size == VARIABLE or protocol.name in _VALUES:
        values = _VALUES[protocol.name]
    else:
        values = st.binary(min_size=protocol.size, max_size=protocol.size)
    return values.map(lambda value: Component(protocol, value))


def multiaddrs(*, paths: bool = True) -> st.SearchStrategy[Multiaddr]:
    """Addresses of 1 to 6 components in any order, whether or not it makes sense.

    With ``paths`` some end in a unix path, after which nothing can follow.
    """
    steps = st.sampled_from([row for row in TABLE if not row.is_path]).flatmap(components)
    endings = components(BY_NAME["unix"]) if paths else st.nothing()
    return (
        st.tuples(st.lists(steps, max_size=5), st.one_of(steps, endings))
        .map(lambda parts: Multiaddr((*parts[0], parts[1])))
        .filter(lambda address: len(address.to_bytes()) <= MAX_MULTIADDR_BYTES)
    )
