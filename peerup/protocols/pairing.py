"""Pairing over a stream: an inviter lets in the one who has its code, and both learn a name.

The inviter writes down the joiner before it says so, and the joiner writes down the inviter
before it closes its half. So that end is its word that all is done: until it comes, the same
joiner may come again with the same code and is answered the same.

Spec: peerup's own, as Go peerup has it; ``wire.pairing`` has the messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerup.errors import NotAuthorizedError, PeerupError, RemoteProtocolError, ResourceLimitError
from peerup.host.handlers import Registration
from peerup.wire.invite import V2
from peerup.wire.pairing import MAX_FRAME, Inviter, Joiner, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from peerup.transport.muxed import MuxedStream
    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

PROTOCOL: Final = "/peerup/invite/1.0.0"
EXCHANGE_TIMEOUT_S: Final = 10.0  # from the first byte of a joiner to its proof, all together
ANSWER_TIMEOUT_S: Final = 30.0  # the inviter writes files and talks to its relay meanwhile
FINISH_TIMEOUT_S: Final = 30.0  # for the joiner to write its files
LINGER_S: Final = 3.0  # for the end of the stream, which may have a relay to pass
MAX_WRONG: Final = 3  # wrong codes, from whomever, and the invite is over
MAX_EXCHANGES: Final = 8  # joiners that have not proven anything yet, at once
MAX_PER_PEER: Final = 2  # streams of one of them


@dataclass(frozen=True, slots=True)
class Joined:
    """Who came; ``name`` is what they call themselves, as it came."""

    peer: PeerId
    name: str


class OpenInvite:
    """One invite, open to the first who proves to have its code, and to nobody after."""

    def __init__(
        self,
        token: bytes,
        name: str,
        admit: Callable[[PeerId, str], Awaitable[None]],
        *,
        version: int = V2,
    ) -> None:
        """Be ready to ``serve``; must be made where an event loop runs.

        Args:
            token: The secret of the code.
            name: What we call ourselves.
            admit: Writes down a joiner and the name it gives itself, which is not checked. It
                is called again when the same joiner comes again. When it raises, the joiner
                is told of an error and may come again.
            version: That of the code; one of version 2 takes no joiner of version 1.
        """
        self.registration = Registration(self.serve, MAX_PER_PEER, on_limited=True)
        #: Who has proven to have the code; nobody else can join any more.
        self.joiner: PeerId | None = None
        self._token, self._name, self._version = token, name, version
        self._admit = admit
        self._one_at_a_time = asyncio.Lock()
        self._exchanges = self._wrong = 0
        self._done: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()

    async def joined(self) -> Joined:
        """Wait until somebody has joined and has said that it is done.

        Raises:
            RemoteProtocolError: too many wrong codes were tried, and the invite is over.
        """
        return await asyncio.shield(self._done)

    @property
    def is_over(self) -> bool:
        return self._done.done()

    async def serve(self, stream: MuxedStream) -> None:
        """Answer one joiner; the handler of ``PROTOCOL``."""
        if self._exchanges >= MAX_EXCHANGES:
            raise ResourceLimitError(f"{MAX_EXCHANGES} joiners are under way")
        machine = Inviter(self._token, version=self._version)
        self._exchanges += 1
        try:
            async with asyncio.timeout(EXCHANGE_TIMEOUT_S):
                proven = await self._prove(stream, machine)
        finally:
            self._exchanges -= 1
        if proven:
            await self._let_in(stream, machine)

    async def _prove(self, stream: MuxedStream, machine: Inviter) -> bool:
        """Go on until the joiner has shown that it has the code; False if it has not."""
        while machine.step is not Step.PROVEN:
            data = await stream.read(MAX_FRAME)
            if not data or self._wrong >= MAX_WRONG:
                return False
            try:
                machine.receive(data)  # which compares, so no two can be under way together
            except (NotAuthorizedError, RemoteProtocolError) as why:
                self._note_failure(stream.connection.peer, why)
                await stream.write(machine.data_to_send())
                return False
            await stream.write(machine.data_to_send())
        return True

    def _note_failure(self, peer: PeerId, why: PeerupError) -> None:
        log.warning("pairing refused: %s", why, extra={"peer": peer})
        if isinstance(why, NotAuthorizedError):
            self._wrong += 1
        if self._wrong >= MAX_WRONG and not self.is_over:
            self._done.set_exception(
                RemoteProtocolError(
                    f"{MAX_WRONG} wrong codes were tried, so this invite is over",
                    hint="Run `peerup invite` again; the log says who tried.",
                )
            )

    async def _let_in(self, stream: MuxedStream, machine: Inviter) -> None:
        peer = stream.connection.peer
        if self.joiner not in {None, peer}:
            log.warning("pairing refused: another machine has joined", extra={"peer": peer})
            machine.refuse("this invite was used by another machine")
            await stream.write(machine.data_to_send())
            return
        self.joiner = peer
        async with self._one_at_a_time:
            try:
                await self._admit(peer, machine.joiner_name)
            except (PeerupError, OSError, TimeoutError) as why:
                log.error("pairing failed: %s", why, extra={"peer": peer})  # noqa: TRY400
                machine.refuse("server error")
                await stream.write(machine.data_to_send())
                return
        log.info("peer paired", extra={"peer": peer})
        machine.accept(self._name)
        await stream.write(machine.data_to_send())
        async with asyncio.timeout(FINISH_TIMEOUT_S):
            if await stream.read(1):
                raise RemoteProtocolError("the joiner says more than there is to say")
        if not self.is_over:
            self._done.set_result(Joined(peer, machine.joiner_name))


async def join(
    stream: MuxedStream,
    token: bytes,
    name: str,
    commit: Callable[[str], Awaitable[None]],
    *,
    version: int = V2,
) -> None:
    """Join the inviter at the other end of ``stream``, and finish the stream.

    Args:
        stream: Freshly agreed on ``PROTOCOL``.
        token: The secret of the code.
        name: What to be called over there.
        commit: Writes down the inviter, given the name that it calls itself, unchecked. It has
            written us down by then.
        version: That of the code.

    Raises:
        NotAuthorizedError: the inviter does not take the code.
        RemoteProtocolError: it answers what makes no sense.
        TimeoutError: it answers too late.
    """
    machine = Joiner(token, name, version=version)
    async with stream:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while machine.inviter_name is None:
                await stream.write(machine.data_to_send())
                machine.receive(await stream.read(MAX_FRAME))
        await commit(machine.inviter_name)
        stream.close_write()
        # All is done; how the other side takes the news changes nothing.
        with contextlib.suppress(PeerupError, OSError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await stream.read(1)
