"""Compare: measurements as tables, one for each label.  Level 12.

Source: torch.utils.benchmark.Compare.
"""

from __future__ import annotations

import enum

from rushlight.utils.benchmark.measurement import (
    Measurement,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)

_BEST, _GOOD, _BAD, _END = "\033[92m\033[1m", "\033[92m", "\033[91m", "\033[0m"


class Colorize(enum.Enum):
    """Which times a colour compares."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """Rows are sublabels (or statements) and numbers of threads, columns descriptions."""

    def __init__(self, results: list[Measurement]) -> None:
        self._results: list[Measurement] = []
        self.extend_results(results)
        self._trim = False
        self._colorize = Colorize.NONE
        self._highlight_warnings = False

    def extend_results(self, results: list[Measurement]) -> None:
        """Add measurements.  Raises: ValueError for anything else."""
        for result in results:
            if not isinstance(result, Measurement):
                raise ValueError(
                    f"Expected an instance of `Measurement`, got {type(result)} instead."
                )
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Show only figures that mean something."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """Mark the shortest times of each column, or of each row."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Say which times spread too much."""
        self._highlight_warnings = True

    def print(self) -> None:
        """Print the tables."""
        print(self)  # noqa: T201 - what the method is for

    def __str__(self) -> str:
        merged = Measurement.merge(self._results)
        labels = ordered_unique(result.label for result in merged)
        return "\n".join(
            self._table(label, [result for result in merged if result.label == label])
            for label in labels
        )

    def _table(self, label: str | None, results: list[Measurement]) -> str:
        unit, scale = select_unit(min(result.median for result in results))
        columns = ordered_unique(result.description for result in results)
        rows = ordered_unique((result.num_threads, result.as_row_name) for result in results)
        found = {(r.num_threads, r.as_row_name, r.description): r for r in results}
        names = {row: f"      {row[1]}" for row in rows}
        width = max(len(name) for name in names.values()) + 2
        cells = {key: self._cell(result, scale) for key, result in found.items()}
        widths = [
            max(
                len(column or ""),
                *(len(text) for key, text in cells.items() if key[2] == column),
            )
            for column in columns
        ]
        heading = "  |  ".join((column or "").center(w) for column, w in zip(columns, widths))
        line_length = width + 3 + len(heading)
        title = f" {label or ''} ".center(line_length, "-")
        lines = [f"[{title}]", f"{'':{width}}|  {heading}"]
        threads = None
        for row in rows:
            if row[0] != threads:
                threads = row[0]
                lines.append(f"{threads} threads: ".ljust(line_length, "-"))
            shown = []
            for column, w in zip(columns, widths):
                key = (*row, column)
                text = cells.get(key, "").rjust(w)
                shown.append(self._colored(text, key, found))
            lines.append(f"{names[row]:{width}}|  " + "  |  ".join(shown))
        lines.append(f"\nTimes are in {unit_to_english(unit)}s ({unit}).")
        if self._highlight_warnings and any(result.has_warnings for result in results):
            lines.append("(! XX%) Measurement has high variance, where XX is the IQR / median.")
        return "\n".join(lines) + "\n"

    def _cell(self, result: Measurement, scale: float) -> str:
        value = result.median / scale
        if self._trim:
            value = trim_sigfig(value, result.significant_figures)
        text = f"{value:.1f}" if value < 1000 else f"{value:.0f}"
        if self._highlight_warnings and result.has_warnings:
            text = f"(! {100 * result.iqr / result.median:.0f}%) {text}"
        return text

    def _colored(self, text: str, key: tuple, found: dict[tuple, Measurement]) -> str:
        if self._colorize is Colorize.NONE or key not in found:
            return text
        by_row = self._colorize is Colorize.ROWWISE
        peers = [
            result.median
            for other, result in found.items()
            if (other[:2] == key[:2] if by_row else other[2] == key[2])
        ]
        own, best = found[key].median, min(peers)
        if own <= best * 1.02:
            return f"{_BEST}{text}{_END}"
        if own <= best * 1.1:
            return f"{_GOOD}{text}{_END}"
        return f"{_BAD}{text}{_END}" if own > best * 2 else text
