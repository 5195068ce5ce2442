"""Pairing, put together: ``Inviting`` makes a code and waits, ``join`` uses one.

Both have a host of their own for as long as it takes, which serves nothing else. What they
learn goes into the same files that `peerup auth add` changes; a running daemon sees it there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from peerup import __version__
from peerup.config import authorized_keys, edit
from peerup.config.identity import load_identity
from peerup.config.load import load_config
from peerup.errors import (
    ConfigError,
    ConnectionClosedError,
    DialError,
    NegotiationError,
    NotAuthorizedError,
    PeerupError,
    RelayRefusedError,
    StreamResetError,
)
from peerup.host.gater import Answer, Only, Verdict
from peerup.host.host import Host
from peerup.node.acquaintance import keys_file_of, knows, write_down
from peerup.node.gatekeeper import DIALLED, RELAY
from peerup.node.node import relays_of
from peerup.node.presence import presence
from peerup.protocols import pairing
from peerup.protocols.identify import Identify
from peerup.relay import vouch_client
from peerup.relay.autorelay import AutoRelay
from peerup.relay.client import CIRCUIT, Circuits, connect, reserve
from peerup.relay.transport import CircuitTransport
from peerup.transport.quic import Quic
from peerup.transport.tcp import Tcp
from peerup.wire.circuit import Status
from peerup.wire.invite import ASK_AGAIN, TOKEN_SIZE, Invite, can_carry, encode
from peerup.wire.peer_id import PeerId
from peerup.wire.vouch import VouchStatus, ticket_of

if TYPE_CHECKING:
    from types import TracebackType

    from peerup.config.schema import Config
    from peerup.transport.base import TransportFactory
    from peerup.transport.muxed import MuxedConnection

log = logging.getLogger(__name__)

RELAY_TIMEOUT_S: Final = 20.0  # for one relay to give a place
CLOSE_TIMEOUT_S: Final = 1.0  # to tell the relay that an invite is over
TRANSPORTS: Final[tuple[TransportFactory, ...]] = (Tcp, Quic)
RELAY_OF_CODE: Final = (
    "Is the relay running, and its port open to you? If so, the code may have a slip, as it says "
    "where the relay is."
)
JOIN_AGAIN: Final = "Run the same `peerup join` again; it goes on where it was."


@dataclass(frozen=True, slots=True)
class Paired:
    """Who is paired with this machine, and the name that it has here.

    ``fresh`` is False where nothing was exchanged, as it was all done before.
    """

    peer: PeerId
    name: str
    fresh: bool = True


class _Gate:
    """Callers get the pairing protocol while an invite is open; relays get what is theirs."""

    def __init__(self, relays: frozenset[PeerId] = frozenset()) -> None:
        self._relays = relays
        self.open = False

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        """See ``host.gater.Gater``."""
        if inbound:
            return Only(frozenset({pairing.PROTOCOL})) if self.open else Answer.NO
        return Only(RELAY if peer in self._relays else DIALLED)


class Inviting:
    """An invite that is open for as long as the ``async with`` block is.

    On entering, a relay has given us a place and, if it can, knows of the invite: so ``code``
    works, or there is an error that says why not.
    """

    def __init__(
        self,
        config: Config,
        *,
        name: str,
        ttl: float,
        transports: tuple[TransportFactory, ...] = TRANSPORTS,
    ) -> None:
        """Prepare; nothing touches the network yet.

        Args:
            config: Ours. Who joins is written into its files.
            name: What the other machine is to call us.
            ttl: Seconds until the invite expires.
            transports: How to reach the relay.

        Raises:
            ConfigError: No relay in it can stand in a code, or a file cannot be used.
        """
        self._config, self._name, self._ttl = config, name, ttl
        self._keys_file = keys_file_of(config)
        if self._keys_file.exists():
            authorized_keys.load(self._keys_file)
        self._addrs = [addr for addr in config.relay.addresses if can_carry(addr)]
        if not self._addrs:
            raise _no_relay_for_a_code(config)
        self._relays = relays_of(config.relay.addresses)
        self._gate = _Gate(frozenset(self._relays))
        key = load_identity(config.identity.key_file)
        self._host = Host(
            key, transports=transports, gater=self._gate, agent=f"peerup/{__version__}"
        )
        self._token = secrets.token_bytes(TOKEN_SIZE)
        self._names: dict[PeerId, str] = {}
        #: Whether the relay lets in a joiner that it does not know.
        self.vouched = False
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        host = self._host
        await self._stack.__aenter__()
        try:
            self._stack.enter_context(presence(self._config.identity.key_file))
            await self._stack.enter_async_context(host)
            await self._stack.enter_async_context(Identify(host))
            Circuits(host)
            self._expires = host.clock() + self._ttl
            self._invite = pairing.OpenInvite(self._token, self._name, self._admit)
            host.handle(pairing.PROTOCOL, self._invite.registration)
            self._gate.open = True
            await self._take_a_place()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._gate.open = False
        try:
            with contextlib.suppress(PeerupError, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._close()
        finally:
            await self._stack.__aexit__(kind, exc, tb)

    async def _close(self) -> None:
        """Tell the relay that nobody need come any more."""
        conn = self._host.connections.best(self._relay, direct_only=True)
        if conn is not None and self.vouched:
            await vouch_client.close_invite(self._host, conn, self._ticket)

    @property
    def code(self) -> str:
        """The invite code, in groups of four."""
        network = self._config.discovery.network
        return encode(Invite(self._token, self._addr, self._host.peer, network))

    async def joined(self) -> Paired:
        """Wait until another machine has joined and has all that it needs.

        Raises:
            TimeoutError: nobody did before the invite expired.
            RemoteProtocolError: too many wrong codes were tried.
        """
        try:
            async with asyncio.timeout_at(self._expires):
                done = await self._invite.joined()
        except TimeoutError:
            self._gate.open = False
            self._host.recheck()
            if self._invite.joiner is None:
                raise TimeoutError("the invite has expired; nobody joined") from None
            raise TimeoutError(
                f"{self._invite.joiner} was let in, but has not said that it got through; "
                "the invite has expired"
            ) from None
        return Paired(done.peer, self._names[done.peer])

    async def _take_a_place(self) -> None:
        """Reserve at the first relay that gives us a place, and keep it."""
        problem: Exception | None = None
        for addr in self._addrs:
            assert addr.peer_id is not None
            self._addr, self._relay = addr, addr.peer_id
            self._ticket = ticket_of(self._token, self._relay, self._host.peer)
            try:
                async with asyncio.timeout(RELAY_TIMEOUT_S):
                    conn = await connect(self._host, self._relay, self._relays[self._relay])
                    await reserve(self._host, conn)
                    self.vouched = await self._register(conn)
            except (PeerupError, OSError, TimeoutError) as why:
                log.info("no place at a relay: %s", why, extra={"relay": self._relay})
                problem = problem or why
                continue
            places = AutoRelay(self._host, {self._relay: self._relays[self._relay]}, self._register)
            self._stack.callback(places.close)
            return
        assert problem is not None
        raise self._explained(problem)

    def _explained(self, problem: Exception) -> Exception:
        denied = (
            isinstance(problem, RelayRefusedError)
            and problem.status == VouchStatus.PERMISSION_DENIED
        )
        if denied or isinstance(problem, NotAuthorizedError | ConnectionClosedError):
            assert isinstance(problem, PeerupError)
            problem.hint = f"Its operator has to run: peerup relay authorize {self._host.peer}"
        elif isinstance(problem, TimeoutError):
            return TimeoutError(f"the relay {self._relay} does not answer")
        return problem

    async def _register(self, conn: MuxedConnection) -> bool:
        """Have the relay know of the invite; False if it does not do that for anybody."""
        seconds = max(self._expires - self._host.clock(), 1.0)
        given = await vouch_client.open_invite(self._host, conn, self._ticket, seconds)
        return given is not None

    async def _admit(self, peer: PeerId, said: str) -> None:
        """Write down who has the code, and have the relay remember that."""
        self._names[peer] = write_down(self._config.path, self._keys_file, peer, said)
        if not self.vouched:
            return
        conn = self._host.connections.best(self._relay, direct_only=True)
        if conn is None:
            raise ConnectionClosedError("the relay is gone")
        await vouch_client.confirm(self._host, conn, self._ticket, peer)


async def join(
    config: Config,
    invite: Invite,
    *,
    name: str,
    transports: tuple[TransportFactory, ...] = TRANSPORTS,
) -> Paired:
    """Pair this machine with the one whose invite this is.

    Args:
        config: Ours; the inviter is written into its files, and its relay if that is new.
        invite: From the code.
        name: What the inviter is to call us.
        transports: How to reach the relay.

    Raises:
        NotAuthorizedError: the relay or the inviter does not want us.
        DialError: the relay cannot be reached.
        PeerupError: the invite is not open any more, or what else went wrong.
    """
    key = load_identity(config.identity.key_file)
    if PeerId.from_public_key(key.public_key) == invite.inviter:
        raise ConfigError(
            "this invite code is this machine's own", hint="Run `peerup join` on the other machine."
        )
    relay = invite.relay.peer_id
    assert relay is not None
    gate = _Gate(frozenset({relay}))
    agent = f"peerup/{__version__}"
    async with Host(key, transports=transports, gater=gate, agent=agent) as host:
        host.add_transport(CircuitTransport(host))
        async with Identify(host, asks=False):  # as a stranger gets no answer
            return await _Joining(config, invite, host, relay).run(name)


class _Joining:
    """One attempt to join."""

    def __init__(self, config: Config, invite: Invite, host: Host, relay: PeerId) -> None:
        self._config, self._invite, self._host, self._relay = config, invite, host, relay
        self._keys_file = keys_file_of(config)
        self._name = ""

    @property
    def _authorize(self) -> str:
        return f"peerup relay authorize {self._host.peer}"

    async def run(self, name: str) -> Paired:
        status = await self._show_ticket()
        try:
            stream = await self._host.open_stream_on(
                await self._reach_inviter(), pairing.PROTOCOL, allow_limited=True
            )
        except (NegotiationError, NotAuthorizedError, RelayRefusedError) as why:
            if self._was_done(status):
                await self._commit("")
                return Paired(self._invite.inviter, self._name, fresh=False)
            raise self._not_waiting(why) from why
        token, version = self._invite.token, self._invite.version
        try:
            await pairing.join(stream, token, name, self._commit, version=version)
        except (StreamResetError, ConnectionClosedError) as why:
            why.hint = JOIN_AGAIN
            raise
        return Paired(self._invite.inviter, self._name)

    async def _show_ticket(self) -> VouchStatus | None:
        """Show the relay that we were invited; None if it does not care."""
        ticket = ticket_of(self._invite.token, self._relay, self._invite.inviter)
        try:
            conn = await connect(self._host, self._relay, [self._invite.relay.without_peer()])
            return await vouch_client.present(self._host, conn, ticket, self._invite.inviter)
        except (NotAuthorizedError, ConnectionClosedError) as why:
            raise NotAuthorizedError(
                f"relay {self._relay} does not let this machine in",
                hint="Either the invite is over; then ask for a new one. Or this relay lets in "
                f"only whom it knows; then its operator has to run: {self._authorize}",
            ) from why
        except DialError as why:
            why.hint = RELAY_OF_CODE
            raise
        except RelayRefusedError as why:
            if why.status != VouchStatus.UNKNOWN_TICKET:
                raise
            raise NotAuthorizedError(
                f"no invite with this code is open at relay {self._relay}", hint=why.hint
            ) from why

    async def _reach_inviter(self) -> MuxedConnection:
        """Return a connection through the relay; what the relay said, if it refuses."""
        circuit = self._invite.relay / CIRCUIT
        try:
            return await self._host.connect(self._invite.inviter, [circuit])
        except DialError as why:
            for cause in why.causes.values():
                if isinstance(cause, RelayRefusedError) and cause.status == Status.NO_RESERVATION:
                    raise cause from why
                if isinstance(cause, RelayRefusedError):
                    why.hint = f"The relay's operator may have to run: {self._authorize}"
                if isinstance(cause, NotAuthorizedError):  # its daemon runs, in place of an invite
                    raise cause from why
            raise

    def _was_done(self, status: VouchStatus | None) -> bool:
        """Say whether an inviter that waits no longer has let us in before."""
        if status is VouchStatus.PAIRED:
            return True
        return knows(self._config, self._invite.inviter)

    def _not_waiting(self, why: PeerupError) -> PeerupError:
        return RelayRefusedError(
            f"{self._invite.inviter} does not wait for anybody to join it (any more)",
            status=why.status if isinstance(why, RelayRefusedError) else 0,
            hint=f"The invite has expired, was cancelled or used. {ASK_AGAIN}",
        )

    async def _commit(self, said: str) -> None:
        inviter = self._invite.inviter
        if self._relay not in relays_of(load_config(self._config.path).relay.addresses):
            edit.add_relay(self._config.path, self._invite.relay)
        self._name = write_down(self._config.path, self._keys_file, inviter, said)


def _no_relay_for_a_code(config: Config) -> ConfigError:
    if not config.relay.addresses:
        return ConfigError(
            "No relay addresses in config. Cannot create invite.",
            hint="`peerup relay add ADDR` adds one; `peerup relay info` on the relay prints it.",
        )
    return ConfigError(
        f"no relay in {config.path} can stand in an invite code, which holds an IPv4 address "
        "with a TCP port",
        hint="Add such an address: `peerup relay add /ip4/203.0.113.5/tcp/7777/p2p/12D3KooW...`.",
    )
