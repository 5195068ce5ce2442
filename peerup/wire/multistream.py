"""multistream-select 1.0: agree on one protocol, before anything else is said.

Both machines are fed bytes as they arrive and hand out bytes to send; what follows the
agreement in the same read belongs to the protocol agreed on and is kept in ``leftover``.

Spec: libp2p specs, connections/README.md, "Protocol Negotiation"; multiformats/multistream-select.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.errors import LimitError, NegotiationError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEADER: Final = "/multistream/1.0.0"
NOT_AVAILABLE: Final = "na"
LIST: Final = "ls"
MAX_MESSAGE: Final = 1024  # bytes with the newline, as go and js
MAX_PROPOSALS: Final = 64  # after which a dialler is only wasting our time


def frame(text: str) -> bytes:
    """Return one message: varint length, ``text``, newline.

    Raises:
        ValueError: ``text`` is empty, not printable ASCII or longer than 1,023 bytes.
    """
    if not text or not text.isascii() or not text.isprintable() or len(text) >= MAX_MESSAGE:
        raise ValueError(f"not a protocol id: {text[:80]!r}")
    return _prefixed(text.encode() + b"\n")


def _prefixed(body: bytes) -> bytes:
    size = len(body)  # at most 1,024 on the way out, so the varint has one or two bytes
    head = bytes((size,)) if size < 0x80 else bytes((size & 0x7F | 0x80, size >> 7))
    return head + body


class _Lines:
    """Cuts incoming bytes into messages; never holds more than one incomplete message."""

    def __init__(self) -> None:
        self._inbox = bytearray()

    def feed(self, data: bytes) -> None:
        self._inbox += data

    @property
    def wanted(self) -> int:
        """How many bytes surely belong to the message at hand: reading those never overreads."""
        inbox = self._inbox
        if not inbox:
            return 1
        if not inbox[0] & 0x80:
            return 1 + inbox[0] - len(inbox)
        if len(inbox) == 1:
            return 1
        return 2 + (inbox[0] & 0x7F | inbox[1] << 7) - len(inbox)

    def leftover(self) -> bytes:
        rest = bytes(self._inbox)
        self._inbox.clear()
        return rest

    def expect_header(self) -> None:
        """Refuse at once what cannot become the opening, as its sender may wait for us.

        Browsers, ssh clients and port scanners begin with bytes that look like a long message.
        """
        opening = frame(HEADER)
        if not opening.startswith(bytes(self._inbox[: len(opening)])):
            raise RemoteProtocolError("multistream: the opening is not /multistream/1.0.0")

    def next(self) -> str | None:
        """Return the next message without its newline, None when more bytes are needed."""
        inbox = self._inbox
        if not inbox:
            return None
        size, head = inbox[0], 1
        if size & 0x80:
            if len(inbox) < 2:
                return None
            if not 0 < inbox[1] < 0x80:  # js too takes two bytes at most; 00 is not minimal
                raise LimitError(f"multistream: message longer than {MAX_MESSAGE} bytes")
            size, head = size & 0x7F | inbox[1] << 7, 2
        if size > MAX_MESSAGE:
            raise LimitError(f"multistream: message of {size} bytes, at most {MAX_MESSAGE}")
        if size == 0:
            raise RemoteProtocolError("multistream: empty message")
        if len(inbox) < head + size:
            return None
        body = bytes(inbox[head : head + size])
        del inbox[: head + size]
        if body[-1] != 0x0A:
            raise RemoteProtocolError("multistream: message without a newline at its end")
        try:
            return body[:-1].decode("utf-8")
        except UnicodeDecodeError:
            raise RemoteProtocolError("multistream: message is not UTF-8") from None


class Proposer:
    """The side that wants a protocol. Proposes in order of preference until one is taken.

    Header and first proposal leave together, as js answers a header only with its own.
    """

    def __init__(self, protocols: Sequence[str]) -> None:
        if not protocols:
            raise ValueError("nothing to propose")
        self._proposals = list(protocols)
        self._asked = 0
        self._lines = _Lines()
        self._outbox = bytearray(frame(HEADER) + frame(self._proposals[0]))
        self._greeted = False
        self.agreed: str | None = None
        self.leftover = b""

    def data_to_send(self) -> bytes:
        """Return what to send now, perhaps nothing; call it after each ``receive``."""
        out = bytes(self._outbox)
        self._outbox.clear()
        return out

    @property
    def wanted(self) -> int:
        """How many bytes may be read so that nothing of what follows is read with them."""
        return self._lines.wanted

    def receive(self, data: bytes) -> None:
        """Take bytes from the responder; afterwards ``agreed`` says whether it is over.

        Raises:
            NegotiationError: the responder speaks none of the proposals.
            RemoteProtocolError: the responder does not speak multistream-select.
        """
        self._lines.feed(data)
        if not self._greeted:
            self._lines.expect_header()
        while self.agreed is None and (line := self._lines.next()) is not None:
            self._on_line(line)
        if self.agreed is not None:
            self.leftover += self._lines.leftover()

    def _on_line(self, line: str) -> None:
        if not self._greeted:
            if line != HEADER:
                raise RemoteProtocolError("multistream: the answer is not /multistream/1.0.0")
            self._greeted = True
        elif line == self._proposals[self._asked]:
            self.agreed = line
        elif line == NOT_AVAILABLE:
            self._asked += 1
            if self._asked == len(self._proposals):
                raise NegotiationError(f"protocol not supported: {', '.join(self._proposals)}")
            self._outbox += frame(self._proposals[self._asked])
        else:
            raise RemoteProtocolError("multistream: answer to a proposal that was not made")


class Responder:
    """The side that is asked. ``supports`` decides, so that a table may hold patterns."""

    def __init__(
        self, supports: Callable[[str], bool], listed: Callable[[], Sequence[str]] = lambda: ()
    ) -> None:
        self._supports = supports
        self._listed = listed
        self._lines = _Lines()
        self._outbox = bytearray(frame(HEADER))
        self._greeted = False
        self._refused = 0
        self.agreed: str | None = None
        self.leftover = b""

    def data_to_send(self) -> bytes:
        """Return what to send now: our header at once, then an answer to each proposal."""
        out = bytes(self._outbox)
        self._outbox.clear()
        return out

    @property
    def wanted(self) -> int:
        """How many bytes may be read so that nothing of what follows is read with them."""
        return self._lines.wanted

    def receive(self, data: bytes) -> None:
        """Take bytes from the proposer; afterwards ``agreed`` says whether it is over.

        Raises:
            RemoteProtocolError: the proposer does not speak multistream-select.
            LimitError: it made more than 64 proposals, or a message passed 1,024 bytes.
        """
        self._lines.feed(data)
        if not self._greeted:
            self._lines.expect_header()
        while self.agreed is None and (line := self._lines.next()) is not None:
            self._on_line(line)
        if self.agreed is not None:
            self.leftover += self._lines.leftover()

    def _on_line(self, line: str) -> None:
        if not self._greeted:
            if line != HEADER:
                raise RemoteProtocolError("multistream: the opening is not /multistream/1.0.0")
            self._greeted = True
        elif line == LIST:
            self._count()
            self._outbox += self._list()
        elif line and line.isascii() and line.isprintable() and self._supports(line):
            self._outbox += frame(line)
            self.agreed = line
        else:
            self._count()
            self._outbox += frame(NOT_AVAILABLE)

    def _count(self) -> None:
        self._refused += 1
        if self._refused > MAX_PROPOSALS:
            raise LimitError(f"multistream: more than {MAX_PROPOSALS} proposals")

    def _list(self) -> bytes:
        body = b""
        for name in self._listed():
            line = frame(name)
            if len(body) + len(line) + 1 > MAX_MESSAGE:
                break  # a reader drops longer messages, so a shorter list serves it better
            body += line
        return _prefixed(body + b"\n")
