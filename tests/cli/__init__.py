"""Tests of ``peerup.cli``: commands run in this process, in a home of their own."""
