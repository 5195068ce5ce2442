"""The pairing exchange: a joiner proves that it has the invite code, and names go both ways.

Version 2: each side sends a fresh X25519 key, the joiner a byte 2 before it. The key that both
derive from the shared secret and the token encrypts two frames: the joiner's name, then ``OK``
and the inviter's name, or ``ERR`` and a reason. Who has another token cannot make the first
frame. A frame is two bytes of length, 24 of nonce, and XChaCha20-Poly1305 ciphertext.

Version 1: one line with the token in hexadecimal and the joiner's name, one line back. It relies
on the encryption of the connection below, which version 2 has too.

Both machines take bytes and hand out bytes. Spec: peerup's own, as Go peerup has it.
"""

from __future__ import annotations

import enum
import hmac
import secrets
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from peerup.errors import LimitError, LocalProtocolError, NotAuthorizedError, RemoteProtocolError
from peerup.wire import xchacha
from peerup.wire.invite import V1, V2
from peerup.wire.printable import printable

KEY_SIZE: Final = 32
MAX_FRAME: Final = 4096  # bytes behind the length
MAX_LINE: Final = 512  # bytes of a version 1 line, with its line feed
MAX_SENT_NAME: Final = 64  # characters of a name that we send; nobody keeps more

_MIN_FRAME: Final = xchacha.NONCE_SIZE + xchacha.TAG_SIZE
_LENGTH_SIZE: Final = 2
_INFO: Final = b"peerup-invite-v2"
_FIRST: Final = bytes([V2])
_OK: Final = "OK"
_ERR: Final = "ERR"
WRONG_CODE: Final = "Copy the code again from its first letter to its last, or ask for a new one."


class Fixed:
    """What is random in an exchange; tests that replay vectors give their own."""

    def __init__(self, private: bytes = b"", nonce: bytes = b"") -> None:
        self.private = private or secrets.token_bytes(KEY_SIZE)
        self._nonce = nonce

    def nonce(self) -> bytes:
        return self._nonce or secrets.token_bytes(xchacha.NONCE_SIZE)


class Secret:
    """Our half of the key agreement, and then the key."""

    def __init__(self, token: bytes, fixed: Fixed) -> None:
        self._token, self._fixed = token, fixed
        self._private = X25519PrivateKey.from_private_bytes(fixed.private)
        self.public = self._private.public_key().public_bytes_raw()
        self.key = b""

    def agree(self, theirs: bytes) -> None:
        """Derive the key.

        Raises:
            RemoteProtocolError: their key is one of those few that give everybody the same.
        """
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError:
            raise RemoteProtocolError("pairing: a key that agrees on nothing") from None
        self.key = derive_key(shared, self._token)

    def seal(self, text: str) -> bytes:
        """Return ``text`` as a frame.

        Raises:
            ValueError: it does not fit into a frame (W-32).
        """
        nonce = self._fixed.nonce()
        frame = nonce + xchacha.seal(self.key, nonce, text.encode("utf-8", "replace"))
        if len(frame) > MAX_FRAME:
            raise ValueError(f"{len(frame)} bytes do not fit into a frame of {MAX_FRAME}")
        return len(frame).to_bytes(_LENGTH_SIZE, "big") + frame

    def open(self, frame: bytes) -> str | None:
        """Return the text of a frame without its length, None if the token was another one."""
        nonce, sealed = frame[: xchacha.NONCE_SIZE], frame[xchacha.NONCE_SIZE :]
        opened = xchacha.open_sealed(self.key, nonce, sealed)
        return None if opened is None else opened.decode("utf-8", "replace")


def derive_key(shared: bytes, token: bytes) -> bytes:
    """Return the key of version 2: HKDF-SHA256 of the shared secret and the token."""
    return hkdf(shared + token, _INFO)


def hkdf(secret: bytes, info: bytes) -> bytes:
    """Return 32 bytes of HKDF-SHA256 without a salt (RFC 5869)."""
    return HKDF(SHA256(), KEY_SIZE, None, info).derive(secret)


