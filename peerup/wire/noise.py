"""The Noise secure channel of libp2p: XX handshake, identity payload, records.

``Handshake`` is a machine that is fed bytes and hands out bytes; it ends in a ``SecureSession``
with the proven peer id and the two keys. ``Sealer`` and ``Opener`` then work on records of at
most 65,535 bytes, each with a two-byte length before it.

The handshake itself is the package noiseprotocol; records use cryptography's AEAD directly.
Spec: libp2p specs, noise/README.md; connections/inlined-muxer-negotiation.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from noise import exceptions as noise_errors
from noise.connection import Keypair, NoiseConnection

from peerup.errors import LimitError, RemoteProtocolError, WrongPeerError
from peerup.wire.keys import PrivateKey, PublicKey
from peerup.wire.peer_id import PeerId
from peerup.wire.protobuf import Tag, decode, encode

PROTOCOL: Final = "/noise"
PATTERN: Final = b"Noise_XX_25519_ChaChaPoly_SHA256"
SIGNED_PREFIX: Final = b"noise-libp2p-static-key:"
MAX_RECORD: Final = 65535
TAG_SIZE: Final = 16
MAX_PLAINTEXT: Final = MAX_RECORD - TAG_SIZE
MAX_HANDSHAKE_MESSAGE: Final = 8192  # an RSA-8192 identity needs about 2,300 bytes
MAX_MUXERS: Final = 100  # as go; a longer list counts as none
MAX_NONCE: Final = 2**64 - 1  # reserved by Noise, so a key ends before it


@dataclass(frozen=True, slots=True)
class Extensions:
    """What each side may add to its identity; webtransport hashes are read and ignored."""

    webtransport_certhashes: Annotated[tuple[bytes, ...], Tag(1)] = ()
    stream_muxers: Annotated[tuple[str, ...], Tag(2)] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """Proof that the owner of an identity key also holds the Noise static key."""

    identity_key: Annotated[bytes, Tag(1)] = b""
    identity_sig: Annotated[bytes, Tag(2)] = b""
    extensions: Annotated[Extensions | None, Tag(4)] = None


@dataclass(frozen=True, slots=True)
class SecureSession:
    """What a finished handshake leaves.

    ``muxer`` is the muxer both sides already agreed on, None when multistream-select has to
    find one. ``leftover`` holds bytes that arrived behind the last handshake message.
    """

    peer: PeerId
    public_key: PublicKey
    muxer: str | None
    sealer: Sealer
    opener: Opener
    leftover: bytes


class Handshake:
    """One side of the XX handshake: ``-> e``, ``<- e, ee, s, es``, ``-> s, se``."""

    def __init__(
        self,
        key: PrivateKey,
        *,
        initiator: bool,
        expected: PeerId | None = None,
        muxers: Sequence[str] = (),
        fixed_keys: tuple[bytes, bytes] | None = None,
    ) -> None:
        """Begin; an initiator's first message is ready in ``data_to_send``.

        Args:
            key: Our identity.
            initiator: Whether we dialled.
            expected: The peer that must answer, None to accept any.
            muxers: Our stream muxers, best first; empty leaves early negotiation out.
            fixed_keys: Static and ephemeral X25519 private keys, for replaying vectors only.
        """
        self._key = key
        self._initiator = initiator
        self._expected = expected
        self._muxers = tuple(muxers)
        self._inbox = bytearray()
        self._outbox = bytearray()
        self.session: SecureSession | None = None
        self._noise = NoiseConnection.from_name(PATTERN)
        if initiator:
            self._noise.set_as_initiator()
        else:
            self._noise.set_as_responder()
        self._start(fixed_keys)
        # noiseprotocol deletes its own reference at the end; this one keeps ``s`` and ``rs``.
        self._state = self._noise.noise_protocol.handshake_state
        self._theirs: tuple[PublicKey, PeerId, tuple[str, ...]] | None = None
        if initiator:
            self._send(b"")

    def _start(self, fixed: tuple[bytes, bytes] | None) -> None:
        static, ephemeral = fixed or (_new_static(), None)
        self._noise.set_keypair_from_private_bytes(Keypair.STATIC, static)
        if ephemeral is None:
            self._noise.start_handshake()
            return
        self._noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, ephemeral)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of fixed ephemerals, rightly
            self._noise.start_handshake()

    def data_to_send(self) -> bytes:
        out = bytes(self._outbox)
        self._outbox.clear()
        return out

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer; afterwards ``session`` says whether it is over.

        Raises:
            WrongPeerError: the peer is not ``expected``. Nothing of us was revealed.
            RemoteProtocolError: a message is malformed, or a key or signature is wrong.
        """
        self._inbox += data
        while self.session is None and (message := self._take()) is not None:
            self._on_message(message)

    def _take(self) -> bytes | None:
        if len(self._inbox) < 2:
            return None
        size = self._inbox[0] << 8 | self._inbox[1]
        if size > MAX_HANDSHAKE_MESSAGE:
            raise LimitError(f"noise: handshake message of {size} bytes")
        if len(self._inbox) < 2 + size:
            return None
        message = bytes(self._inbox[2 : 2 + size])
        del self._inbox[: 2 + size]
        return message

    def _on_message(self, message: bytes) -> None:
        payload = self._read(message)
        if not self._initiator and self._theirs is None and not self._noise.handshake_finished:
            self._send(self._proof())  # message 1 carried nothing that we may trust
            return
        self._theirs = self._verify(payload)
        if self._initiator:
            self._send(self._proof())
        self._finish()

    def _read(self, message: bytes) -> bytes:
        try:
            return bytes(self._noise.read_message(message))
        except (
            InvalidTag,
            ValueError,  # a low-order point: the shared secret would be all zeros
            noise_errors.NoiseInvalidMessage,
            noise_errors.NoiseValueError,
            noise_errors.NoiseHandshakeError,
        ) as why:
            raise RemoteProtocolError("noise: the handshake message is not valid") from why

    def _send(self, payload: bytes) -> None:
        try:
            message = bytes(self._noise.write_message(payload))
        except ValueError as why:  # their ephemeral key of message 1 is a low-order point
            raise RemoteProtocolError("noise: the handshake message is not valid") from why
        self._outbox += len(message).to_bytes(2, "big") + message

    def _proof(self) -> bytes:
        signature = self._key.sign(SIGNED_PREFIX + self._state.s.public_bytes)
        extensions = Extensions(stream_muxers=self._muxers) if self._muxers else None
        return encode(Payload(self._key.public_key.to_protobuf(), signature, extensions))

    def _verify(self, data: bytes) -> tuple[PublicKey, PeerId, tuple[str, ...]]:
        payload = decode(Payload, data)
        key = PublicKey.from_protobuf(payload.identity_key)
        peer = PeerId.from_public_key(key)
        if self._expected is not None and peer != self._expected:
            raise WrongPeerError(str(self._expected), str(peer))
        key.verify(payload.identity_sig, SIGNED_PREFIX + self._state.rs.public_bytes)
        muxers = payload.extensions.stream_muxers if payload.extensions else ()
        return key, peer, muxers if len(muxers) <= MAX_MUXERS else ()

    def _finish(self) -> None:
        assert self._theirs is not None
        key, peer, theirs = self._theirs
        proposed, known = (self._muxers, theirs) if self._initiator else (theirs, self._muxers)
        protocol = self._noise.noise_protocol
        self.session = SecureSession(
            peer=peer,
            public_key=key,
            muxer=next((name for name in proposed if name in known), None),
            sealer=Sealer(bytes(protocol.cipher_state_encrypt.k)),
            opener=Opener(bytes(protocol.cipher_state_decrypt.k)),
            leftover=bytes(self._inbox),
        )
        self._inbox.clear()


