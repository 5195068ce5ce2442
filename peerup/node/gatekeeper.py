"""``authorized_keys`` as a gater, followed while it changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from peerup.config import authorized_keys
from peerup.errors import ConfigError
from peerup.host.gater import Answer, Only, Verdict
from peerup.protocols import identify, ping
from peerup.tasks import contained
from peerup.wire.circuit import STOP_PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from peerup.wire.peer_id import PeerId

log = logging.getLogger(__name__)

WATCH_INTERVAL_S: Final = 1.0  # a change is seen within it; a stat costs microseconds

DIALLED: Final = frozenset({identify.PROTOCOL, identify.PUSH_PROTOCOL, ping.PROTOCOL})
RELAY: Final = DIALLED | {STOP_PROTOCOL}

Stamp = tuple[int, ...] | None


class Gatekeeper:
    """Decides by a list of peers, or lets everybody in when there is none.

    Peers that we dialled and did not list get what their job needs and nothing else: a relay
    may hand us circuits, anybody may say who he is and be pinged.
    """

    def __init__(
        self, file: Path | None, relays: Collection[PeerId] = (), *, inbound: bool = True
    ) -> None:
        """Read the list once.

        Args:
            file: The authorized_keys file, None to let everybody in.
            relays: Relays that we use.
            inbound: Whether anybody can call us, so that an empty list deserves a warning.

        Raises:
            ConfigError: the file is missing or damaged.
        """
        self._file = file
        self._relays = frozenset(relays)
        self._stamp = _stamp_of(file)
        self._unreadable: Stamp | tuple[()] = ()  # the file that we complained about last
        self._entries = authorized_keys.load(file) if file else ()
        self._allowed = self._current()
        if file and inbound and not self._allowed:
            log.warning("%s lists nobody: every inbound connection will be refused", file)

    @property
    def enforcing(self) -> bool:
        """Whether there is a list at all."""
        return self._file is not None

    @property
    def allowed(self) -> frozenset[PeerId]:
        return self._allowed

    def verdict(self, peer: PeerId, *, inbound: bool) -> Verdict:
        """See ``host.gater.Gater``."""
        if self._file is None or peer in self._allowed:
            return Answer.YES
        if inbound:
            # Who was listed a moment ago need not wait for the next look at the file, which
            # remains the one to tell of what has changed.
            self._reload(self._file)
            return Answer.YES if peer in self._current() else Answer.NO
        return Only(RELAY if peer in self._relays else DIALLED)

    def refresh(self) -> frozenset[PeerId]:
        """Read the list again if it has changed and return who is no longer on it.

        A list that cannot be read changes nothing: who was on it stays, nobody else gets in.
        """
        if self._file is None:
            return frozenset()
        self._reload(self._file)
        allowed = self._current()
        removed, added = self._allowed - allowed, allowed - self._allowed
        for peer in added:
            log.info("peer authorized", extra={"peer": peer})
        for peer in removed:
            log.info("peer revoked", extra={"peer": peer})
        self._allowed = allowed
        return removed

    def _reload(self, file: Path) -> None:
        """Take over the file if it is another one than before, and one that can be read.

        One that cannot be read is tried again each time: a mode that is mended leaves no mark.
        """
        stamp = _stamp_of(file)
        if stamp == self._stamp:
            return
        try:
            entries = authorized_keys.load(file)
        except ConfigError as why:
            if stamp != self._unreadable:
                log.error("the list of authorized peers is damaged and adds nobody: %s", why)  # noqa: TRY400
            self._unreadable = stamp
            self._take_away(file)
            return
        self._stamp, self._unreadable, self._entries = stamp, (), entries

    def _take_away(self, file: Path) -> None:
        """Apply what a list that is refused takes away: it may just not add anybody."""
        with contextlib.suppress(ConfigError):  # not even that can be read
            named = authorized_keys.still_named(file)
            self._entries = tuple(entry for entry in self._entries if entry.peer in named)

    def _current(self) -> frozenset[PeerId]:
        """Return who is listed and has not expired."""
        now = time.time_ns() / 1e9
        return frozenset(entry.peer for entry in self._entries if not entry.expired(now))

    async def watch(self, on_change: Callable[[frozenset[PeerId]], None]) -> None:
        """Look at the file each second for ever; tell ``on_change`` who was removed."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            # Nothing may end this task: without it nobody is ever revoked again.
            contained(partial(self._look, on_change), lambda: None)

    def _look(self, on_change: Callable[[frozenset[PeerId]], None]) -> None:
        before = self._allowed
        removed = self.refresh()
        if self._allowed != before:
            on_change(removed)


def _stamp_of(file: Path | None) -> Stamp:
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
