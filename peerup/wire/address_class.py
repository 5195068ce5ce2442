"""From where an address can be reached, in one word for people.

``Multiaddr.is_private`` and ``is_public`` decide what is dialled and advertised; here is the
finer answer that a status line wants. Spec: RFC 6890, RFC 6598 for the shared addresses of
carrier-grade NAT.
"""

from __future__ import annotations

import enum
import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from peerup.wire.multiaddr import Multiaddr

_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")


class AddressClass(enum.StrEnum):
    """Where an address means something."""

    ANY = "any"  #: to listen on: all addresses of this machine
    LOOPBACK = "loopback"  #: this machine alone
    LINK_LOCAL = "link-local"  #: one cable or radio
    CGNAT = "cgnat"  #: the customers of one provider, behind the provider's NAT
    PRIVATE = "private"  #: one home or company
    PUBLIC = "public"
    RESERVED = "reserved"  #: nowhere: documentation, multicast, not handed out
    NAME = "name"  #: a DNS name, which says nothing of where it leads
    UNKNOWN = "unknown"  #: no IP address at all


def classify(addr: Multiaddr) -> AddressClass:
    """Return the class of the first address in ``addr``: for a circuit, that of its relay."""
    host = addr.host
    if host is None:
        return AddressClass.UNKNOWN
    try:
        return _class_of_ip(addr, ipaddress.ip_address(host))
    except ValueError:
        return AddressClass.NAME


def _class_of_ip(
    addr: Multiaddr, ip: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> AddressClass:
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    tests = (
        (ip.is_unspecified, AddressClass.ANY),
        (ip.is_loopback, AddressClass.LOOPBACK),
        (ip.is_link_local, AddressClass.LINK_LOCAL),
        (ip in _SHARED, AddressClass.CGNAT),
        (addr.is_private, AddressClass.PRIVATE),
        (addr.is_public, AddressClass.PUBLIC),
    )
    return next((kind for holds, kind in tests if holds), AddressClass.RESERVED)
