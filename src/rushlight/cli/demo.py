"""`rushlight demo`: placeholder until training lands."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options yet."""


def run(options: argparse.Namespace) -> int:
    """Not there yet."""
    raise NotImplementedError("rushlight demo")
