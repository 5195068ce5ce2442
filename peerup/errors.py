"""Every error peerup raises on purpose.

PeerupError
├── RemoteProtocolError       the peer broke its spec: the connection cannot go on
│   ├── LimitError            ... by sending more than we agreed to hold
│   └── WrongPeerError        ... by proving another identity than the one we dialled
├── LocalProtocolError        our caller broke ours: fix the call
├── ConnectionClosedError     the connection is gone, with everything on it
├── StreamResetError          either side gave up on one stream
├── NegotiationError          the peer does not speak the protocol we asked for
├── NotAuthorizedError        the peer will not have us
├── ResourceLimitError        one of our own bounds is reached
├── DialError                 no address of a peer could be reached
├── RelayRefusedError         a relay answered with another status than OK
├── ServiceError              a service is not there, or will not have us
├── ConfigError               a configuration, key or list file cannot be used
└── UsageError                the command line asks for something that makes no sense

``hint`` and ``exit_code`` sit on the class, so that the command line needs one ``except``.
Exit codes: 1 unexpected, 2 usage or configuration, 3 cannot reach, 4 not authorized.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class PeerupError(Exception):
    """Base of the tree: every error we raise on purpose, and nothing else.

    ``hint`` is one sentence that says what mends it; an instance may carry a better one
    than its class. ``exit_code`` is what ``peerup`` exits with.
    """

    hint: str = ""
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class RemoteProtocolError(PeerupError):
    """The peer sent what its spec forbids; the connection cannot go on."""

    exit_code = 3


class LimitError(RemoteProtocolError):
    """The peer sent more than a bound we advertise or enforce."""


class WrongPeerError(RemoteProtocolError):
    """Whoever answers at an address proved another identity than the one we dialled."""

    hint = "Check the address and the peer id; if the machine got a new key, authorize that one."

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected peer {expected}, but {actual} answered")
        self.expected, self.actual = expected, actual


class LocalProtocolError(PeerupError):
    """Our own caller asked for something the current state does not allow."""


class ConnectionClosedError(PeerupError, ConnectionError):
    """The connection is closed, and every stream on it with it.

    ``code`` is the libp2p connection error code that closed it, 0 when none was given.
    """

    exit_code = 3

    def __init__(self, message: str = "the connection is closed", *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class StreamResetError(PeerupError, ConnectionResetError):
    """A stream ended abruptly; bytes in flight are lost."""

    exit_code = 3

    def __init__(self, code: int = 0, *, by_peer: bool) -> None:
        super().__init__(f"stream reset by {'the peer' if by_peer else 'us'}, code {code:#x}")
        self.code, self.by_peer = code, by_peer


class NegotiationError(PeerupError):
    """The peer speaks none of the protocols that we proposed."""

    exit_code = 3


class NotAuthorizedError(PeerupError):
    """The peer proved who it is and then refused us."""

    hint = "Ask the other side to run `peerup auth add` with the id that `peerup whoami` prints."
    exit_code = 4


class ResourceLimitError(PeerupError):
    """A bound of our own is reached; the message names it."""


class DialError(PeerupError):
    """Every known address of a peer was tried; ``causes`` says how each one ended."""

    hint = "Is the other side running and connected to a relay that you both use?"
    exit_code = 3

    def __init__(self, peer: str, causes: Mapping[str, Exception]) -> None:
        tried = "; ".join(f"{addr}: {_reason(why)}" for addr, why in causes.items())
        super().__init__(f"cannot reach {peer} ({tried or 'no addresses known'})")
        self.peer, self.causes = peer, dict(causes)
        hints = [why.hint for why in causes.values() if isinstance(why, PeerupError) and why.hint]
        if hints:
            self.hint = hints[-1]


def _reason(why: Exception) -> str:
    """Return what an error says, without the number that Python puts before it."""
    strerror = why.strerror if isinstance(why, OSError) else None
    return strerror or str(why) or type(why).__name__


class RelayRefusedError(PeerupError):
    """A relay answered a request with ``status``, a circuit relay v2 code other than OK."""

    exit_code = 3

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ServiceError(PeerupError):
    """A service does not exist over there, or refused this connection."""

    exit_code = 3


class ConfigError(PeerupError):
    """A configuration, key or list file cannot be used; the message names file and line."""

    exit_code = 2


class UsageError(PeerupError):
    """The command line asks for something that makes no sense."""

    exit_code = 2
