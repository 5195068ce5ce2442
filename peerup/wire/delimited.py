"""Messages behind a varint that says how many bytes follow.

Spec: multiformats, unsigned-varint; libp2p specs, "length-prefixed" messages of identify,
circuit relay v2, DCUtR, AutoNAT and kad-dht.
"""

from __future__ import annotations

from peerup.errors import LimitError, RemoteProtocolError
from peerup.wire import varint


def join(message: bytes) -> bytes:
    """Return ``message`` behind its length prefix."""
    return varint.encode(len(message)) + message


class Splitter:
    """Cuts a byte stream into the messages that ``join`` made.

    Feed whatever a read returned, then call ``next_message`` until it gives None: after that
    the splitter holds less than one message, so at most ``max_size`` + 9 bytes.
    """

    def __init__(self, max_size: int) -> None:
        """Accept messages of 0 to ``max_size`` bytes, not counting the prefix."""
        self._max_size = max_size
        self._unread = bytearray()

    @property
    def unread(self) -> int:
        """How many bytes were fed that are not part of a returned message."""
        return len(self._unread)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the stream, however they were cut."""
        self._unread += data

    def next_message(self) -> bytes | None:
        """Return the next whole message, or None while it is incomplete.

        Raises:
            LimitError: The prefix announces more than ``max_size`` bytes.
            RemoteProtocolError: The prefix is not a varint.
        """
        if not self._has_prefix():
            return None
        size, start = varint.decode(self._unread)
        if size > self._max_size:
            raise LimitError(f"message of {size} bytes, {self._max_size} are allowed")
        if len(self._unread) < start + size:
            return None
        message = bytes(self._unread[start : start + size])
        del self._unread[: start + size]
        return message

    def take_rest(self) -> bytes:
        """Return the bytes after the last message, and forget them.

        For streams that turn into something else after a message, as a circuit does.
        """
        rest = bytes(self._unread)
        self._unread.clear()
        return rest

    def _has_prefix(self) -> bool:
        head = self._unread[: varint.MAX_VARINT_BYTES]
        return len(head) == varint.MAX_VARINT_BYTES or any(byte < 0x80 for byte in head)


def decode_all(data: bytes, max_size: int) -> list[bytes]:
    """Return every message in ``data``, which holds whole messages and nothing else.

    Raises:
        LimitError: A message is longer than ``max_size`` bytes.
        RemoteProtocolError: A prefix is not a varint, or the last message is cut short.
    """
    splitter = Splitter(max_size)
    splitter.feed(data)
    messages = []
    while (message := splitter.next_message()) is not None:
        messages.append(message)
    if splitter.unread:
        raise RemoteProtocolError("the last message is cut short")
    return messages
