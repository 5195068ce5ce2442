"""Tests of both sides of a relay: its decisions alone, and real hosts around it."""
