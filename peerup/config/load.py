"""Configuration files into ``schema``: what is wrong is named by file, line and setting.

A file means the same here and to Go peerup wherever both accept it, with one exception on
purpose: when ``enable_connection_gating`` is absent, gating is on.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from peerup.config import schema, units
from peerup.config.source import key_file, parse_root, read_config
from peerup.config.text import shown
from peerup.config.yaml_reader import MAX_WARNINGS
from peerup.errors import ConfigError
from peerup.wire.multiaddr import Multiaddr
from peerup.wire.peer_id import PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from peerup.config.yaml_reader import Section

T = TypeVar("T")

MAX_COUNT: Final = 2**31 - 1  # of anything counted in the file
MAX_VOUCHED: Final = 64  # machines that one peer may vouch for, whatever the file says


def load_config(path: Path) -> schema.Config:
    """Return the settings of a node.

    Raises:
        ConfigError: The file cannot be read, others may read it, or a setting is wrong.
    """
    return parse_config(read_config(path), path)


def load_relay_config(path: Path) -> schema.RelayConfig:
    """Return the settings of a relay server.

    Raises:
        ConfigError: The file cannot be read, others may read it, or a setting is wrong.
    """
    return parse_relay_config(read_config(path), path)


def parse_config(text: str, path: Path) -> schema.Config:
    """Return the settings in ``text``; ``path`` is for messages and for relative paths.

    Raises:
        ConfigError: A setting is wrong.
    """
    root = parse_root(text, path)
    return schema.Config(
        path=path.absolute(),
        version=_version(root),
        identity=schema.Identity(key_file(root)),
        network=_network(root.section("network")),
        relay=_relays(root.section("relay")),
        discovery=_discovery(root.section("discovery")),
        security=_security(root.section("security")),
        protocols=_protocols(root.section("protocols")),
        services=_services(root.section("services")),
        names=_names(root.section("names")),
        telemetry=_telemetry(root.section("telemetry")),
        warnings=_warnings(root),  # last: by now all that is known was asked for
    )


def parse_relay_config(text: str, path: Path) -> schema.RelayConfig:
    """Return the relay settings in ``text``, as ``parse_config`` does for a node."""
    root = parse_root(text, path)
    return schema.RelayConfig(
        path=path.absolute(),
        version=_version(root),
        identity=schema.Identity(key_file(root)),
        network=_network(root.section("network")),
        discovery=_discovery(root.section("discovery")),
        security=_relay_security(root.section("security")),
        resources=_resources(root.section("resources")),
        health=_health(root.section("health")),
        telemetry=_telemetry(root.section("telemetry")),
        warnings=_warnings(root),  # last: by now all that is known was asked for
    )


def _warnings(root: Section) -> tuple[str, ...]:
    return tuple(islice(root.warnings(), MAX_WARNINGS))


def _version(root: Section) -> int:
    version = root.integer("version", default=schema.VERSION, maximum=MAX_COUNT)
    if version > schema.VERSION:
        raise ConfigError(
            f"{root.place('version')}: config version too new: version {version} is newer than "
            f"supported version {schema.VERSION}; please upgrade peerup"
        )
    return version or schema.VERSION


def _network(section: Section) -> schema.Network:
    return schema.Network(
        listen_addresses=_each(section, "listen_addresses", Multiaddr.parse),
        force_private_reachability=section.flag("force_private_reachability", default=False),
        resource_limits_enabled=section.flag("resource_limits_enabled", default=False),
    )


def _relays(section: Section) -> schema.Relays:
    interval = _duration(section, "reservation_interval")
    if interval is None:
        interval = schema.DEFAULT_RESERVATION_INTERVAL
    if interval < schema.MIN_RESERVATION_INTERVAL:
        raise ConfigError(
            f"{section.place('reservation_interval')}: invalid reservation_interval: found "
            f"{units.format_duration(interval)}, allowed is 1s or more, usual is 2m"
        )
    return schema.Relays(_each(section, "addresses", parse_relay_address), interval)


def parse_relay_address(text: str) -> Multiaddr:
    """Return the address of a relay: it names the relay's peer id, and needs no other relay.

    Raises:
        ValueError: ``text`` is something else.
    """
    addr = Multiaddr.parse(text)
    if addr.peer_id is None or addr.is_circuit:
        raise ValueError(
            f"found {shown(text)}, allowed is an address that ends in /p2p/ and the peer id "
            "of the relay, such as /ip4/203.0.113.7/tcp/7777/p2p/12D3KooW..."
        )
    return addr


def _parse_bootstrap(text: str) -> Multiaddr:
    addr = Multiaddr.parse(text)
    if addr.peer_id is None:
        raise ValueError(f"found {shown(text)}, allowed is an address that ends in /p2p/ID")
    return addr


def _discovery(section: Section) -> schema.Discovery:
    network = section.string("network")
    if network and not schema.is_dns_label(network):
        raise ConfigError(
            f"{section.place('network')}: invalid network name: {shown(network)}; "
            f"{schema.DNS_LABEL_RULE}"
        )
    return schema.Discovery(
        rendezvous=section.string("rendezvous", schema.DEFAULT_RENDEZVOUS),
        network=network,
        bootstrap_peers=_each(section, "bootstrap_peers", _parse_bootstrap),
    )


def _security(section: Section) -> schema.Security:
    gating = section.flag("enable_connection_gating", default=True)
    authorized_keys = section.file("authorized_keys_file")
    if gating and authorized_keys is None:
        raise ConfigError(
            f"{section.path}:{section.line}: security.authorized_keys_file is required when "
            "connection gating is enabled",
            hint="Gating is on unless the file says `enable_connection_gating: false`.",
        )
    return schema.Security(authorized_keys, gating)


def _relay_security(section: Section) -> schema.RelaySecurity:
    found, vouching, default = _security(section), section.section("vouching"), schema.Vouching()
    most = vouching.integer("max_per_peer", default=default.max_per_peer, maximum=MAX_VOUCHED)
    rules = schema.Vouching(
        enabled=vouching.flag("enabled", default=default.enabled),
        max_per_peer=most or default.max_per_peer,
    )
    return schema.RelaySecurity(found.authorized_keys_file, found.enable_connection_gating, rules)


def _protocols(section: Section) -> schema.Protocols:
    ping, default = section.section("ping_pong"), schema.PingPong()
    return schema.Protocols(
        schema.PingPong(
            enabled=ping.flag("enabled", default=default.enabled),
            id=ping.string("id", default.id),
        )
    )


def _services(section: Section) -> Mapping[str, schema.Service]:
    found = {}
    for name in section.keys():  # noqa: SIM118 - not a dict: asking for keys is recorded
        try:
            schema.check_service_name(name)
        except ValueError as error:
            raise ConfigError(f"{section.path}:{section.key_lines[name]}: {error}") from error
        found[name] = _service(name, section.section(name))
    return MappingProxyType(found)


def _service(name: str, section: Section) -> schema.Service:
    address = section.text("local_address")
    enabled = section.flag("enabled", default=False)
    if address is not None and address.text:
        address.parsed(schema.check_local_address)
    elif enabled:
        raise ConfigError(
            f"{section.path}:{section.line}: {section.name}: service local_address cannot be empty"
        )
    return schema.Service(
        name=name,
        enabled=enabled,
        local_address=address.text if address else "",
        protocol=_protocol(section),
        allowed_peers=_each(section, "allowed_peers", PeerId.parse) or None,
    )


def _protocol(section: Section) -> str:
    """Return the protocol id of a service; Go lets one write anything there, to no effect."""
    protocol = section.string("protocol")
    if protocol and not protocol.startswith("/"):
        section.remark("protocol", f"found {shown(protocol)}, ignored: a protocol id starts with /")
        return ""
    return protocol


def _names(section: Section) -> Mapping[str, PeerId]:
    found = {}
    for name in section.keys():  # noqa: SIM118 - not a dict: asking for keys is recorded
        peer = section.text(name)
        if peer is None:
            raise ConfigError(f"{section.place(name)}: found nothing, allowed is a peer id")
        found[name] = peer.parsed(PeerId.parse)
    return MappingProxyType(found)


def _telemetry(section: Section) -> schema.Telemetry:
    metrics, audit = section.section("metrics"), section.section("audit")
    return schema.Telemetry(
        metrics=schema.Metrics(
            enabled=metrics.flag("enabled", default=False),
            listen_address=_listen_address(metrics, schema.Metrics().listen_address),
        ),
        audit=schema.Audit(enabled=audit.flag("enabled", default=False)),
    )


def _health(section: Section) -> schema.Health:
    return schema.Health(
        enabled=section.flag("enabled", default=False),
        listen_address=_listen_address(section, schema.Health().listen_address),
    )


def _resources(section: Section) -> schema.Resources:
    default = schema.Resources()

    def count(key: str, value: int) -> int:
        return section.integer(key, default=value, maximum=MAX_COUNT) or value

    limit = section.text("session_data_limit")
    return schema.Resources(
        max_reservations=count("max_reservations", default.max_reservations),
        max_circuits=count("max_circuits", default.max_circuits),
        buffer_size=count("buffer_size", default.buffer_size),
        max_reservations_per_ip=count("max_reservations_per_ip", default.max_reservations_per_ip),
        max_reservations_per_asn=count(
            "max_reservations_per_asn", default.max_reservations_per_asn
        ),
        reservation_ttl=_positive(section, "reservation_ttl") or default.reservation_ttl,
        session_duration=_positive(section, "session_duration"),
        session_data_limit=limit.parsed(units.parse_size) or None if limit and limit.text else None,
    )


def _duration(section: Section, key: str) -> float | None:
    """Return the seconds of ``key``, None when absent or empty."""
    found = section.text(key)
    return found.parsed(partial(_parse_named_duration, key)) if found and found.text else None


def _parse_named_duration(key: str, text: str) -> float:
    try:
        return units.parse_duration(text)
    except ValueError as error:
        raise ValueError(f"invalid {key}: {error}; allowed is a duration such as 2m") from error


def _positive(section: Section, key: str) -> float | None:
    """Return the seconds of ``key``, None when absent, empty or 0."""
    seconds = _duration(section, key)
    if seconds is not None and seconds < 0:
        raise ConfigError(f"{section.place(key)}: invalid {key}: it is negative; allowed is 1h")
    return seconds or None


def _listen_address(section: Section, default: str) -> str:
    found = section.text("listen_address")
    if found is None or not found.text:
        return default
    found.parsed(schema.split_host_port)
    return found.text


def _each(section: Section, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
    return tuple(item.parsed(parse) for item in section.texts(key))
