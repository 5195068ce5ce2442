"""``peerup config`` and ``peerup relay config``: the configuration as a whole.

Check it, see where each setting comes from, try a new one that is taken back unless it is
confirmed, and go back to one that ran well.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from peerup.cli import context, files, json_output, output
from peerup.config import archive, confirm, confirm_rules
from peerup.config.advice import advice
from peerup.config.confirm_rules import Damaged, Wait
from peerup.config.explain import explain, yaml_lines
from peerup.config.load import parse_config, parse_relay_config
from peerup.config.paths import NODE_FILE, RELAY_FILE, find_relay_config, user_dir
from peerup.config.source import read_config
from peerup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from peerup.config.schema import Config, RelayConfig
    from peerup.config.side_files import Generation

INVALID: Final = 2
COLUMN: Final = 48  # where the origin of a setting stands, if its line leaves room for that


class _Kind(NamedTuple):
    """Whose configuration it is, and what the user types to change it and to run by it."""

    command: str
    daemon: str
    file: str
    find: Callable[[argparse.Namespace], Path]
    parse: Callable[[str, Path], Config | RelayConfig]


def _relay_file(args: argparse.Namespace) -> Path:
    path = find_relay_config(files.explicit_path(args))
    if path is None:
        raise ConfigError(
            "there is no relay configuration on this machine",
            hint="`peerup relay serve` writes one; --config PATH names one elsewhere.",
        )
    return path


def _validate(kind: _Kind, args: argparse.Namespace) -> int:
    """Say whether the file can be used; 2 if not."""
    path = Path(args.file).absolute() if args.file else kind.find(args)
    problem: ConfigError | None = None
    warnings: tuple[str, ...] = ()
    try:
        config = kind.parse(read_config(path), path)
        warnings = (*config.warnings, *advice(config))
    except ConfigError as error:
        problem = error
    for text in warnings:
        output.warning(text)
    if args.json:
        report = {
            "file": str(path),
            "valid": problem is None,
            "error": None if problem is None else str(problem),
            "hint": "" if problem is None else problem.hint,
            "warnings": list(warnings),
        }
        json_output.json_line(report)
    elif problem is None:
        output.line(f"OK: {path} is valid")
    else:
        output.line(f"FAIL: {problem}")
        if problem.hint:
            output.progress(problem.hint)
    return 0 if problem is None else INVALID


def _show(kind: _Kind, args: argparse.Namespace) -> int:
    """Print all settings, each with its origin, and what there is to go back to."""
    path = kind.find(args)
    text = read_config(path)
    config = kind.parse(text, path)
    settings = explain(config, text)
    warnings = (*config.warnings, *advice(config))
    kept, pending = archive.generations(path), _pending(path)
    for warning in warnings:
        output.warning(warning)
    if args.json:
        json_output.json_line(
            {
                "file": str(path),
                "settings": [
                    {"name": s.name, "value": s.value, "source": s.source, "line": s.line or None}
                    for s in settings
                ],
                "warnings": list(warnings),
                "last_good": list(map(_as_json, kept)),
                "pending": pending,
            }
        )
        return 0
    output.line(f"# Resolved config from {path}")
    for line, source in yaml_lines(settings):
        output.line(f"{line:<{COLUMN}}  # {source}" if source else line)
    newest = f", the newest of {_moment(kept[0])}" if kept else ""
    output.line(f"# Last-known-good configurations: {len(kept)}{newest}")
    if pending:
        output.line(f"# Commit-confirmed pending: {pending}")
    return 0


def _pending(path: Path) -> str | None:
    """Return in words what waits to be confirmed, None when nothing does."""
    found = confirm.look(path)
    decision = confirm_rules.decide(found, time.time_ns())
    if decision is None:
        return None
    if isinstance(decision, Wait):
        return f"{confirm.describe(decision)} remaining"
    why = f" ({found.why})" if isinstance(found, Damaged) else ""
    return f"expired (will revert on next start){why}"


def _apply(kind: _Kind, args: argparse.Namespace) -> int:
    """Put another file in place of the configuration until it is confirmed."""
    path = kind.find(args)
    timeout = context.duration(args.confirm_timeout, "--confirm-timeout")
    with _prefixed("apply failed"):
        done = confirm.apply(path, Path(args.file), kind.parse, now=time.time_ns(), timeout=timeout)
    if done.reverted:
        output.warning("an earlier one had not been confirmed in time and was reverted first")
    for text in (*done.config.warnings, *advice(done.config)):
        output.warning(text)
    until = confirm_rules.format_time(done.marker.deadline)
    if args.json:
        json_output.json_line(
            {"file": str(path), "deadline": until, "timeout_ms": round(timeout * 1000)}
        )
        return 0
    output.line(f"Applied: {args.file}")
    output.line(f"  Config: {path}")
    output.line(f"  Confirm until: {until} (in {args.confirm_timeout})")
    output.progress(f"To keep it:       {_typed(kind, 'confirm', args)}")
    output.progress(f"To take it back:  {_typed(kind, 'rollback', args)}")
    output.progress(
        f"A running `{kind.daemon}` starts again with it within seconds; else start it."
    )
    return 0


def _confirm(kind: _Kind, args: argparse.Namespace) -> int:
    """Keep what was applied."""
    path = kind.find(args)
    with _prefixed("confirm failed"):
        confirm.confirm(path, now=time.time_ns())
    output.line(f"Confirmed: {path}")
    return 0


def _rollback(kind: _Kind, args: argparse.Namespace) -> int:
    """Go back, or say where to one could."""
    path = _find_even_if_gone(kind, args)
    if args.list:
        return _list(path, args)
    if args.undo and args.generation is not None:
        raise UsageError("--undo and a generation cannot both be given")
    with _prefixed("rollback failed"):
        what = _rolled_back(kind, path, args)
    if args.json:
        _print_json(path, what)
        return 0
    output.line(f"Restored: {what}")
    output.line(f"  Config: {path}")
    output.progress(f"To undo it:  {_typed(kind, 'rollback --undo', args)}")
    output.progress(f"A running `{kind.daemon}` starts again with it within seconds.")
    return 0


def _find_even_if_gone(kind: _Kind, args: argparse.Namespace) -> Path:
    """Return the configuration; one that was deleted, if there is something to go back to."""
    try:
        return kind.find(args)
    except ConfigError:
        path = (files.explicit_path(args) or user_dir() / kind.file).absolute()
        if not archive.generations(path):
            raise
        return path


def _rolled_back(kind: _Kind, path: Path, args: argparse.Namespace) -> str:
    """Do what is asked for, and return what is back in words."""
    if args.undo:
        archive.undo(path, kind.parse)
        return "what was replaced last"
    if args.generation is None:
        taken_back = confirm.revert(path, "")
        if taken_back is not None and taken_back.changed:
            return "what was there before the last apply"
    done = archive.rollback(path, kind.parse, args.generation)
    return f"generation {done.number} of {_moment(done)}"


def _list(path: Path, args: argparse.Namespace) -> int:
    found = archive.generations(path)
    if args.json:
        _print_json(path, None)
        return 0
    for each in found:
        output.line(f"{each.number}  {_moment(each)}  {each.path}")
    if not found:
        output.line(f"No last-known-good configurations of {path}.")
    return 0


def _print_json(path: Path, restored: str | None) -> None:
    found = list(map(_as_json, archive.generations(path)))
    json_output.json_line({"file": str(path), "restored": restored, "last_good": found})


def _as_json(found: Generation) -> dict[str, object]:
    return {"number": found.number, "saved": _moment(found), "file": str(found.path)}


def _moment(found: Generation) -> str:
    """Return when a generation was saved, to the second: ``2026-02-22T12:00:00Z``."""
    return f"{confirm_rules.format_time(found.saved)[:19]}Z"


def _typed(kind: _Kind, words: str, args: argparse.Namespace) -> str:
    """Return a command about the same file as this one, ready to paste."""
    explicit = f" --config {shlex.quote(args.config)}" if args.config else ""
    return f"{kind.command} {words}{explicit}"


@contextlib.contextmanager
def _prefixed(prefix: str) -> Iterator[None]:
    """Say in an error which command failed."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{prefix}: {error}", hint=error.hint) from error


_NODE: Final = _Kind("peerup config", "peerup daemon", NODE_FILE, files.node_file, parse_config)
_RELAY: Final = _Kind(
    "peerup relay config", "peerup relay serve", RELAY_FILE, _relay_file, parse_relay_config
)

node_validate, relay_validate = partial(_validate, _NODE), partial(_validate, _RELAY)
node_show, relay_show = partial(_show, _NODE), partial(_show, _RELAY)
node_apply, relay_apply = partial(_apply, _NODE), partial(_apply, _RELAY)
node_confirm, relay_confirm = partial(_confirm, _NODE), partial(_confirm, _RELAY)
node_rollback, relay_rollback = partial(_rollback, _NODE), partial(_rollback, _RELAY)
