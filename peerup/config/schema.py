"""Every setting of a node and of a relay: one field, one comment, one default.

The comment above a field is what the reference says about it, the default what applies when
the key is absent. Field names are the YAML keys. Spec: compatible with Go peerup's files,
except that gating is on unless switched off, and that what can be defaulted is optional.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from peerup.config.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from peerup.wire.multiaddr import Multiaddr
    from peerup.wire.peer_id import PeerId

VERSION: Final = 1
DEFAULT_RENDEZVOUS: Final = "peerup-default-network"
DEFAULT_RESERVATION_INTERVAL: Final = 120.0  # seconds
MIN_RESERVATION_INTERVAL: Final = 1.0  # seconds

# Names whose protocol ids ``/peerup/<name>/...`` mean something else than a service.
RESERVED_SERVICES: Final = frozenset(
    {"invite", "kad", "vouch", "rtt-probe", "relay-pair", "peer-notify"}
)

DNS_LABEL_RULE: Final = "allowed are 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends"
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST_PORT: Final = re.compile(r"(\[[0-9A-Za-z:.%_-]+\]|[^\s:\[\]/@]*):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which key proves who we are."""

    #: The private key; relative to the directory of the configuration file. Required.
    key_file: Path


@dataclass(frozen=True, slots=True)
class Network:
    """Where and how to listen."""

    #: Addresses to listen on; port 0 picks a free one. [] is reachable through relays only.
    listen_addresses: tuple[Multiaddr, ...] = ()
    #: Act as if behind a NAT, without finding out.
    force_private_reachability: bool = False
    #: Bound the connections and streams of each peer.
    resource_limits_enabled: bool = False


@dataclass(frozen=True, slots=True)
class Relays:
    """The relays that make this node reachable."""

    #: Addresses that end in /p2p/ and the relay's peer id.
    addresses: tuple[Multiaddr, ...] = ()
    #: How often to check the reservations, a duration of at least 1s.
    reservation_interval: float = DEFAULT_RESERVATION_INTERVAL


@dataclass(frozen=True, slots=True)
class Discovery:
    """How peers find each other's addresses."""

    #: Text under which peers of one network meet.
    rendezvous: str = DEFAULT_RENDEZVOUS
    #: Namespace of a private DHT, a DNS label; empty is the common one.
    network: str = ""
    #: Where to enter the DHT, ending in /p2p/ID; the relays when empty.
    bootstrap_peers: tuple[Multiaddr, ...] = ()


@dataclass(frozen=True, slots=True)
class Security:
    """Who may connect."""

    #: List of peer ids that may connect; relative to the configuration's directory.
    authorized_keys_file: Path | None = None
    #: Refuse whoever is not listed. Off only when switched off in so many words.
    enable_connection_gating: bool = True


@dataclass(frozen=True, slots=True)
class PingPong:
    """The ping protocol that peerup speaks beside the standard one."""

    #: Answer pings.
    enabled: bool = True
    #: Its protocol id; both sides must have the same.
    id: str = "/pingpong/1.0.0"


@dataclass(frozen=True, slots=True)
class Protocols:
    """Settings of single protocols."""

    ping_pong: PingPong = field(default_factory=PingPong)


