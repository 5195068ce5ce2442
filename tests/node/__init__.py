"""Tests of the composition: configuration files in, running nodes and relays out."""
