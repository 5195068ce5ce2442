"""Results for programs: JSON, one object a line.

Apart from ``output``, as most commands have no such results and need not load ``json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from peerup.cli import output


def json_line(value: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own, in ASCII."""
    output.ascii_line(json.dumps(value, separators=(",", ":")))
