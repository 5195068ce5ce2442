"""The identify message: what a peer tells of itself right after connecting, and in each push.

It comes as one or several messages that are merged, because the signed record may not fit
beside a long list of protocols.

Spec: identify/README.md, "The Identify Message".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import protobuf
from peerup.wire.protobuf import Tag

IDENTIFY_PROTOCOL: Final = "/ipfs/id/1.0.0"
PUSH_PROTOCOL: Final = "/ipfs/id/push/1.0.0"

MAX_MESSAGE: Final = 8192  # bytes of one message that we read
MAX_MESSAGES: Final = 10  # messages that we read from one stream
MAX_SENT: Final = 4096  # bytes of all that we send: rust-libp2p reads no more
SPLIT_ABOVE: Final = 2048  # bytes from which the record goes into a message of its own


@dataclass(frozen=True, slots=True)
class Identify:
    """What one peer says of itself; None is what it left out.

    ``public_key`` is a key in protobuf form, ``signed_peer_record`` a sealed peer record,
    addresses are multiaddrs in binary form. ``observed_addr`` is where it sees *us*. Nothing
    here is verified yet.
    """

    public_key: Annotated[bytes | None, Tag(1)] = None
    listen_addrs: Annotated[tuple[bytes, ...], Tag(2)] = ()
    protocols: Annotated[tuple[str, ...], Tag(3)] = ()
    observed_addr: Annotated[bytes | None, Tag(4)] = None
    protocol_version: Annotated[str | None, Tag(5)] = None
    agent_version: Annotated[str | None, Tag(6)] = None
    signed_peer_record: Annotated[bytes | None, Tag(8)] = None


def encode_identify(identify: Identify) -> list[bytes]:
    """Return the messages to send, without length prefixes.

    One message, or above 2 KiB two: everything else, then the signed record alone. The first
    is useful without the second, for peers that read no further.

    Raises:
        ValueError: Together they are longer than ``MAX_SENT``: there are too many addresses or
            protocols.
    """
    whole = protobuf.encode(identify)
    messages = [whole]
    if len(whole) > SPLIT_ABOVE and identify.signed_peer_record is not None:
        record = Identify(signed_peer_record=identify.signed_peer_record)
        rest = replace(identify, signed_peer_record=None)
        messages = [protobuf.encode(rest), protobuf.encode(record)]
    if len(whole) > MAX_SENT:
        raise ValueError(f"identify of {len(whole)} bytes, others read at most {MAX_SENT}")
    return messages


def merge(messages: Sequence[bytes]) -> Identify:
    """Return what the messages of one identify stream say together.

    Raises:
        RemoteProtocolError: There is no message, or one is malformed.
        LimitError: There are more than ``MAX_MESSAGES``, one is longer than ``MAX_MESSAGE``
            bytes, or together they list too many addresses or protocols.
    """
    if not messages:
        raise RemoteProtocolError("identify without a message")
    if len(messages) > MAX_MESSAGES:
        raise LimitError(f"identify of more than {MAX_MESSAGES} messages")
    if any(len(message) > MAX_MESSAGE for message in messages):
        raise LimitError(f"identify message of more than {MAX_MESSAGE} bytes")
    return protobuf.merge(Identify, messages)
