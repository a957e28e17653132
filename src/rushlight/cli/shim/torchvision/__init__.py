"""Stands in for torchvision in the worker processes of a script started with `rushlight run`.

As `torch` beside it: importing it installs the alias and puts `rushlight.vision` in this module's
place.  Level 14.
"""

import importlib
import sys

from rushlight.cli import alias

alias.install()
sys.modules["torchvision"] = importlib.import_module(alias.TARGETS["torchvision"])
