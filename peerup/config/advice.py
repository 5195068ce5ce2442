"""What is allowed in a configuration, and hardly meant: warnings, not errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerup.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerup.config.schema import RelayConfig


def advice(config: Config | RelayConfig) -> Iterator[str]:
    """Yield what the user should know before starting with this configuration."""
    path, security = config.path, config.security
    node = isinstance(config, Config)
    if node and not config.identity.key_file.exists():  # a relay makes its own
        yield f"{path}: identity.key_file: there is no {config.identity.key_file}"
    keys = security.authorized_keys_file
    if not security.enable_connection_gating:
        yield f"{path}: security.enable_connection_gating is off: any peer may connect"
    elif keys is not None and not keys.exists():
        yield f"{path}: security.authorized_keys_file: there is no {keys}"
    if isinstance(config, Config):
        if not config.relay.addresses:
            yield f"{path}: relay.addresses is empty: this machine is reachable only directly"
    elif not config.network.listen_addresses:
        yield f"{path}: network.listen_addresses is empty: a relay has to listen somewhere"
