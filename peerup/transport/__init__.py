"""Transports: ways to reach a peer, and what they all give.

A transport turns an address into a ``Connection``: an authenticated link to one peer that
carries many ``Stream``s. TCP and relay circuits are byte streams first (``base.ByteStream``), on
which ``upgrade`` runs Noise and yamux; a transport that has security and streams of its own
plugs a ``muxed.Muxer`` in directly. Either way there is one Connection class and one Stream
class, in ``muxed``.
"""
