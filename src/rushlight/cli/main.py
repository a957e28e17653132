"""Parse the command line and hand over to the command named on it.

In: `sys.argv`.  Out: an exit code.  Each command module offers `add_arguments(parser)` and
`run(options) -> int`.  Level 14.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from rushlight import __version__
from rushlight.cli import demo, doctor, run

COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "doctor": (doctor, "check this installation and this machine"),
    "run": (run, "run an unmodified PyTorch script on rushlight"),
    "demo": (demo, "train a small network on real handwritten digits"),
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="rushlight", description="PyTorch's programming model in pure Python."
    )
    parser.add_argument("--version", action="version", version=f"rushlight {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        module.add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    if words[:1] == ["run"] and words[1:2] not in (["-h"], ["--help"]):
        # Everything behind `run` is the script's; argparse would take its options for ours.
        return run.run(argparse.Namespace(program=words[1:]))
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 2
    module, _ = COMMANDS[options.command]
    return int(module.run(options))
