"""What peerup logs while a test runs."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def logged(level: int) -> Iterator[list[logging.LogRecord]]:
    """Give what peerup logs from this level up."""
    handler, logger = Records(level), logging.getLogger("peerup")
    before = logger.level
    logger.setLevel(min(level, before or level))
    logger.addHandler(handler)
    try:
        yield handler.records
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Fail if anything is logged above DEBUG: what a stranger sends is no news."""
    with logged(logging.INFO) as records:
        yield
    assert not records, [record.getMessage() for record in records]
