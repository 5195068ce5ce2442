"""DNS names in addresses: what they stand for now, so that all of it can be raced.

Spec: multiaddr, ``/dns``, ``/dns4`` and ``/dns6``.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from peerup.tasks import Supervisor
from peerup.wire.multiaddr import Multiaddr

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Lookup = Callable[[str, int], Awaitable[Sequence[str]]]

RESOLVE_TIMEOUT_S: Final = 3.0  # for all names of a peer together
MAX_NAMES: Final = 8  # looked up for one peer, who may have told us as many as he likes
MAX_ADDRESSES: Final = 8  # that one name may stand for
FAMILIES: Final = {"dns": socket.AF_UNSPEC, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}


async def look_up(name: str, family: int) -> list[str]:
    """Return the IP addresses of ``name``, of one family or (AF_UNSPEC) of both.

    Raises:
        OSError: it has none.
        UnicodeError: it is no name that DNS could know.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def resolve(addrs: Sequence[Multiaddr], look_up: Lookup = look_up) -> list[Multiaddr]:
    """Return ``addrs`` with each name replaced by all that it stands for.

    A name that cannot be resolved stays as it is: dialling it says why. So does the one of a
    relay in the address of a circuit, as that is dialled for itself.
    """
    named = (addr for addr in addrs if not addr.is_circuit and _family(addr) is not None)
    names = list(dict.fromkeys(named))[:MAX_NAMES]
    if not names:
        return list(addrs)
    known: dict[Multiaddr, list[Multiaddr]] = {}

    async def one(addr: Multiaddr) -> None:
        family, name = _family(addr), addr.host
        assert family is not None
        assert name is not None
        try:
            found = await look_up(name, family)
        except UnicodeError:
            return
        known[addr] = [_with_ip(addr, ip) for ip in dict.fromkeys(found)][:MAX_ADDRESSES]

    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S), Supervisor() as lookups:
            tasks = [lookups.spawn(one, addr) for addr in names]
            await asyncio.wait([task for task in tasks if task is not None])
    except TimeoutError:
        pass  # what is known by now has to do
    return [each for addr in addrs for each in known.get(addr) or [addr]]


def _family(addr: Multiaddr) -> int | None:
    """Return which addresses the name in ``addr`` may stand for, None if there is no name."""
    return FAMILIES.get(addr.components[0].protocol.name) if addr.components else None


def _with_ip(addr: Multiaddr, ip: str) -> Multiaddr:
    kind, ip = ("ip6" if ":" in ip else "ip4"), ip.partition("%")[0]
    _, _, _, *rest = str(addr).split("/", 3)
    return Multiaddr.parse("/".join(("", kind, ip, *rest)))
