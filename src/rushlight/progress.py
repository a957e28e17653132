"""Show how far a loop is: a moving bar where there is a terminal and rich, else plain lines.

    for epoch in track(range(1, 11)):
        ...

In: a loop's steps, or a total and the steps done.  Out: text on the standard output, where lines
that are printed meanwhile stay above the bar.  Level 12.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, TypeVar

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
except ImportError:  # the `progress` extra is not installed
    Progress = None  # type: ignore[assignment, misc]


Step = TypeVar("Step")


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

    def __init__(self, total: int | None) -> None:
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


def report_progress(total: int | None) -> BarReport | PlainReport:
    """A bar of `total` steps (None: nobody knows how many) if it can be drawn here, else plain
    lines."""
    if Progress is not None and sys.stdout.isatty():
        return BarReport(total)
    return PlainReport()


def track(steps: Iterable[Step], words: str = "") -> Iterator[Step]:
    """The steps one by one, with a bar that shows how many of them are done, described by `words`.

    A file or a pipe gets what the loop prints and nothing else; so does a terminal without rich.
    """
    with report_progress(len(steps) if isinstance(steps, Sized) else None) as report:
        for step in steps:
            yield step
            report.advance(words)
