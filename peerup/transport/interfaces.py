"""Addresses of this machine."""

from __future__ import annotations

import ifaddr

from peerup.wire.multiaddr import Multiaddr

UNSPECIFIED = {"ip4": "0.0.0.0", "ip6": "::"}  # noqa: S104  compared with, not bound to


def local_hosts() -> dict[str, list[str]]:
    """Return this machine's addresses as ``{"ip4": [...], "ip6": [...]}``.

    Link-local IPv6 addresses are left out: without their zone nobody can dial them.
    """
    found: dict[str, list[str]] = {"ip4": [], "ip6": []}
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            if isinstance(address.ip, str):
                found["ip4"].append(address.ip)
            elif not address.ip[0].lower().startswith("fe80"):
                found["ip6"].append(address.ip[0])
    return found


def expand(addr: Multiaddr, hosts: dict[str, list[str]] | None = None) -> list[Multiaddr]:
    """Replace a wildcard host by each of this machine's; other addresses stay as they are."""
    if not addr.components or addr.port is None:
        return [addr]
    kind = addr.components[0].protocol.name
    if addr.host != UNSPECIFIED.get(kind):
        return [addr]
    known = local_hosts() if hosts is None else hosts
    rest = Multiaddr(addr.components[1:])
    return [Multiaddr.parse(f"/{kind}/{host}") / rest for host in known[kind]]
