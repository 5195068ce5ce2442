"""``python -m peerup``."""

from __future__ import annotations

import sys

from peerup.cli.entry import entry

if __name__ == "__main__":
    sys.exit(entry())
