"""Tests of identify, ping and the forwarding of services."""