class _Inbox:
    """Bytes that came, from which whole fields are taken."""

    def __init__(self) -> None:
        self._held = bytearray()

    def add(self, data: bytes) -> None:
        self._held += data

    def take(self, size: int) -> bytes | None:
        """Return ``size`` bytes, None while there are fewer."""
        if len(self._held) < size:
            return None
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def first(self) -> bytes:
        """Return the first byte and leave it, b"" if there is none yet."""
        return bytes(self._held[:1])

    def frame(self) -> bytes | None:
        """Return what is behind a length.

        Raises:
            LimitError: the length is above ``MAX_FRAME``.
            RemoteProtocolError: it is too small to hold anything.
        """
        if len(self._held) < _LENGTH_SIZE:
            return None
        size = int.from_bytes(self._held[:_LENGTH_SIZE], "big")
        if size > MAX_FRAME:
            raise LimitError(f"pairing: a frame of {size} bytes, at most {MAX_FRAME} are allowed")
        if size < _MIN_FRAME:
            raise RemoteProtocolError(f"pairing: a frame of {size} bytes")
        if len(self._held) < _LENGTH_SIZE + size:
            return None
        self.take(_LENGTH_SIZE)
        return self.take(size)

    def line(self) -> str | None:
        """Return a line without what is blank around it.

        Raises:
            LimitError: it is longer than ``MAX_LINE``.
        """
        end = self._held.find(b"\n", 0, MAX_LINE)
        if end < 0:
            if len(self._held) >= MAX_LINE:
                raise LimitError(f"pairing: a line above {MAX_LINE} bytes")
            return None
        line = self.take(end + 1) or b""
        return line.decode("utf-8", "replace").strip()


class Joiner:
    """The side that has the code and opens the stream."""

    def __init__(
        self, token: bytes, name: str, *, version: int = V2, fixed: Fixed | None = None
    ) -> None:
        """Begin; the first bytes are ready in ``data_to_send``.

        Args:
            token: The secret of the code.
            name: What to be called over there; at most 64 characters of it are sent.
            version: That of the code.
            fixed: What is otherwise random.
        """
        #: What the inviter calls itself, once it has let us in; as it came, nothing is checked.
        self.inviter_name: str | None = None
        self._name = name[:MAX_SENT_NAME]
        self._secret = Secret(token, fixed or Fixed()) if version == V2 else None
        self._inbox = _Inbox()
        if self._secret is not None:
            self._outbox = _FIRST + self._secret.public
        else:
            words = (token.hex(), " ".join(self._name.split()))
            self._outbox = " ".join(filter(None, words)).encode("utf-8", "replace") + b"\n"

    def data_to_send(self) -> bytes:
        """Return what has to be sent now, and forget it."""
        data, self._outbox = self._outbox, b""
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes of the inviter; ``b""`` is the end of what it sends.

        Raises:
            NotAuthorizedError: it does not let us in.
            RemoteProtocolError: it answers what makes no sense.
        """
        if self.inviter_name is not None:
            return
        if not data:
            raise NotAuthorizedError(
                "the other machine does not accept this invite code", hint=WRONG_CODE
            )
        self._inbox.add(data)
        reply = self._reply()
        if reply is not None:
            self._judge(reply)

    def _reply(self) -> str | None:
        """Return the inviter's answer, once it is whole."""
        if self._secret is None:
            return self._inbox.line()
        if not self._secret.key:
            theirs = self._inbox.take(KEY_SIZE)
            if theirs is None:
                return None
            self._secret.agree(theirs)
            self._outbox += self._secret.seal(self._name)
        frame = self._inbox.frame()
        if frame is None:
            return None
        reply = self._secret.open(frame)
        if reply is None:
            raise RemoteProtocolError("pairing: the answer is encrypted with another key")
        return reply

    def _judge(self, reply: str) -> None:
        if reply.startswith(_ERR):
            reason = printable(reply.removeprefix(_ERR).strip(), 100)
            raise NotAuthorizedError(f"Invite rejected: {reason}", hint=WRONG_CODE)
        if not reply.startswith(_OK):
            raise RemoteProtocolError(f"Unexpected response: {printable(reply, 40)}")
        self.inviter_name = reply.removeprefix(_OK).strip()


