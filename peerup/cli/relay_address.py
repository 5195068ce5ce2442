"""Addresses of relays as people write them: a whole multiaddr, or an IP address and a peer id."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from peerup.cli import context
from peerup.config.load import parse_relay_address
from peerup.config.text import shown
from peerup.errors import UsageError
from peerup.wire.multiaddr import Multiaddr, tcp_multiaddr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerup.wire.peer_id import PeerId

DEFAULT_PORT: Final = 7777  # where `peerup relay serve` listens
PORTS: Final = range(1, 65536)
HINT: Final = "`peerup relay info` on the relay prints its addresses."

_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\](?::([0-9]{1,5}))?")
_IPV4: Final = re.compile(r"([0-9.]+)(?::([0-9]{1,5}))?")


def is_short(text: str) -> bool:
    """Tell whether ``text`` says no peer id, so that one is needed beside it."""
    return not text.startswith("/")


def parse(text: str, peer: PeerId | None = None) -> Multiaddr:
    """Return the address of a relay, with its peer id at the end.

    Args:
        text: A multiaddr that ends in /p2p/ID; or ``IP``, ``IP:PORT``, ``[IPv6]``,
            ``[IPv6]:PORT`` or a bare IPv6 address, where port 7777 is the default.
        peer: The relay's peer id, for the short forms.

    Raises:
        ValueError: ``text`` is none of these.
        UsageError: It is a short form, and ``peer`` is None.
    """
    if not is_short(text):
        return parse_relay_address(text)
    address = tcp_multiaddr(*short_form(text))
    if peer is None:
        raise UsageError(
            f"short address format requires --peer-id flag: {shown(text)}",
            hint="`peerup relay info` on the relay prints its peer id, and its whole addresses.",
        )
    return address.with_peer(peer)


def without_peer(text: str) -> Multiaddr:
    """Return what ``text`` says: a multiaddr with or without peer id, or a short form.

    Raises:
        ValueError: It is neither.
    """
    return tcp_multiaddr(*short_form(text)) if is_short(text) else Multiaddr.parse(text)


def short_form(text: str) -> tuple[str, int]:
    """Return IP address and port of a short form.

    Raises:
        ValueError: It is something else, such as a host name.
    """
    parts = _BRACKETS.fullmatch(text) or _IPV4.fullmatch(text)
    host, port = (parts[1], parts[2]) if parts else (text, None)
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(
            f"found {shown(text)}, allowed is a multiaddr that ends in /p2p/ID, an IP address, "
            "or IP:PORT; for a host name write /dns4/NAME/tcp/7777/p2p/ID"
        ) from None
    number = int(port) if port is not None else DEFAULT_PORT
    if number not in PORTS:
        raise ValueError(f"found port {number}, allowed are 1 to 65535")
    if ip.version == 6 and "%" in host:
        raise ValueError(f"found {shown(text)}: a zone means nothing to other machines")
    return str(ip), number


def parse_all(texts: Iterable[str], peer_id: str | None) -> tuple[Multiaddr, ...]:
    """Return the addresses of a command line, each once; ``peer_id`` is for all short forms.

    Raises:
        UsageError: One of them is not an address of a relay.
    """
    peer = None if peer_id is None else context.peer_id(peer_id)
    found: dict[Multiaddr, None] = {}
    for text in texts:
        try:
            found[parse(text, peer)] = None
        except ValueError as error:
            raise UsageError(f"invalid relay address: {error}", hint=HINT) from None
    return tuple(found)
