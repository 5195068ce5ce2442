"""A configuration in use, and another one to be tried in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerup.config import confirm, side_files
from peerup.config.load import parse_config
from tests.config.conftest import write_private

if TYPE_CHECKING:
    from pathlib import Path

NOW: Final = 1_770_000_000_000_000_001
SECOND: Final = 10**9
LATER: Final = NOW + 300 * SECOND


class Trial:
    """A configuration, another one to be applied, and what they hold."""

    def __init__(self, path: Path, new: Path) -> None:
        self.path, self.new = path, new
        self.marker = path.with_name(".config.pending")
        self.backup = path.with_name(".config.pre-confirmed.yaml")
        self.old_text = path.read_bytes()
        self.new_text = new.read_bytes()

    def apply(self, now: int = NOW, timeout: float = 300.0) -> confirm.Applied[object]:
        return confirm.apply(self.path, self.new, parse_config, now=now, timeout=timeout)

    @property
    def replaced(self) -> list[bytes]:
        found = side_files.generations(self.path, side_files.REPLACED)
        return [each.path.read_bytes() for each in found]

    def is_as_before(self) -> bool:
        text, left = self.path.read_bytes(), self.marker.exists() or self.backup.exists()
        return text == self.old_text and not left

    def reset(self) -> None:
        """Remove everything, and write the two files anew."""
        for place in (*self.path.parent.iterdir(),):
            place.unlink()
        write_private(self.path, self.old_text)
        write_private(self.new, self.new_text)


def trial_of(fresh: Path) -> Trial:
    """Return one about a freshly generated configuration."""
    text = fresh.read_text() + "\n# the new one\nservices: {ssh: {local_address: 'a:1'}}\n"
    return Trial(fresh, write_private(fresh.parent / "new.yaml", text))
