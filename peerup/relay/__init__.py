"""Circuit relay v2: being reachable through a relay, dialling through one, being one.

``reservations`` and ``quota`` decide and do no I/O; ``client``, ``autorelay``, ``transport`` and
``server`` act on what they decide. Spec: libp2p specs, relay/circuit-v2.md.
"""
