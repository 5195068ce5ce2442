"""A peer's presence on the network: connections, dialling, protocols, addresses.

``Host`` puts the parts together; each part is a small object of its own that can be read and
tested alone. What is product (configuration, authorized_keys, services) lives in ``node``.
"""
