"""A relay server: configuration in, a running relay out."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self

from peerup import __version__
from peerup.config.identity import load_identity
from peerup.errors import ConfigError
from peerup.host.gater import Answer
from peerup.host.handlers import Registration
from peerup.host.host import Host
from peerup.node.gatekeeper import Gatekeeper
from peerup.node.node import cannot_listen, keys_file_of
from peerup.protocols import ping
from peerup.protocols.identify import Identify
from peerup.relay import vouched_file
from peerup.relay.quota import RelayLimits
from peerup.relay.server import HopService
from peerup.relay.vouch_server import VouchService
from peerup.relay.vouching import Vouching
from peerup.transport.limits import Limits
from peerup.transport.quic import Quic
from peerup.transport.tcp import Tcp

if TYPE_CHECKING:
    from types import TracebackType

    from peerup.config.schema import RelayConfig
    from peerup.host.gater import Verdict
    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 4096
OPEN_SESSION_S: Final = 600.0  # of a circuit when gating is off and nothing else is said
OPEN_SESSION_DATA: Final = 64 * 1024 * 1024  # each way, likewise


class _Door:
    """Lets in who is authorized, and others as far as they are vouched for."""

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper
        self.vouch: VouchService | None = None

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        """See ``host.gater.Gater``."""
        verdict = self._gatekeeper.verdict(peer, inbound=inbound)
        if verdict is Answer.NO and self.vouch is not None:
            return self.vouch.verdict(peer)
        return verdict

    def knows(self, peer: PeerId) -> bool:
        """Say whether the relay's own list has ``peer``, or there is no list."""
        return self._gatekeeper.verdict(peer, inbound=True) is Answer.YES


class RelayNode:
    """A relay that the user runs: it joins authorized peers and serves nothing else."""

    def __init__(self, config: RelayConfig) -> None:
        """Read key and authorized peers; nothing touches the network yet.

        Raises:
            ConfigError: a file is missing, damaged or open to others.
        """
        self.config = config
        keys_file = keys_file_of(config.security, config.path)
        if keys_file is not None and not keys_file.exists():
            raise ConfigError(
                f"the list of authorized peers is missing: {keys_file}",
                hint="`peerup relay authorize ID` creates it with its first peer.",
            )
        self.gatekeeper = Gatekeeper(keys_file)
        self._door = _Door(self.gatekeeper)
        self.host = Host(
            load_identity(config.identity.key_file),
            transports=[Tcp, Quic],
            gater=self._door,
            agent=f"relay-server/{__version__}",  # Go peers look for this prefix
            limits=Limits(connections=MAX_CONNECTIONS),
        )
        self.vouch: VouchService | None = None
        rules = config.security.vouching
        if rules.enabled and config.security.authorized_keys_file is not None:
            vouching = Vouching(self._door.knows, rules.max_per_peer)
            pairs = vouched_file.beside(config.security.authorized_keys_file)
            self.vouch = self._door.vouch = VouchService(self.host, vouching, pairs)
        self._stack = AsyncExitStack()

    @property
    def peer_id(self) -> PeerId:
        return self.host.peer

    @property
    def addresses(self) -> tuple[Multiaddr, ...]:
        """Where the relay can be reached, with its peer id: what users put into their config."""
        return tuple(addr.with_peer(self.peer_id) for addr in self.host.addrs)

    async def __aenter__(self) -> Self:
        host = self.host
        await self._stack.__aenter__()
        try:
            host.handle(ping.PROTOCOL, Registration(ping.serve, ping.MAX_INBOUND))
            await self._stack.enter_async_context(host)
            await self._stack.enter_async_context(Identify(host))
            HopService(host, limits_of(self.config), self.vouch.vouching if self.vouch else None)
            if self.vouch is not None:
                self.vouch.start()
            await self._listen()
            host.tasks.spawn(self.gatekeeper.watch, self._on_change)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, exc, tb)

    def _on_change(self, removed: frozenset[PeerId]) -> None:
        """Apply a change of the relay's list; for whom the removed have vouched goes with them."""
        if self.vouch is not None:
            self.vouch.forget(removed)
        self.host.recheck(removed)

    async def _listen(self) -> None:
        for addr in self.config.network.listen_addresses:
            if not self.host.can_listen(addr):
                log.warning("cannot listen on %s: no transport for it in this version", addr)
                continue
            try:
                await self.host.listen(addr)
            except OSError as why:
                raise cannot_listen(addr, why) from why
        if not self.host.addrs:
            raise ConfigError(
                f"{self.config.path}: the relay listens nowhere",
                hint="Add an address under network.listen_addresses, as /ip4/0.0.0.0/tcp/7777.",
            )

    async def run_forever(self) -> None:
        """Wait until cancelled."""
        await asyncio.get_running_loop().create_future()


def limits_of(config: RelayConfig) -> RelayLimits:
    """Return what the relay gives: Go's limits without gating, none for those it lists."""
    resources = config.resources
    seconds, data = resources.session_duration, resources.session_data_limit
    if not config.security.enable_connection_gating:
        seconds = OPEN_SESSION_S if seconds is None else seconds
        data = OPEN_SESSION_DATA if data is None else data
    return RelayLimits(
        reservations=resources.max_reservations,
        reservations_per_ip=resources.max_reservations_per_ip,
        circuits_per_peer=resources.max_circuits,
        ttl=resources.reservation_ttl,
        session_seconds=seconds,
        session_data=data,
    )
