"""Tests of ``peerup.host``: whole hosts on a network in memory, on the clock that jumps."""
