"""aioquic's connection, bent to what libp2p needs: certificates, windows, reset tokens.

aioquic was made for the web. The server has to ask for a certificate, and one of libp2p's; windows
have to follow the reader; who restarts has to know his tokens again (ADR 13). Names that aioquic
keeps to itself are pinned by ``tests/transport/test_aioquic_facts.py``.

Spec: libp2p specs, quic/README.md and tls/tls.md; RFC 9000.
"""

from __future__ import annotations

import datetime
import hmac
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicProtocolVersion

from peerup.errors import PeerupError, RemoteProtocolError, WrongPeerError
from peerup.transport.tls_certificate import verify_certificate

if TYPE_CHECKING:
    from peerup.transport.tls_certificate import Certificate, VerifiedPeer
    from peerup.wire.peer_id import PeerId
    from peerup.wire.quic_reset import ResetTokens

ALPN: Final = "libp2p"
STREAM_WINDOW: Final = 1024 * 1024  # bytes that a peer may send ahead of the reader
CONNECTION_WINDOW: Final = 16 * 1024 * 1024  # ... on all streams of a connection together
MAX_INBOUND: Final = 256  # streams the peer may have open
IDLE_TIMEOUT_S: Final = 30.0
CONNECTION_ID_SIZE: Final = 8
GROUPS: Final = (tls.Group.X25519, tls.Group.SECP256R1)  # every peer has both; a key for each

# aioquic logs what peers send; what is worth a line is logged by those who own connections.
logging.getLogger("quic").disabled = True


class Connection(QuicConnection):
    """A connection of libp2p's kind.

    ``verified`` is who is at the other end, ``refusal`` why we do not take his certificate.
    """

    expected: PeerId | None = None
    verified: VerifiedPeer | None = None
    refusal: PeerupError | None = None
    tokens: ResetTokens | None = None  # None: random ones, which nobody knows after a restart

    def _initialize(self, peer_cid: bytes) -> None:
        self._local_max_streams_bidi.value = MAX_INBOUND
        self._local_max_streams_uni.value = 0  # libp2p has no use for one-way streams
        super()._initialize(peer_cid)
        self.tls._request_client_certificate = not self._is_client
        self.tls._supported_groups = list(GROUPS)
        self._take_certificate = self.tls._set_peer_certificate
        self.tls._set_peer_certificate = self._verify_certificate  # type: ignore[method-assign]

    def _verify_certificate(self, certificate: tls.Certificate) -> None:
        if not certificate.certificates:
            return  # an empty message; ``HandshakeCompleted`` finds that nobody is verified
        chain = [der for der, _ in certificate.certificates]
        now = datetime.datetime.now(datetime.UTC)
        try:
            self.verified = verify_certificate(chain, now=now, expected=self.expected)
        except (WrongPeerError, RemoteProtocolError) as why:
            self.refusal = why
            raise tls.AlertBadCertificate(str(why)[:80]) from why
        self._take_certificate(certificate)  # only now: aioquic trips over some bad ones

    def _write_stream_limits(self, builder: Any, space: Any, stream: Any) -> None:
        seen, stream.receiver.highest_offset = stream.receiver.highest_offset, 0
        try:
            super()._write_stream_limits(builder, space, stream)
        finally:
            stream.receiver.highest_offset = seen

    def _write_connection_limits(self, builder: Any, space: Any) -> None:
        seen, self._local_max_data.used = self._local_max_data.used, 0
        try:
            super()._write_connection_limits(builder, space)
        finally:
            self._local_max_data.used = seen

    def _replenish_connection_ids(self) -> None:
        known = len(self._host_cids)
        super()._replenish_connection_ids()
        if self.tokens is not None:
            for connection_id in self._host_cids[known:]:
                connection_id.stateless_reset_token = self.tokens.of(connection_id.cid)

    def use_tokens(self, tokens: ResetTokens) -> None:
        """Give each connection id the token that follows from it; before anything is sent."""
        self.tokens = tokens
        if not self._is_client:  # a client's first id has none
            (first,) = self._host_cids
            first.stateless_reset_token = tokens.of(first.cid)

    def is_reset_by(self, token: bytes) -> bool:
        """Tell whether ``token`` is of one of the ids that the peer gave us."""
        given = (self._peer_cid, *self._peer_cid_available)
        known = [own for entry in given if (own := entry.stateless_reset_token)]
        return sum(hmac.compare_digest(token, own) for own in known) > 0  # looks at all of them


def configuration(certificate: Certificate, size: int, *, client: bool) -> QuicConfiguration:
    """Return what aioquic wants to know, for datagrams of ``size`` bytes."""
    return QuicConfiguration(
        is_client=client,
        alpn_protocols=[ALPN],
        certificate=certificate.certificate,
        private_key=certificate.private_key,
        verify_mode=ssl.CERT_NONE,  # of a web's kind; libp2p's own check is in Connection
        supported_versions=[QuicProtocolVersion.VERSION_1],
        idle_timeout=IDLE_TIMEOUT_S,
        max_data=CONNECTION_WINDOW,
        max_stream_data=STREAM_WINDOW,
        max_datagram_size=size,
        connection_id_length=CONNECTION_ID_SIZE,
    )
