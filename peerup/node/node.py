"""One device: configuration in, running parts out."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from peerup import __version__
from peerup.config.identity import load_identity
from peerup.config.names import find_peer
from peerup.errors import ConfigError, UsageError
from peerup.host.handlers import Registration
from peerup.host.host import Host
from peerup.host.peerstore import FOREVER
from peerup.node import services
from peerup.node.gatekeeper import Gatekeeper
from peerup.node.presence import presence
from peerup.node.withdrawal import Withdrawal
from peerup.protocols import ping
from peerup.protocols.identify import Identify
from peerup.relay.autorelay import AutoRelay
from peerup.relay.client import CIRCUIT, Circuits
from peerup.relay.transport import CircuitTransport
from peerup.transport.quic import Quic
from peerup.transport.tcp import Tcp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from peerup.config.schema import Config, RelaySecurity, Security
    from peerup.transport.muxed import MuxedConnection
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)


class Node:
    """A device of the user: reachable through its relays, serving its services.

    ``async with Node(config) as node`` is the whole daemon; with ``listen=False`` it only
    dials, as the one-shot commands do.
    """

    def __init__(self, config: Config, *, listen: bool = True) -> None:
        """Read key and authorized peers; nothing touches the network yet.

        Raises:
            ConfigError: a file is missing, damaged or open to others.
        """
        self.config = config
        self._serving = listen
        self._relays = relays_of(config.relay.addresses)
        self.gatekeeper = Gatekeeper(
            keys_file_of(config.security, config.path), self._relays, inbound=listen
        )
        self.host = Host(
            load_identity(config.identity.key_file),
            transports=[Tcp, Quic],
            gater=self.gatekeeper,
            agent=f"peerup/{__version__}",
        )
        self.relays: AutoRelay | None = None
        self._withdrawal = Withdrawal(self.host, lambda: self.gatekeeper.allowed)
        self._stack = AsyncExitStack()

    @property
    def peer_id(self) -> PeerId:
        return self.host.peer

    @property
    def addresses(self) -> tuple[Multiaddr, ...]:
        """Where we can be reached at this moment, with our peer id."""
        return tuple(addr.with_peer(self.peer_id) for addr in self.host.addrs)

    async def __aenter__(self) -> Self:
        host = self.host
        await self._stack.__aenter__()
        try:
            if self._serving:
                self._stack.enter_context(presence(self.config.identity.key_file))
            self._prepare()
            await self._stack.enter_async_context(host)
            for relay, addrs in self._relays.items():
                host.peerstore.add_addrs(relay, addrs, FOREVER)
            await self._stack.enter_async_context(Identify(host))
            if self._serving:
                await self._listen(self.config.network.listen_addresses)
                then = self._withdrawal.at if self.gatekeeper.enforcing else None
                self.relays = AutoRelay(host, self._relays, then)
                self._stack.callback(self.relays.close)
            host.tasks.spawn(self.gatekeeper.watch, self._on_change)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, exc, tb)

    def _prepare(self) -> None:
        """Register everything before the first connection, so that nobody comes too early."""
        host, ping_pong = self.host, self.config.protocols.ping_pong
        host.add_transport(CircuitTransport(host))
        host.handle(ping.PROTOCOL, Registration(ping.serve, ping.MAX_INBOUND, on_limited=True))
        if not self._serving:
            return
        Circuits(host)
        if ping_pong.enabled:
            host.handle(ping_pong.id, Registration(ping.serve_peerup, on_limited=True))
        services.offer(host, self.config.services)

    async def _listen(self, addrs: Sequence[Multiaddr]) -> None:
        for addr in addrs:
            if not self.host.can_listen(addr):
                log.warning("cannot listen on %s: no transport for it in this version", addr)
                continue
            try:
                await self.host.listen(addr)
            except OSError as why:
                raise cannot_listen(addr, why) from why

    def _on_change(self, removed: frozenset[PeerId]) -> None:
        """Apply a change of our list, here and at the relays that know of it."""
        self.host.recheck(removed)
        if self.relays is not None:
            self._withdrawal.of(removed, self.relays.held)

    def resolve(self, target: str) -> PeerId:
        """Return the peer that the user means by a name or a peer id.

        Raises:
            UsageError: it is neither, or it is this machine.
        """
        peer = find_peer(self.config, target)
        if peer == self.peer_id:
            raise UsageError(
                f"{target} is this machine itself", hint="Name another one; `peerup whoami` is you."
            )
        return peer

    async def connect(self, peer: PeerId) -> MuxedConnection:
        """Return a connection to ``peer``, through one of our relays if need be.

        Raises:
            NotAuthorizedError: the peer, or the relay, does not want us.
            DialError: it cannot be reached.
        """
        circuits = [
            addr.with_peer(relay) / CIRCUIT
            for relay, addrs in self._relays.items()
            if relay != peer
            for addr in addrs
        ]
        return await self.host.connect(peer, circuits)

    async def run_forever(self) -> None:
        """Wait until cancelled."""
        await asyncio.get_running_loop().create_future()


def relays_of(addrs: Sequence[Multiaddr]) -> dict[PeerId, list[Multiaddr]]:
    """Group relay addresses, each ending in ``/p2p``, by relay."""
    relays: dict[PeerId, list[Multiaddr]] = {}
    for addr in addrs:
        if (relay := addr.peer_id) is not None:
            relays.setdefault(relay, []).append(addr.without_peer())
    return relays


def keys_file_of(security: Security | RelaySecurity, path: Path) -> Path | None:
    """Return the authorized_keys file to go by, None when gating is switched off.

    Raises:
        ConfigError: gating is on and no file is named.
    """
    if not security.enable_connection_gating:
        log.warning("connection gating is off in %s: any peer may connect", path)
        return None
    if security.authorized_keys_file is None:
        raise ConfigError(
            f"{path}: security.authorized_keys_file is required when connection gating is enabled",
            hint="Name a file there, or switch gating off in so many words.",
        )
    return security.authorized_keys_file


def cannot_listen(addr: Multiaddr, why: OSError) -> UsageError:
    """Return the error for an address that the system does not give us."""
    return UsageError(
        f"cannot listen on {addr}: {why.strerror or why}",
        hint="Is another peerup, or another program, on that port? Choose a free one.",
    )
