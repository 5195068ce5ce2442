"""Tests against other libp2p implementations; README.md says how to run them."""
