"""Protocols that need only a host: identify, ping, forwarding of local services."""
