"""Modules on several devices; the one device there is needs no splitting.  Level 12."""

from rushlight.nn.parallel.data_parallel import DataParallel

__all__ = ["DataParallel"]