class Step(enum.Enum):
    """How far an inviter is with one joiner."""

    FIRST_BYTE = enum.auto()
    KEY = enum.auto()
    NAME = enum.auto()
    LINE = enum.auto()
    PROVEN = enum.auto()  # it has the code: accept or refuse
    OVER = enum.auto()


class Inviter:
    """The side that made the code, with one joiner; it decides when ``step`` is PROVEN."""

    def __init__(self, token: bytes, *, version: int = V2, fixed: Fixed | None = None) -> None:
        """Wait for a joiner that knows ``token``.

        ``version`` is that of the code: one of version 2 takes no joiner of version 1, which
        would be a downgrade; one of version 1 takes both.
        """
        self.step = Step.FIRST_BYTE
        #: What the joiner calls itself, as it came; nothing is checked.
        self.joiner_name = ""
        self._token, self._version = token, version
        self._secret: Secret | None = None
        self._fixed = fixed or Fixed()
        self._inbox = _Inbox()
        self._outbox = b""

    def data_to_send(self) -> bytes:
        """Return what has to be sent now, and forget it."""
        data, self._outbox = self._outbox, b""
        return data

    def receive(self, data: bytes) -> None:
        """Take bytes of the joiner.

        Raises:
            NotAuthorizedError: it has another token; ``data_to_send`` may hold the answer.
            RemoteProtocolError: it sends what makes no sense, or wants an older version.
        """
        if self.step in {Step.PROVEN, Step.OVER}:
            return
        self._inbox.add(data)
        while self._advance():
            pass

    def _advance(self) -> bool:
        """Go one step further; False when that takes more bytes, or our decision."""
        match self.step:
            case Step.FIRST_BYTE:
                return self._on_first_byte()
            case Step.KEY:
                return self._on_key()
            case Step.NAME:
                return self._on_name()
            case Step.LINE:
                return self._on_line()
        return False

    def _on_first_byte(self) -> bool:
        first = self._inbox.first()
        if not first:
            return False
        if first == _FIRST:
            self._inbox.take(1)
            self.step = Step.KEY
        elif self._version == V1:
            self.step = Step.LINE
        else:
            self.step = Step.OVER
            self._outbox = b"ERR invalid token\n"  # in words that a joiner of version 1 knows
            raise RemoteProtocolError("pairing: an older version than that of the code")
        return True

    def _on_key(self) -> bool:
        theirs = self._inbox.take(KEY_SIZE)
        if theirs is None:
            return False
        self._secret = Secret(self._token, self._fixed)
        self._secret.agree(theirs)
        self._outbox += self._secret.public
        self.step = Step.NAME
        return True

    def _on_name(self) -> bool:
        assert self._secret is not None
        frame = self._inbox.frame()
        if frame is None:
            return False
        name = self._secret.open(frame)
        if name is None:
            raise self._wrong()  # and nothing to say: it could not read it
        self._prove(name)
        return False

    def _on_line(self) -> bool:
        line = self._inbox.line()
        if line is None:
            return False
        token, _, name = line.partition(" ")
        if not hmac.compare_digest(token.encode(), self._token.hex().encode()):
            self._outbox = b"ERR invalid token\n"
            raise self._wrong()
        self._prove(name.strip())
        return False

    def _wrong(self) -> NotAuthorizedError:
        self.step = Step.OVER
        return NotAuthorizedError("pairing: a joiner without the code")

    def _prove(self, name: str) -> None:
        self.joiner_name, self.step = name, Step.PROVEN

    def accept(self, name: str) -> None:
        """Let the joiner in; ``name`` is ours, of which at most 64 characters are sent."""
        self._answer(f"{_OK} {name[:MAX_SENT_NAME]}")

    def refuse(self, reason: str) -> None:
        """Tell a joiner that has the code why it cannot be let in."""
        self._answer(f"{_ERR} {reason}")

    def _answer(self, text: str) -> None:
        if self.step is not Step.PROVEN:
            raise LocalProtocolError(f"no joiner waits for an answer in step {self.step.name}")
        self.step = Step.OVER
        if self._secret is None:
            self._outbox += " ".join(text.split()).encode("utf-8", "replace") + b"\n"
        else:
            self._outbox += self._secret.seal(text)
