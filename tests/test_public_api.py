"""The names that a user of the library may count on."""

from __future__ import annotations

import re
from typing import Final

import pytest

import peerup

PUBLIC: Final = [
    "Answer",
    "AutoRelay",
    "CircuitTransport",
    "Circuits",
    "DialError",
    "Gater",
    "HopService",
    "Host",
    "Identify",
    "Limits",
    "MemoryNetwork",
    "Multiaddr",
    "NegotiationError",
    "NotAuthorizedError",
    "Only",
    "PeerId",
    "PeerupError",
    "PrivateKey",
    "Quic",
    "Registration",
    "RelayLimits",
    "RemoteProtocolError",
    "ResourceLimitError",
    "Stream",
    "StreamResetError",
    "Tcp",
    "__version__",
]


def test_these_are_the_public_names() -> None:
    assert sorted(peerup.__all__) == PUBLIC
    assert sorted(dir(peerup)) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if not name.startswith("_")])
def test_every_public_name_can_be_imported_and_is_what_it_says(name: str) -> None:
    found = getattr(peerup, name)
    assert found.__name__ == name
    assert found.__module__.startswith("peerup.")
    assert found.__doc__


def test_a_star_import_brings_them_all() -> None:
    names: dict[str, object] = {}
    exec("from peerup import *", names)
    assert set(PUBLIC) <= set(names)


def test_other_names_are_missing_in_the_usual_way() -> None:
    assert not hasattr(peerup, "nothing_of_this_name")
    with pytest.raises(AttributeError, match="module 'peerup' has no attribute 'nothing'"):
        peerup.nothing  # noqa: B018


def test_the_version_is_one_that_packaging_understands() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", peerup.__version__)