@dataclass(frozen=True, slots=True)
class Service:
    """One local TCP service that authorized peers may reach."""

    #: The key under services:, a DNS label.
    name: str
    #: Serve it.
    enabled: bool = False
    #: HOST:PORT to connect to on behalf of a peer.
    local_address: str = ""
    #: Protocol id that starts with /, in place of /peerup/NAME/1.0.0; usually absent.
    protocol: str = ""
    #: Only these peers, of those that may connect; None (absent or empty) is all of them.
    allowed_peers: tuple[PeerId, ...] | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures for Prometheus."""

    #: Serve /metrics.
    enabled: bool = False
    #: HOST:PORT to serve it on.
    listen_address: str = "127.0.0.1:9091"


@dataclass(frozen=True, slots=True)
class Audit:
    """A record of who was let in and who was not."""

    #: Write JSON lines to stderr.
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What to tell about ourselves, to whoever runs this machine."""

    metrics: Metrics = field(default_factory=Metrics)
    audit: Audit = field(default_factory=Audit)


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a node; paths in it are absolute."""

    path: Path
    identity: Identity
    version: int = VERSION
    network: Network = field(default_factory=Network)
    relay: Relays = field(default_factory=Relays)
    discovery: Discovery = field(default_factory=Discovery)
    security: Security = field(default_factory=Security)
    protocols: Protocols = field(default_factory=Protocols)
    #: Services by name.
    services: Mapping[str, Service] = field(default_factory=dict)
    #: Peers by the name this user gave them.
    names: Mapping[str, PeerId] = field(default_factory=dict)
    telemetry: Telemetry = field(default_factory=Telemetry)
    #: Not settings: what is odd about the file and was not refused, as FILE:LINE: text.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """What a relay gives; 0 or an empty text is the default."""

    #: Reservations at a time.
    max_reservations: int = 128
    #: Circuits at a time of one peer, as either end.
    max_circuits: int = 16
    #: Bytes copied at a time, of each circuit and direction.
    buffer_size: int = 2048
    #: Reservations from one IP address.
    max_reservations_per_ip: int = 8
    #: Reservations from one autonomous system.
    max_reservations_per_asn: int = 32
    #: How long a reservation holds, a duration.
    reservation_ttl: float = 3600.0
    #: How long a circuit may last; None: 10m without gating, unlimited with.
    session_duration: float | None = None
    #: How much may flow each way, as 64MB; None: 64MB without gating, unlimited with.
    session_data_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """The health page of a relay."""

    #: Serve /healthz.
    enabled: bool = False
    #: HOST:PORT to serve it on.
    listen_address: str = "127.0.0.1:9090"


@dataclass(frozen=True, slots=True)
class Vouching:
    """How far the peers of a relay may let in others."""

    #: Let authorized peers bring in machines that join them by an invite, as far as to themselves.
    enabled: bool = True
    #: For how many machines one peer may vouch, 1 to 64.
    max_per_peer: int = 16


@dataclass(frozen=True, slots=True)
class RelaySecurity:
    """Who may use a relay."""

    #: List of peer ids that may use it; relative to the configuration's directory.
    authorized_keys_file: Path | None = None
    #: Refuse whoever is not listed. Off only when switched off in so many words.
    enable_connection_gating: bool = True
    vouching: Vouching = field(default_factory=Vouching)


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """All settings of a relay server; paths in it are absolute."""

    path: Path
    identity: Identity
    version: int = VERSION
    network: Network = field(default_factory=Network)
    discovery: Discovery = field(default_factory=Discovery)
    security: RelaySecurity = field(default_factory=RelaySecurity)
    resources: Resources = field(default_factory=Resources)
    health: Health = field(default_factory=Health)
    telemetry: Telemetry = field(default_factory=Telemetry)
    #: Not settings: what is odd about the file and was not refused, as FILE:LINE: text.
    warnings: tuple[str, ...] = ()


def check_service_name(name: str) -> None:
    """Raise ``ValueError`` unless ``name`` can be a service: a DNS label, not reserved."""
    if not is_dns_label(name):
        raise ValueError(f"invalid service name: {shown(name)}; {DNS_LABEL_RULE}")
    if name in RESERVED_SERVICES:
        raise ValueError(f'invalid service name: "{name}" is reserved for a protocol of peerup')


def is_dns_label(text: str) -> bool:
    """Tell whether ``text`` is as service names and DHT namespaces have to be."""
    return _DNS_LABEL.fullmatch(text) is not None


def split_host_port(text: str) -> tuple[str, int]:
    """Return host (an IPv6 address without brackets) and port 0 to 65535 of ``HOST:PORT``.

    The host may be empty: this machine to connect to, all addresses to listen on.

    Raises:
        ValueError: ``text`` is something else.
    """
    parts = _HOST_PORT.fullmatch(text)
    if parts is None or int(parts[2]) > 65535:
        raise ValueError(f"found {shown(text)}, allowed is HOST:PORT, such as localhost:22")
    return parts[1].strip("[]"), int(parts[2])


def check_local_address(text: str) -> None:
    """Raise ``ValueError`` unless ``text`` is a place to connect to: HOST:PORT, port not 0."""
    _, port = split_host_port(text)
    if port == 0:
        raise ValueError(f"found {shown(text)}, allowed are the ports 1 to 65535")
