"""Stands in for PyTorch in the worker processes of a script started with `rushlight run`.

This folder's parent is on `sys.path` only there.  Importing it installs the alias and puts
rushlight in this module's place, before the script of the worker goes on.  Level 14.
"""

import sys

import rushlight
from rushlight.cli import alias

alias.install()
sys.modules["torch"] = rushlight
