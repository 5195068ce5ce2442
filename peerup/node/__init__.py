"""The product as a library: a host, put together from configuration files.

``Node`` is one device, ``RelayNode`` a relay server. They are the only code that reads a
configuration and builds parts from it.
"""
