"""A page for a run: its losses, rates, times, memory, histograms and pictures, live in the browser.

In: what a program logs, or what its optimizers and losses do by themselves.  Out: a page served on
this machine only while the program runs, and one self-contained file afterwards.  Level 12.
"""

from __future__ import annotations

from rushlight.watch.record import Record
from rushlight.watch.run import Run

__all__ = ["Record", "Run"]
