"""Tests of peerup/transport."""
