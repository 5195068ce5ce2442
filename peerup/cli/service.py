"""``peerup service``: which local TCP services authorized peers may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.cli import context, files, json_output, output, table
from peerup.config.edit import add_service, remove_service, set_service_enabled

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from peerup.config.schema import Service


def add(args: argparse.Namespace) -> int:
    """Expose a service; doing it twice is no error."""
    path = files.node_file(args)
    if add_service(path, args.name, args.address):
        _report(f"Added service: {args.name} -> {args.address}", path)
    else:
        output.line(f"Already there: {args.name} -> {args.address}")
    return 0


def list_services(args: argparse.Namespace) -> int:
    """List the services in the order of the configuration."""
    config = context.node_config(args)
    services = list(config.services.values())
    if args.json:
        shown = [_to_json(service) for service in services]
        json_output.json_line({"services": shown, "config": str(config.path)})
        return 0
    if not services:
        output.line("No services configured.")
        return 0
    output.line(f"Services ({len(services)}):")
    width = max(map(len, config.services))
    rows = [(one.name, one.local_address, _state(one), _who(one)) for one in services]
    plain = [f"  {name:<{width}} -> {address} ({state})" for name, address, state, _ in rows]
    table.show(("Name", "Address", "State", "Only for"), rows, plain)
    return 0


def _state(service: Service) -> str:
    return "enabled" if service.enabled else "disabled"


def _who(service: Service) -> str:
    """Return how many peers may use a service, nothing when it is all of them."""
    return "" if service.allowed_peers is None else f"{len(service.allowed_peers)} peer(s)"


def _to_json(service: Service) -> dict[str, object]:
    allowed = service.allowed_peers
    return {
        "name": service.name,
        "enabled": service.enabled,
        "local_address": service.local_address,
        "protocol": service.protocol,
        "allowed_peers": None if allowed is None else [str(peer) for peer in allowed],
    }


def remove(args: argparse.Namespace) -> int:
    """Forget a service."""
    path = files.node_file(args)
    remove_service(path, args.name)
    _report(f"Removed service: {args.name}", path)
    return 0


def enable(args: argparse.Namespace) -> int:
    """Expose a service again."""
    return _switch(args, enabled=True)


def disable(args: argparse.Namespace) -> int:
    """Keep a service, but do not expose it."""
    return _switch(args, enabled=False)


def _switch(args: argparse.Namespace, *, enabled: bool) -> int:
    path, state = files.node_file(args), "enabled" if enabled else "disabled"
    if set_service_enabled(path, args.name, enabled):
        _report(f"Service {args.name} is now {state}", path)
    else:
        output.line(f"Service {args.name} is {state} already")
    return 0


def _report(what: str, path: Path) -> None:
    output.line(what)
    output.line(f"  Config: {path}")
    output.progress("Restart `peerup daemon` to apply it.")
