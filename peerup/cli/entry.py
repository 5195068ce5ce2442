"""``peerup`` as a process of its own: what the installed command and ``python -m peerup`` run."""

from __future__ import annotations

import gc

from peerup.cli.main import main


def entry() -> int:
    """Run the command line and return the exit code.

    Most commands end before garbage is worth collecting, and collecting it costs a fifth of
    their time, most of that on the way out. Those that run long turn it on again (``runner``).
    """
    gc.disable()
    try:
        return main()
    finally:
        gc.freeze()
