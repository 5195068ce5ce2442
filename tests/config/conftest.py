"""A configuration directory as ``peerup init`` leaves it, and peers to put into it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from peerup.config.template import default_listen, node_template
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId
from tests.config.killed import FileSystem

if TYPE_CHECKING:
    from pathlib import Path

ANNE: Final = PeerId.parse("12D3KooWPrmh163sTHW3mYQm7YsLsSR2wr71fPp4g6yjuGv3sGQt")
BOB: Final = PeerId.parse("12D3KooWQvzCBP1MdU6g3UC6rUwHtDkbMUWQKDapmHqQFPqZqTn7")
RELAY_ID: Final = "12D3KooWRzaGMTqQbRHNMZkAYj8ALUXoK99qSjhiFLanDoVWK9An"
RELAY: Final = Multiaddr.parse(f"/ip4/203.0.113.50/tcp/7777/p2p/{RELAY_ID}")
RELAY_2: Final = Multiaddr.parse(f"/dns4/relay.example/tcp/7777/p2p/{RELAY_ID}")


def write_private(path: Path, text: str | bytes) -> Path:
    """Write a file with mode 0600, as it is: no line end is translated."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


def belongs_to_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file one of another user; who may not give it away becomes another user."""
    if os.geteuid() == 0:
        os.chown(path, 4242, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A freshly generated ``config.yaml``."""
    text = node_template(generated_by="peerup init", listen=default_listen(), relays=[RELAY])
    return write_private(tmp_path / "config.yaml", text)


@pytest.fixture
def file_system(monkeypatch: pytest.MonkeyPatch) -> FileSystem:
    """The file system, to die or to be full at any step."""
    return FileSystem(monkeypatch)
