"""Services that this machine offers to its peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.errors import ConfigError
from peerup.host.handlers import Registration
from peerup.protocols.forward import MAX_STREAMS, protocol_of, serve_tcp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerup.config.schema import Service
    from peerup.host.host import Host


def offer(host: Host, services: Mapping[str, Service]) -> None:
    """Serve every enabled service on ``host``.

    Raises:
        ConfigError: a service has no usable address.
    """
    for service in services.values():
        if service.enabled:
            address, port = _host_port(service)
            handler = serve_tcp(address, port, service.allowed_peers)
            host.handle(
                service.protocol or protocol_of(service.name),
                Registration(handler, max_per_peer=MAX_STREAMS, on_limited=True),
            )


def _host_port(service: Service) -> tuple[str, int]:
    address, _, port = service.local_address.rpartition(":")
    if not address or not port.isdigit():
        raise ConfigError(
            f"service {service.name}: {service.local_address!r} is not HOST:PORT",
            hint=f"Set it: `peerup service add {service.name} localhost:PORT`.",
        )
    return address.strip("[]"), int(port)
