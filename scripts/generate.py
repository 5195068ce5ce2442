"""Write the man pages and the completion scripts that are kept in the repository.

Both follow from the one argparse tree: `make man` after a change of a command. They depend on
nothing else, no date and no terminal, so that a test can tell when they are stale.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from argparse_manpage.manpage import Manpage

from peerup.cli import parser
from peerup.cli.commands import COMMANDS, GROUPS
from peerup.cli.completion_script import script

ROOT: Final = Path(__file__).resolve().parent.parent
MAN: Final = Path("docs/man")
COMPLETION: Final = {
    "bash": Path("docs/completion/peerup"),
    "zsh": Path("docs/completion/_peerup"),
    "fish": Path("docs/completion/peerup.fish"),
}
SUMMARY: Final = "reach your own machines from anywhere"

# What we and argparse-manpage write; any other line that begins with a point is text.
REQUEST: Final = re.compile(r"\.(TH|SH|TP|PP|B|I|nf|fi|RS|RE)\b")

Words = tuple[str, ...]

FILES: Final = """\
.TP
.I ~/.config/peerup/config.yaml
The configuration. Before it ./peerup.yaml is looked for, after it /etc/peerup/config.yaml.
.TP
.I ~/.config/peerup/identity.key
The private key that the peer id follows from.
.TP
.I ~/.config/peerup/authorized_keys
The peers that may connect, one a line."""
ENVIRONMENT: Final = """\
.TP
.B PEERUP_LOG
How much to log: debug, info, warning or error.
.TP
.B NO_COLOR
Unless it is empty, no colours."""
EXIT: Final = """\
0 fine, 1 unexpected, 2 usage or configuration, 3 cannot reach, 4 not authorized,
5 the daemon is not running, 130 interrupted."""


def main() -> int:
    """Bring the files in line with the tree; those of commands that are gone go too."""
    files = generated()
    for old in (ROOT / MAN).glob("*.1"):
        if old.relative_to(ROOT) not in files:
            old.unlink()
    for path, text in files.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


def generated() -> dict[Path, str]:
    """Return every generated file, by its path from the root of the repository."""
    _, parsers = parser.build()
    files = {MAN / f"{_title(words)}.1": _page(words, one) for words, one in parsers.items()}
    return files | {path: script(shell) for shell, path in COMPLETION.items()}


def _page(words: Words, one: parser.Parser) -> str:
    """Return the man page of one command, or of a group, which points to its commands'."""
    epilog = one.epilog or ""
    one.epilog = None
    one._action_groups = [group for group in one._action_groups if group.title != "commands"]
    for group in one._action_groups:
        if group.title == "positional arguments":  # which would stand below no heading
            group.title = "arguments"
    page = Manpage(one)
    page.prog = _title(words)
    page.date, page.source, page.manual = "", "peerup", "peerup"
    page.description = _summary(words)
    below = [path for path in {**GROUPS, **COMMANDS} if path and path[:-1] == words]
    if below:
        page.add_section("commands", "=", "\n".join(map(_entry, below)))
    page.add_section("example", "=", _literal(epilog.removeprefix("example:\n")))
    if not words:
        page.add_section("exit status", "=", EXIT)
        page.add_section("environment", "=", ENVIRONMENT)
        page.add_section("files", "=", FILES)
    else:
        above = [words[:length] for length in range(len(words))]
        page.add_section("see also", "=", ", ".join(map(_reference, above)))
    return _tidy(str(page))


def _summary(words: Words) -> str:
    if not words:
        return SUMMARY
    return GROUPS[words] if words in GROUPS else COMMANDS[words].summary


def _entry(words: Words) -> str:
    return f".TP\n{_reference(words)}\n{_summary(words)}"


def _reference(words: Words) -> str:
    return f"\\fB{_title(words)}\\fR(1)".replace("-", "\\-")


def _title(words: Words) -> str:
    return "-".join(("peerup", *words))


def _literal(text: str) -> str:
    lines = [
        line.removeprefix("  ").replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
        for line in text.splitlines()
    ]
    return "\n".join([".nf", ".RS 4", *lines, ".RE", ".fi"])


def _tidy(text: str) -> str:
    """Return a page in which prose is never taken for a request of roff, nor the reverse."""
    lines = re.sub(r"(?<=[^\n])\n\n(?=[^.\n])", "\n.PP\n", text).splitlines()
    kept = [line.rstrip() for line in lines if line.strip()]
    return "".join(f"{line if REQUEST.match(line) else _prose(line)}\n" for line in kept)


def _prose(line: str) -> str:
    return f"\\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    sys.exit(main())