def _new_static() -> bytes:
    return ChaCha20Poly1305.generate_key()  # 32 bytes of the system's randomness


def sealed_size(size: int) -> int:
    """Return how many bytes ``size`` bytes of plaintext are as records."""
    return size + -(-size // MAX_PLAINTEXT) * (2 + TAG_SIZE)


# Where the pieces of one record come together before they are sealed. One for all: sealing
# never waits, so nobody else can come in between.
_record: Final = memoryview(bytearray(MAX_PLAINTEXT))


class Sealer:
    """Turns plaintext into records. One key, a nonce that counts up and is never reused."""

    def __init__(self, key: bytes) -> None:
        self._encrypt_into = ChaCha20Poly1305(key).encrypt_into
        self._nonce = 0

    def seal(self, plaintext: bytes | memoryview) -> bytearray:
        """Return ``plaintext`` of any size as records, each as full as can be."""
        out = bytearray(sealed_size(len(plaintext)))
        self.seal_into([plaintext], memoryview(out))
        return out

    def seal_into(self, parts: Iterable[bytes | memoryview], out: memoryview) -> int:
        """Write ``parts``, one after the other, as records into ``out``; return their size.

        ``out`` has room for ``sealed_size`` of all parts together.
        """
        filled = at = 0
        for part in parts:
            start, size = 0, len(part)
            while start < size:
                step = min(size - start, MAX_PLAINTEXT - filled)
                whole = step == size
                _record[filled : filled + step] = part if whole else part[start : start + step]
                filled += step
                start += step
                if filled == MAX_PLAINTEXT:
                    at = self._seal_record(filled, out, at)
                    filled = 0
        return self._seal_record(filled, out, at) if filled else at

    def _seal_record(self, size: int, out: memoryview, at: int) -> int:
        if self._nonce >= MAX_NONCE:
            raise LimitError("noise: the key is used up")
        stop = at + 2 + size + TAG_SIZE
        out[at : at + 2] = (size + TAG_SIZE).to_bytes(2, "big")
        nonce = b"\0\0\0\0" + self._nonce.to_bytes(8, "little")
        self._encrypt_into(nonce, _record[:size], None, out[at + 2 : stop])
        self._nonce += 1
        return stop


class Opener:
    """Turns records into plaintext. The first record that does not verify ends it."""

    def __init__(self, key: bytes) -> None:
        self._decrypt = ChaCha20Poly1305(key).decrypt
        self._nonce = 0
        self._held = bytearray()  # an incomplete record, at most 65,537 bytes

    @property
    def midway(self) -> bool:
        """Whether an incomplete record waits, so that an end of file now is a truncation."""
        return bool(self._held)

    def open(self, data: bytes) -> list[bytes]:
        """Take bytes and return the plaintexts of all records that are complete.

        Raises:
            RemoteProtocolError: a record is too short, forged, replayed or out of order.
        """
        plain: list[bytes] = []
        view = memoryview(data)
        at = self._complete_held(view, plain) if self._held else 0
        end = len(view)
        while end - at >= 2:
            stop = at + 2 + (view[at] << 8 | view[at + 1])
            if stop > end:
                break
            self._open_record(view[at + 2 : stop], plain)
            at = stop
        self._held += view[at:]
        return plain

    def _complete_held(self, view: memoryview, plain: list[bytes]) -> int:
        """Fill the incomplete record from ``view``; return how much of it was needed."""
        held, at = self._held, 0
        if len(held) < 2:
            at = min(2 - len(held), len(view))
            held += view[:at]
            if len(held) < 2:
                return at
        need = 2 + (held[0] << 8 | held[1]) - len(held)
        held += view[at : at + need]
        if len(view) - at >= need:
            record = bytes(held)
            held.clear()
            self._open_record(memoryview(record)[2:], plain)
        return min(at + need, len(view))

    def _open_record(self, record: memoryview, plain: list[bytes]) -> None:
        if self._nonce >= MAX_NONCE:
            raise LimitError("noise: the key is used up")
        nonce, self._nonce = self._nonce, MAX_NONCE  # for good, unless the record is right
        if len(record) < TAG_SIZE:
            raise RemoteProtocolError(f"noise: record of {len(record)} bytes has no room for a tag")
        try:
            text = self._decrypt(b"\0\0\0\0" + nonce.to_bytes(8, "little"), record, None)
        except InvalidTag:
            raise RemoteProtocolError("noise: a record does not verify") from None
        self._nonce = nonce + 1
        if text:
            plain.append(text)
