"""Show how far a loop is: a moving bar where there is a terminal and rich, else plain lines.

In: a total and the steps done.  Out: text on the standard output.  Level 14.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
except ImportError:  # the `progress` extra is not installed
    Progress = None  # type: ignore[assignment, misc]


class Report(Protocol):
    """What a training loop tells while it runs."""

    def advance(self, words: str) -> None:
        """One more step is done; `words` describe the latest state."""

    def line(self, text: str) -> None:
        """Print a line that stays."""


class PlainReport(AbstractContextManager["PlainReport"]):
    """Lines only: for files, pipes, and terminals without rich."""

    def advance(self, words: str) -> None:
        pass

    def line(self, text: str) -> None:
        print(text, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


class BarReport(AbstractContextManager["BarReport"]):
    """A bar under the lines, drawn by rich; it goes away at the end."""

    def __init__(self, total: int) -> None:
        console = Console(highlight=False)
        self._progress = Progress(
            BarColumn(40),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total)

    def advance(self, words: str) -> None:
        self._progress.update(self._task, advance=1, description=words)

    def line(self, text: str) -> None:
        self._progress.console.print(text, markup=False)

    def __enter__(self) -> BarReport:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


def report_progress(total: int) -> BarReport | PlainReport:
    """A bar of `total` steps if it can be drawn here, else plain lines."""
    if Progress is not None and sys.stdout.isatty():
        return BarReport(total)
    return PlainReport()
