"""``python -m peerup``."""

from __future__ import annotations

import sys

from peerup.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
