"""Commands about the local services that peers may reach."""

from __future__ import annotations

from typing import Final

from peerup.cli.commands.model import JSON, SERVICE, Argument, Command

SERVICES: Final = (
    Command(
        ("service", "add"),
        "peerup.cli.service:add",
        "expose a local TCP service",
        "Let authorized peers reach a TCP service of this machine by name.",
        "peerup service add ssh 127.0.0.1:22",
        (
            SERVICE,
            Argument(("address",), "where the service listens on this machine", "HOST:PORT"),
        ),
    ),
    Command(
        ("service", "list"),
        "peerup.cli.service:list_services",
        "list the configured services",
        "List the services of the configuration and whether they are enabled.",
        "peerup service list",
        (JSON,),
    ),
    Command(
        ("service", "remove"),
        "peerup.cli.service:remove",
        "forget a service",
        "Remove a service from the configuration.",
        "peerup service remove ssh",
        (SERVICE,),
    ),
    Command(
        ("service", "enable"),
        "peerup.cli.service:enable",
        "expose a disabled service again",
        "Set a configured service to enabled.",
        "peerup service enable ssh",
        (SERVICE,),
    ),
    Command(
        ("service", "disable"),
        "peerup.cli.service:disable",
        "keep a service but do not expose it",
        "Set a configured service to disabled.",
        "peerup service disable ssh",
        (SERVICE,),
    ),
)
