"""Multiaddrs: addresses that say every protocol on the way, outermost first.

``/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW...`` is a peer behind a TCP port; with
``/p2p-circuit/p2p/12D3KooX...`` appended it is another one, reached through the first.

One address has one binary form and one canonical text. ``Multiaddr.parse`` also reads what is
not canonical (``/ipfs/`` for ``/p2p/``, a slash at the end), ``Multiaddr.from_bytes`` does not.
Text is safe to print whoever sent the bytes; ``multiaddr_protocols`` says how.

Spec: multiformats/multiaddr README; addressing/README.md, "multiaddr in libp2p" and "p2p-circuit
Relay Addresses". The classes of addresses are those of go-multiaddr ``net/private.go``.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import varint
from peerup.wire.multiaddr_protocols import BY_CODE, BY_NAME, VARIABLE, Protocol
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_MULTIADDR_BYTES: Final = 1024
MAX_TEXT_CHARS: Final = 16384  # 1024 bytes of the longest names print as 9216 characters

_P2P: Final = BY_NAME["p2p"]
_CIRCUIT: Final = BY_NAME["p2p-circuit"]
_DNS: Final = frozenset({"dns", "dns4", "dns6", "dnsaddr"})
_HOSTS: Final = _DNS | {"ip4", "ip6"}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_PRIVATE: Final = _networks(
    *("127.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"),
    *("169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"),
)
_UNROUTABLE: Final = _networks(
    *("0.0.0.0/8", "192.0.0.0/26", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("ff00::/8", "2001:db8::/32"),
)
# Of IPv6 only what was handed out is public, and the prefixes that lead to IPv4 hosts.
_PUBLIC: Final = _networks("0.0.0.0/0", "2000::/3", "64:ff9b::/96", "64:ff9b:1::/48")

_LOCALHOST: Final = "localhost"
_NOT_PUBLIC_DOMAINS: Final = (
    *(_LOCALHOST, "invalid", "in-addr.arpa", "ip6.arpa"),  # never resolve to another machine
    *("home.arpa", "local", "test"),  # mean something else on each network
)


@dataclass(frozen=True, slots=True)
class Component:
    """One step of an address; ``value`` is as on the wire, without its length.

    Raises:
        ValueError: ``protocol`` has no such value.
    """

    protocol: Protocol
    value: bytes = b""

    def __post_init__(self) -> None:
        self.protocol.check(self.value)

    @property
    def text(self) -> str:
        """The canonical text of the value, "" when the protocol has none."""
        return self.protocol.render(self.value)

    def to_bytes(self) -> bytes:
        code = varint.encode(self.protocol.code)
        if self.protocol.size == VARIABLE:
            return code + varint.encode(len(self.value)) + self.value
        return code + self.value

    def __str__(self) -> str:
        if self.protocol.is_path:
            return f"/{self.protocol.name}{self.text}"  # a path brings its own slash
        return f"/{self.protocol.name}/{self.text}" if self.value else f"/{self.protocol.name}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Multiaddr:
    """An address; equal and hashed by its bytes.

    Without components it is false, prints as "", and stands for "no address": what is left
    when there was nothing but a peer id. It is never read from bytes or text.

    Raises:
        ValueError: Something follows a path component.
    """

    components: tuple[Component, ...] = ()
    _bytes: bytes = field(init=False)
    _text: str | None = field(init=False)  # made when first asked for: base58 is not cheap

    def __post_init__(self) -> None:
        if any(component.protocol.is_path for component in self.components[:-1]):
            raise ValueError("nothing can follow a path in a multiaddr")
        encoded = b"".join(component.to_bytes() for component in self.components)
        object.__setattr__(self, "_bytes", encoded)
        object.__setattr__(self, "_text", None)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that ``text`` of at most 16384 characters stands for.

        Raises:
            ValueError: It is none, or above 1024 bytes; the message says what is wrong.
        """
        if len(text) > MAX_TEXT_CHARS:
            raise ValueError(f"invalid multiaddr: above {MAX_TEXT_CHARS} characters")
        try:
            found = cls(tuple(_parse_components(text)))
        except ValueError as error:
            raise ValueError(f"invalid multiaddr {text!r}: {error}") from error
        if len(found.to_bytes()) > MAX_MULTIADDR_BYTES:
            raise ValueError(f"invalid multiaddr: above {MAX_MULTIADDR_BYTES} bytes")
        return found

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the address that all of ``data`` is.

        Raises:
            RemoteProtocolError: It is none, or holds a protocol we do not know. As the size
                of such a component is unknown, nothing after it can be read either.
            LimitError: ``data`` is above 1024 bytes.
        """
        if len(data) > MAX_MULTIADDR_BYTES:
            raise LimitError(f"multiaddr: {len(data)} bytes, above {MAX_MULTIADDR_BYTES}")
        if not data:
            raise RemoteProtocolError("multiaddr: empty")
        components, offset = [], 0
        while offset < len(data):
            component, offset = _read_component(data, offset)
            components.append(component)
        try:
            return cls(tuple(components))
        except ValueError as error:
            raise RemoteProtocolError(f"multiaddr: {error}") from error

    def to_bytes(self) -> bytes:
        return self._bytes

    def __str__(self) -> str:
        if self._text is None:
            text = "".join(map(str, self.components))
            object.__setattr__(self, "_text", text)
            return text
        return self._text

    def __repr__(self) -> str:
        return f"Multiaddr({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self._bytes == other.to_bytes() if isinstance(other, Multiaddr) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __bool__(self) -> bool:
        return bool(self.components)

    def __truediv__(self, inner: Multiaddr) -> Multiaddr:
        """Return this address followed by ``inner``; ``ValueError`` when this ends in a path."""
        return Multiaddr(self.components + inner.components)

    def get(self, name: str) -> str | None:
        """Return the text of the first ``name`` component, "" if it has no value, or None."""
        return next((item.text for item in self.components if item.protocol.name == name), None)

    def has(self, name: str) -> bool:
        return any(component.protocol.name == name for component in self.components)

    @property
    def peer_id(self) -> PeerId | None:
        """Whom the address leads to: the ``p2p`` value, if that is the last component."""
        if not self.components or self.components[-1].protocol != _P2P:
            return None
        return PeerId.from_bytes(self.components[-1].value)

    def with_peer(self, peer: PeerId) -> Multiaddr:
        """Return the address with ``/p2p/<peer>`` last; another id that is last gives way.

        Raises:
            ValueError: The address ends in a path.
        """
        if self.peer_id == peer:
            return self
        return self.without_peer() / Multiaddr((Component(_P2P, peer.to_bytes()),))

    def without_peer(self) -> Multiaddr:
        """Return the address without the ``p2p`` component at its end, if there is one."""
        return Multiaddr(self.components[:-1]) if self.peer_id else self

    @property
    def is_circuit(self) -> bool:
        """Whether the address goes through a relay."""
        return self.has(_CIRCUIT.name)

    def split_circuit(self) -> tuple[Multiaddr, Multiaddr | None]:
        """Cut at the first ``p2p-circuit``.

        Returns:
            The relay's address with its ``/p2p/``, and what comes after ``p2p-circuit``, None
            when that is nothing. All of the address and None when it is no circuit.
        """
        for index, component in enumerate(self.components):
            if component.protocol == _CIRCUIT:
                rest = Multiaddr(self.components[index + 1 :])
                return Multiaddr(self.components[:index]), rest or None
        return self, None

    @property
    def host(self) -> str | None:
        """The text of the first IP address (without its zone) or DNS name."""
        return next((item.text for item in self.components if item.protocol.name in _HOSTS), None)

    @property
    def port(self) -> int | None:
        """The first TCP or UDP port."""
        for component in self.components:
            if component.protocol.name in {"tcp", "udp"}:
                return int.from_bytes(component.value, "big")
        return None

    @property
    def is_loopback(self) -> bool:
        """Whether it begins with an IP address of this machine itself. Names never count."""
        address = _leading_ip(self.components)
        return address is not None and _unmapped(address).is_loopback

    @property
    def is_private(self) -> bool:
        """Whether it begins with an IP address of a local network, or with a localhost name.

        Loopback and link-local addresses are private too. Other names never are: even
        ``.local`` may stand for a public address.
        """
        if name := _leading_dns(self.components):
            return _is_under(name, _LOCALHOST)
        address = _leading_ip(self.components)
        return address is not None and _is_in(_unmapped(address), _PRIVATE)

    @property
    def is_public(self) -> bool:
        """Whether it begins with an IP address or name that all of the Internet can reach.

        IPv4 addresses in IPv6 clothes (``::ffff:1.2.3.4``) are not: no router carries them.
        Like the other two, this looks at the beginning only, which in a circuit is the relay.
        """
        if name := _leading_dns(self.components):
            return not any(_is_under(name, domain) for domain in _NOT_PUBLIC_DOMAINS)
        address = _leading_ip(self.components)
        if address is None or not _is_in(address, _PUBLIC):
            return False
        return not _is_in(address, _PRIVATE) and not _is_in(address, _UNROUTABLE)


def decode_each(encoded: Iterable[bytes]) -> list[Multiaddr]:
    """Return those of a peer's addresses that we can use, in order.

    One that does not parse is dropped, as newer peers may know protocols that we do not. So
    is one that ends in a path: it is on the peer's machine, and ``with_peer`` cannot extend it.
    """
    usable = []
    for data in encoded:
        try:
            address = Multiaddr.from_bytes(data)
        except RemoteProtocolError:
            continue
        if not address.components[-1].protocol.is_path:
            usable.append(address)
    return usable


def tcp_multiaddr(host: str, port: int) -> Multiaddr:
    """Return ``/ip4/<host>/tcp/<port>``, or ``/ip6/``, for what a socket calls its address.

    A zone (``fe80::1%eth0``) is dropped: it means nothing on other machines. IPv4 in IPv6
    clothes, which a socket for both shows, becomes plain IPv4.

    Raises:
        ValueError: ``host`` is no IP address, or ``port`` is not in 0 to 65535.
    """
    address = _unmapped(ipaddress.ip_address(host.partition("%")[0]))
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"port {port} is not in 0 to 65535")
    return Multiaddr(
        (
            Component(BY_NAME[f"ip{address.version}"], address.packed),
            Component(BY_NAME["tcp"], port.to_bytes(2, "big")),
        )
    )


def _parse_components(text: str) -> Iterable[Component]:
    root, *words = text.rstrip("/").split("/")
    if root:
        raise ValueError("it must begin with /")
    if not words:
        raise ValueError("it is empty")
    while words:
        name = words.pop(0)
        if (protocol := BY_NAME.get(name)) is None:
            raise ValueError(f"unknown protocol {name!r}")
        if not protocol.size:
            yield Component(protocol)
            continue
        if not words:
            raise ValueError(f"{name} needs a value")
        if protocol.is_path:
            words = ["/" + "/".join(words)]
        try:
            value = protocol.parse(words.pop(0))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        yield Component(protocol, value)


def _read_component(data: bytes, offset: int) -> tuple[Component, int]:
    """Return the component at ``offset`` and where the next one begins."""
    code, offset = varint.decode(data, offset)
    if (protocol := BY_CODE.get(code)) is None:
        raise RemoteProtocolError(f"multiaddr: unknown protocol {code}")
    size = protocol.size
    if size == VARIABLE:
        size, offset = varint.decode(data, offset)
    if size > len(data) - offset:
        raise RemoteProtocolError(f"multiaddr: {protocol.name} is cut short")
    try:
        return Component(protocol, data[offset : offset + size]), offset + size
    except ValueError as error:
        raise RemoteProtocolError(f"multiaddr: {protocol.name}: {error}") from error


def _leading(components: Sequence[Component]) -> Component | None:
    """Return the first component that is no IPv6 zone: what tells how far an address reaches."""
    return next((item for item in components if item.protocol.name != "ip6zone"), None)


def _leading_ip(components: Sequence[Component]) -> _Address | None:
    first = _leading(components)
    if first is None or first.protocol.name not in {"ip4", "ip6"}:
        return None
    return ipaddress.ip_address(first.value)


def _leading_dns(components: Sequence[Component]) -> str | None:
    first = _leading(components)
    return first.text if first is not None and first.protocol.name in _DNS else None


def _unmapped(address: _Address) -> _Address:
    """Return the IPv4 address in an IPv6 one (``::ffff:1.2.3.4``), if that is what it holds."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_in(address: _Address, networks: Iterable[_Network]) -> bool:
    return any(address in network for network in networks)


def _is_under(name: str, domain: str) -> bool:
    name = name.lower().removesuffix(".")
    return name == domain or name.endswith("." + domain)
