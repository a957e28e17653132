"""Parse the command line and hand over to the command named on it.

In: `sys.argv`.  Out: an exit code.  Each command is one module of this folder that offers
`add_arguments(parser)` and `run(options) -> int`.  Level 14.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from rushlight import __version__

COMMANDS: dict[str, str] = {
    "doctor": "check this installation and this machine",
    "run": "run an unmodified PyTorch script on rushlight",
    "trace": "run a script and write a page that shows what it did",
    "torch": "put rushlight in PyTorch's place in this environment, or take it away",
    "gallery": "list and run small programs for each kind of learning",
    "demo": "train a small network on real handwritten digits",
}
STOPPED = 130
READER_GONE = 141


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of the whole command, with the arguments of the chosen one."""
    parser = argparse.ArgumentParser(
        prog="rushlight", description="PyTorch's programming model in pure Python."
    )
    parser.add_argument("--version", action="version", version=f"rushlight {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=_sentence(purpose))
        if name == chosen:
            # Only the chosen command is loaded: `run` must not wait for the progress bars of
            # `demo`, whose library takes longer to import than rushlight itself.
            module = importlib.import_module(f"rushlight.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if word in COMMANDS), None)
    parser = build_parser(chosen)
    options = _options(parser, words)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print(f"rushlight {options.command}: stopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # The reader of our output, such as `head`, has gone.  What Python would still write when
        # it ends goes nowhere, instead of raising once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


def _options(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    if words[:1] not in (["run"], ["trace"]) or words[1:2] in (["-h"], ["--help"]):
        return parser.parse_args(words)
    # What follows is the script's; argparse would take its options for ours.
    options = parser.parse_args(words[:1])
    options.program = words[1:]
    return options
