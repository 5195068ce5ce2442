"""What a transport gives the rest of peerup, and what it needs from its host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from peerup.transport.limits import ByteBudget, Limits

if TYPE_CHECKING:
    from types import TracebackType

    from peerup.tasks import Supervisor
    from peerup.transport.endpoints import Role
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.keys import PrivateKey
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId


class ByteStream(Protocol):
    """An ordered byte stream each way: a TCP socket, a pipe in memory, a stream of a relay.

    Only methods that may wait are ``async``. One reader and one writer at a time.
    """

    @property
    def written(self) -> int:
        """Bytes that were taken from us so far: on a slow network it grows, on a dead one not."""
        ...

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return 1 to ``max_bytes`` bytes, or ``b""`` once the other end finished.

        A cancelled read loses nothing.

        Raises:
            ConnectionError: the other end, or the network, gave up.
        """
        ...

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand over all of ``data``, waiting while the other end is slow.

        ``data`` must not change until this returns. A cancelled write may have sent a prefix.
        """
        ...

    def close_write(self) -> None:
        """Tell the other end no more data follows; reading goes on. Idempotent."""
        ...

    def close(self) -> None:
        """Finish both halves in order and let go; what still arrives is dropped. Idempotent."""
        ...

    def reset(self, code: int = 0) -> None:
        """Abandon both halves at once and wake anyone waiting. Idempotent."""
        ...


class Stream(ByteStream, Protocol):
    """A byte stream to a known peer, one of many on its connection.

    ``async with`` finishes it: a clean exit closes both halves, an exception resets.
    """

    protocol: str

    @property
    def connection(self) -> MuxedConnection:
        """The connection that carries it."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...


Admit = Callable[["PeerId", "Multiaddr"], bool]
Accept = Callable[["MuxedConnection"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LocalPeer:
    """Who we are and whom we let in: what every transport needs from its host.

    ``admit`` is asked once an inbound peer has proved its id and before anything is spent on
    it. ``tasks`` owns what runs behind each connection; ``budget`` is shared by all of them.
    """

    key: PrivateKey
    peer: PeerId
    tasks: Supervisor
    admit: Admit
    limits: Limits = field(default_factory=Limits)
    budget: ByteBudget = field(default_factory=lambda: ByteBudget(Limits().unread_bytes))


class Listener(Protocol):
    """A bound address."""

    @property
    def addrs(self) -> tuple[Multiaddr, ...]:
        """Addresses that can be dialled, without our peer id; wildcards are not resolved."""
        ...

    async def close(self) -> None:
        """Stop accepting; connections that were accepted go on. Idempotent."""
        ...


class Transport(Protocol):
    """A way to reach peers: TCP and relay circuits each implement this."""

    def can_dial(self, addr: Multiaddr) -> bool:
        """Say from the address alone, without I/O, whether ``dial`` understands it."""
        ...

    def can_listen(self, addr: Multiaddr) -> bool:
        """Say from the address alone whether ``listen`` understands it."""
        ...

    async def dial(self, addr: Multiaddr, peer: PeerId, *, role: Role) -> MuxedConnection:
        """Return a connection whose far end proved it holds ``peer``'s key.

        Raises:
            OSError: the network said no.
            PeerupError: the far end is not ``peer``, or broke a spec on the way.
        """
        ...

    async def listen(self, addr: Multiaddr, accept: Accept) -> Listener:
        """Bind ``addr`` and call ``accept`` for each inbound connection, until closed."""
        ...

    def close(self) -> None:
        """Let go of what the connections shared; they are closed by then. Idempotent."""
        ...


TransportFactory = Callable[[LocalPeer], Transport]
