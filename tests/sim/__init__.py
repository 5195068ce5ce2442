"""A simulated world for tests: time that jumps, and later networks and NATs."""
