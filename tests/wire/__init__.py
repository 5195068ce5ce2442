"""Tests of ``peerup.wire``: pure functions and machines, no I/O."""
