"""Structured logs: one ``key=value`` line on stderr for each record.

``time=2026-02-22T12:00:00.123Z level=INFO msg="connection opened" peer=12D3KooW...``; what is
given to a log call as ``extra`` becomes a field. All text is made printable first, as much
of it comes from peers.
"""

from __future__ import annotations

import datetime
import logging
import os
from typing import Final

from peerup.errors import UsageError
from peerup.wire.printable import printable

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
VARIABLE: Final = "PEERUP_LOG"
MAX_MESSAGE: Final = 1000  # characters of a message
MAX_VALUE: Final = 300  # characters of a field
MAX_TRACE_LINES: Final = 60

_STANDARD: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def set_up(*, long_running: bool, verbose: bool) -> None:
    """Send the log to stderr; calling it again replaces what an earlier call set up.

    The level is DEBUG when ``verbose``, else what ``PEERUP_LOG`` says, else INFO for a
    command that runs for long and WARNING for any other.

    Raises:
        UsageError: ``PEERUP_LOG`` is not a level.
    """
    wish = os.environ.get(VARIABLE, "").upper()
    if wish and wish not in LEVELS:
        raise UsageError(
            f"{VARIABLE}={wish} is not a log level", hint=f"Use one of {', '.join(LEVELS).lower()}."
        )
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h.formatter, KeyValueFormatter)]:
        root.removeHandler(old)
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter())
    root.addHandler(handler)
    level = "DEBUG" if verbose else wish or ("INFO" if long_running else "WARNING")
    logging.getLogger("peerup").setLevel(level)


class KeyValueFormatter(logging.Formatter):
    """Renders a record as fields, and a traceback as marked lines below it."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
        fields = [
            f"time={when:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
            f"level={record.levelname}",
            f"msg={_quote(printable(record.getMessage(), MAX_MESSAGE))}",
        ]
        for key, value in vars(record).items():
            if key not in _STANDARD:
                fields.append(f"{key}={_value(value)}")
        shown = " ".join(fields)
        if record.exc_info and record.exc_info[0]:
            trace = self.formatException(record.exc_info).splitlines()[-MAX_TRACE_LINES:]
            shown = "\n".join([shown, *(f"  | {printable(text, MAX_MESSAGE)}" for text in trace)])
        return shown


def _value(value: object) -> str:
    """Return a field's value, quoted only when it would not read back as one word."""
    text = printable(str(value), MAX_VALUE)
    return text if text and not set(text) & set(' ="') else _quote(text)


def _quote(text: str) -> str:
    """Put text between quotes; its escapes stay as ``printable`` wrote them."""
    return '"' + text.replace('"', '\\"') + '"'
