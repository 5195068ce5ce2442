"""Read the command line, run the command, turn an error into a message and an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

from peerup.cli import output, parser
from peerup.errors import PeerupError

UNEXPECTED: Final = 1
CONFIGURATION: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
READER_GONE: Final = 141  # 128 + SIGPIPE, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 fine, 1 unexpected, 2 usage or configuration, 3 cannot reach, 4 not authorized,
    130 interrupted, 141 when whoever read our output went away. What is not an expected kind
    of failure is a bug of ours and leaves as a traceback.

    Args:
        argv: The words after ``peerup``; those of this process when None.
    """
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except PeerupError as error:
        output.error(str(error), error.hint)
        return error.exit_code
    except output.ReaderGoneError:
        return READER_GONE
    except KeyboardInterrupt:
        output.progress("Interrupted.")
        return INTERRUPTED
    except TimeoutError as error:
        output.error(str(error) or "no answer in time")
        return UNREACHABLE
    except OSError as error:
        output.error(_explain(error))
        return UNEXPECTED if error.filename is None else CONFIGURATION


def _run(argv: Sequence[str]) -> int:
    try:
        command, arguments = parser.parse(argv)
    except SystemExit:  # argparse printed the help that was asked for
        output.flush()
        return 0
    module, function = command.run.split(":")
    code = getattr(importlib.import_module(module), function)(arguments)
    assert isinstance(code, int)
    return code


def _explain(error: OSError) -> str:
    """Return what the operating system said, without its error number."""
    what = error.strerror or str(error)
    return what if error.filename is None else f"{error.filename}: {what}"
