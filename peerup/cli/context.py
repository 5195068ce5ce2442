"""What commands share: their configuration, and arguments that are more than a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.cli import files, output
from peerup.config.load import load_config, load_relay_config
from peerup.config.paths import find_relay_config
from peerup.config.schema import check_service_name
from peerup.config.units import parse_duration
from peerup.errors import ConfigError, UsageError
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from peerup.config.schema import Config, RelayConfig

LISTENABLE: Final = (  # the transports that there are
    ("ip4", "tcp"),
    ("ip6", "tcp"),
    ("ip4", "udp", "quic-v1"),
    ("ip6", "udp", "quic-v1"),
)


def node_config(args: argparse.Namespace) -> Config:
    """Return the node's configuration: ``--config``, or the first one of the search path.

    Raises:
        ConfigError: There is none, or it cannot be used.
    """
    config = load_config(files.node_file(args))
    warn(config.warnings)
    return config


def relay_config(args: argparse.Namespace) -> RelayConfig:
    """Return the configuration of this machine's relay.

    Raises:
        ConfigError: There is none, or it cannot be used.
    """
    path = find_relay_config(files.explicit_path(args))
    if path is None:
        raise ConfigError(
            "there is no relay configuration on this machine",
            hint="`peerup relay serve` writes one; --config PATH names one elsewhere.",
        )
    config = load_relay_config(path)
    warn(config.warnings)
    return config


def warn(warnings: Iterable[str]) -> None:
    """Say what is odd about a configuration."""
    for text in warnings:
        output.warning(text)


def peer_id(text: str) -> PeerId:
    """Parse a peer id that the user typed."""
    try:
        return PeerId.parse(text)
    except ValueError as error:
        raise UsageError(
            f"invalid peer ID: {error}",
            hint="`peerup whoami` on the other machine prints its peer id.",
        ) from None


def peer_or_name(config: Config, text: str) -> PeerId:
    """Return the peer that the user named, by a name from the configuration or by its id."""
    return config.names.get(text) or peer_id(text)


def check_service(name: str) -> None:
    """Refuse a name that no service can have."""
    try:
        check_service_name(name)
    except ValueError as error:
        raise UsageError(
            str(error), hint="`peerup service list` on the other machine shows its services."
        ) from None


def listen_addresses(texts: Iterable[str]) -> tuple[Multiaddr, ...]:
    """Parse the values of ``--listen``, which must be ones that we can listen on."""
    return tuple(_listen_address(text) for text in texts)


def _listen_address(text: str) -> Multiaddr:
    hint = "Use for example /ip4/0.0.0.0/tcp/7777 or /ip6/::/tcp/7777."
    try:
        address = Multiaddr.parse(text)
    except ValueError as error:
        raise UsageError(f"cannot listen there: {error}", hint=hint) from None
    if tuple(component.protocol.name for component in address.components) not in LISTENABLE:
        raise UsageError(f"cannot listen on {text}: only TCP or QUIC on an IP address", hint=hint)
    return address


def duration(text: str, option: str) -> float:
    """Parse a duration such as ``10s`` or ``1m30s`` into seconds, 0 or more."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise UsageError(
            f"{option} {text} is not a duration", hint="Write it as 500ms, 10s or 1m30s."
        )
    return seconds
