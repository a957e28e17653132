"""What was timed, how often and how long it took.  Level 12.

In: times of blocks of runs. Out: times of one run and how sure they are. Source:
torch.utils.benchmark.Measurement.
"""

from __future__ import annotations

import contextlib
import dataclasses
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from rushlight.settings import get_num_threads, set_num_threads

# Measurements of fewer blocks, or of shorter runs, say less than they seem to.
MAX_SIGNIFICANT_FIGURES = 4
MIN_CONFIDENCE_INTERVAL = 25e-9  # seconds: about one call of the clock
IQR_WARN_THRESHOLD = 0.1
IQR_GROSS_WARN_THRESHOLD = 0.25

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_ENGLISH = {
    "ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second", "m": "minute",
    "h": "hour",
}  # fmt: skip


@dataclasses.dataclass(init=True, repr=False, eq=True, frozen=True)
class TaskSpec:
    """What a Timer was told, without what it runs with."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or the statement, and the sublabel."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        if "\n" not in self.stmt:
            return self.stmt + (f": {self.sub_label}" if self.sub_label else "")
        return (
            f"stmt:{f' ({self.sub_label})' if self.sub_label else ''}\n"
            f"{textwrap.indent(self.stmt, '  ')}"
        )

    def setup_str(self) -> str:
        """The setup as text for a report."""
        if not self.setup or self.setup == "pass":
            return ""
        if "\n" in self.setup:
            return f"setup:\n{textwrap.indent(self.setup, '  ')}"
        return f"setup: {self.setup}"

    def summarize(self) -> str:
        """Title, description and setup."""
        parts = [self.title, self.description or "", self.setup_str()]
        return "\n".join(part for part in parts if part)


@dataclasses.dataclass(init=True, repr=False)
class Measurement:
    """Times of blocks, each of `number_per_run` runs."""

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    @property
    def times(self) -> list[float]:
        """Seconds of one run, by block."""
        return [time / self.number_per_run for time in self.raw_times]

    def _require_times(self) -> None:
        if not self.raw_times:
            raise ValueError("This Measurement has no times; time the statement first")

    @property
    def median(self) -> float:
        """The median time of one run."""
        self._require_times()
        return float(np.median(self.times))

    @property
    def mean(self) -> float:
        """The mean time of one run."""
        self._require_times()
        return float(np.mean(self.times))

    @property
    def iqr(self) -> float:
        """How far the third quartile is from the first."""
        self._require_times()
        low, high = np.quantile(self.times, [0.25, 0.75])
        return float(high - low)

    @property
    def significant_figures(self) -> int:
        """How many figures of the median mean something.

        From the spread of the middle half, taken as normal, over the root of the number of blocks.
        """
        self._require_times()
        deviation = self.iqr / 1.349  # of a normal distribution
        interval = max(1.645 * deviation / len(self.times) ** 0.5, MIN_CONFIDENCE_INTERVAL)
        relative = -np.log10(interval / self.median)
        return int(min(max(np.floor(relative), 1), MAX_SIGNIFICANT_FIGURES))

    @property
    def has_warnings(self) -> bool:
        """Whether the times spread too much, or are too few."""
        self._require_times()
        return self.iqr > self.median * IQR_WARN_THRESHOLD

    def meets_confidence(self, threshold: float = IQR_WARN_THRESHOLD) -> bool:
        """Whether the spread is below that share of the median."""
        self._require_times()
        return self.iqr / self.median < threshold

    @property
    def title(self) -> str:
        """The task's title."""
        return self.task_spec.title

    @property
    def env(self) -> str:
        """The task's environment."""
        return "Unspecified env" if self.task_spec.env is None else self.task_spec.env

    @property
    def as_row_name(self) -> str:
        """The row in a table of comparisons."""
        return self.task_spec.sub_label or self.task_spec.stmt

    @property
    def stmt(self) -> str:
        """The statement."""
        return self.task_spec.stmt

    @property
    def num_threads(self) -> int:
        """With how many threads."""
        return self.task_spec.num_threads

    @property
    def label(self) -> str | None:
        """The table."""
        return self.task_spec.label

    @property
    def sub_label(self) -> str | None:
        """The row."""
        return self.task_spec.sub_label

    @property
    def description(self) -> str | None:
        """The column."""
        return self.task_spec.description

    def __repr__(self) -> str:
        head = f"<{type(self).__module__}.{type(self).__name__} object at {hex(id(self))}>"
        lines = [head, self.task_spec.summarize()]
        if not self.raw_times:
            return "\n".join([*lines, "  No measurement."])
        unit, scale = select_unit(self.median)
        blocks = len(self.raw_times)
        name = "Median" if blocks > 1 else "Time"
        lines.append(
            f"  {name}: {trim_sigfig(self.median / scale, self.significant_figures)} {unit}"
        )
        if blocks >= 4:
            low, high = np.quantile(self.times, [0.25, 0.75]) / scale
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit} ({low:.2f} to {high:.2f})")
        runs = f"{self.number_per_run} run{'s' if self.number_per_run > 1 else ''}"
        count = f"{blocks} measurement{'s' if blocks > 1 else ''}"
        threads = f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        lines.append(f"  {count}, {runs} per measurement, {threads}")
        if self.has_warnings:
            share = 100 * self.iqr / self.median
            lines.append(
                f"  WARNING: Interquartile range is {share:.1f}% of the median measurement."
            )
        return "\n".join(lines)

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """One measurement for each task, with all its times."""
        grouped: dict[TaskSpec, list[Measurement]] = {}
        for measurement in measurements:
            grouped.setdefault(measurement.task_spec, []).append(measurement)
        return [
            Measurement(1, [time for part in parts for time in part.times], spec, None)
            for spec, parts in grouped.items()
        ]


def select_unit(t: float) -> tuple[str, float]:
    """A unit of time in which `t` seconds is a handy number, and its seconds."""
    power = int(np.floor(np.log10(max(t, 1e-12)) / 3)) * 3
    name = {-9: "ns", -6: "us", -3: "ms"}.get(max(power, -9), "s")
    return name, _UNITS[name]


def unit_to_english(u: str) -> str:
    """A unit's name in full."""
    return _ENGLISH[u]


def trim_sigfig(x: float, n: int) -> float:
    """A number with `n` figures, the rest zeros."""
    if x == 0:
        return x
    scale = 10 ** (int(np.floor(np.log10(abs(x)))) + 1 - n)
    return float(round(x / scale) * scale)


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """Each element once, in order of its first place."""
    return list(dict.fromkeys(elements))


@contextlib.contextmanager
def set_torch_threads(n: int) -> Iterator[None]:
    """A stretch that runs with `n` threads."""
    before = get_num_threads()
    try:
        set_num_threads(n)
        yield
    finally:
        set_num_threads(before)
