"""The completion scripts of three shells, made from the one argparse tree by shtab.

Commands, options and choices are in the script. Names are asked for when they are needed,
with ``peerup completion --names``, which reads the configuration and no network; each shell
passes on the ``--config`` that stands on the line.
"""

from __future__ import annotations

from typing import Any, Final

import shtab

from peerup.cli import parser
from peerup.cli.commands import COMMANDS, COMMON, GROUPS, Argument
from peerup.errors import UsageError

SHELLS: Final = ("bash", "zsh", "fish")
KINDS: Final = ("peers", "services", "relays")

_PREAMBLE: Final = {
    "bash": """\
_peerup_names() {
  local i config=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${COMP_WORDS[i]} == --config ]]; then
      [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
      config=(--config "${COMP_WORDS[i + 1]/#\\~\\//$HOME/}")
    fi
  done
  compgen -W "$(peerup completion --names "$1" ${config[@]+"${config[@]}"} 2>/dev/null)" -- "$2"
}
_peerup_peers() { _peerup_names peers "$1"; }
_peerup_services() { _peerup_names services "$1"; }
_peerup_relays() { _peerup_names relays "$1"; }
""",
    "zsh": """\
_peerup_names() {
  local -a config found line=(${(Q)${(z)LBUFFER}})  # _arguments keeps words for itself
  local i
  for ((i = 1; i <= $#line; i++)); do
    case $line[i] in
      --config) config=(--config "${line[i + 1]/#\\~\\//$HOME/}") ;;
      --config=*) config=(--config "${${line[i]#--config=}/#\\~\\//$HOME/}") ;;
    esac
  done
  found=(${(f)"$(peerup completion --names $1 $config 2>/dev/null)"})
  compadd -a found
}
_peerup_peers() { _peerup_names peers }
_peerup_services() { _peerup_names services }
_peerup_relays() { _peerup_names relays }
""",
    "fish": """\
function __peerup_names
    set -l config
    set -l words (commandline -opc)
    set -l at (contains -i -- --config $words)
    and set config --config (string replace -r '^~/' "$HOME/" -- $words[(math $at + 1)])
    for word in (string match -- '--config=*' $words)
        set config --config (string replace -r '^~/' "$HOME/" -- (string sub -s 10 -- $word))
    end
    peerup completion --names $argv[1] $config 2>/dev/null
end
""",
}
_NAMES: Final = {
    kind: {"bash": f"_peerup_{kind}", "zsh": f"_peerup_{kind}", "fish": f"(__peerup_names {kind})"}
    for kind in KINDS
}


def script(shell: str) -> str:
    """Return the script for ``shell``, one of ``SHELLS``.

    Raises:
        UsageError: There is none for it.
    """
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell}", hint=f"There is {', '.join(SHELLS)}.")
    root, parsers = parser.build()
    _declare(root, COMMON)
    for words, command in COMMANDS.items():
        parsers[words].description = command.summary  # there is one line for it
        _declare(parsers[words], (*command.arguments, *COMMON))
    for words, summary in GROUPS.items():
        parsers[words].description = summary
    text: str = shtab.complete(root, shell, preamble=_PREAMBLE[shell])
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _declare(one: parser.Parser, arguments: tuple[Argument, ...]) -> None:
    """Tell shtab what is to be offered for these arguments."""
    by_flag: dict[str, Any] = {}
    for action in one._actions:  # noqa: SLF001  argparse has no other way to walk its tree
        by_flag |= dict.fromkeys(action.option_strings or (action.dest,), action)
    for argument in arguments:
        if argument.complete in KINDS:
            by_flag[argument.flags[0]].complete = _NAMES[argument.complete]
        elif argument.complete is not None:
            paths = shtab.FILE if argument.complete == "file" else shtab.DIRECTORY
            by_flag[argument.flags[0]].complete = paths
