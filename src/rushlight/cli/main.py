"""Parse the command line and hand over to the command named on it.

In: `sys.argv`.  Out: an exit code.  Each command module offers `add_arguments(parser)` and
`run(options) -> int`.  Level 14.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rushlight import __version__


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="rushlight", description="PyTorch's programming model in pure Python."
    )
    parser.add_argument("--version", action="version", version=f"rushlight {__version__}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    parser = build_parser()
    parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    parser.print_help()
    return 2
