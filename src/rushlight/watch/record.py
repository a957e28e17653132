"""What a run said so far, bounded in memory however long it goes on.

In: numbers, distributions, pictures and texts with their steps, from any thread.  Out: one JSON
object; as TensorBoard's events too, if asked.  A series that grows long is kept as buckets (mean,
least and most of neighbouring points), whose width doubles: a run of days takes as much room as one
of minutes.  Level 12.
"""

from __future__ import annotations

import base64
import math
import threading
import time
from typing import Any

import numpy as np

from rushlight.base.png import as_pixels, png
from rushlight.watch.events import EventFile

__all__ = ["Record"]

MOST_POINTS = 1000  # of a series; it is halved when it has so many
MOST_SERIES = 500
MOST_PICTURES = 12  # of one name, the latest; and as many distributions
MOST_BINS = 40
MOST_TEXT = 10_000  # characters


class _Series:
    """Points in buckets of `width` neighbours: [last step, mean, least, most, points in it]."""

    __slots__ = ("buckets", "width")

    def __init__(self) -> None:
        self.buckets: list[list[float]] = []
        self.width = 1

    def add(self, step: float, value: float) -> None:
        last = self.buckets[-1] if self.buckets else None
        if last is not None and last[4] < self.width:
            _join(last, [step, value, value, value, 1])
            return
        if len(self.buckets) >= MOST_POINTS:
            self.buckets = [
                _joined(self.buckets[i : i + 2]) for i in range(0, len(self.buckets), 2)
            ]
            self.width *= 2
        self.buckets.append([step, value, value, value, 1])


def _join(bucket: list[float], other: list[float]) -> None:
    count = bucket[4] + other[4]
    bucket[1] += (other[1] - bucket[1]) * other[4] / count
    bucket[0], bucket[4] = other[0], count
    bucket[2], bucket[3] = min(bucket[2], other[2]), max(bucket[3], other[3])


def _joined(buckets: list[list[float]]) -> list[float]:
    first = list(buckets[0])
    for other in buckets[1:]:
        _join(first, other)
    return first


class Record:
    """The state of one run.  `version` grows with each thing that is said."""

    def __init__(self, title: str = "run", events: EventFile | None = None) -> None:
        self.title = title
        self._events = events
        self.version = 0
        self.ended: str | None = None
        self._began = time.time()
        self._lock = threading.Lock()
        self._series: dict[str, _Series] = {}
        self._bad: dict[str, list[Any]] = {}
        self._histograms: dict[str, list[dict[str, Any]]] = {}
        self._pictures: dict[str, list[dict[str, Any]]] = {}
        self._texts: dict[str, str] = {}
        self._left_out = 0

    def scalar(self, name: str, value: float, step: float) -> None:
        """A number of a series.  One that is not finite is counted, with its first step."""
        if self._events is not None:
            self._events.scalar(name, value, step)
        with self._lock:
            self.version += 1
            if not math.isfinite(value):
                self._bad.setdefault(name, [step, str(value), 0])[2] += 1
                return
            series = self._series.get(name)
            if series is None:
                if len(self._series) >= MOST_SERIES:
                    self._left_out += 1
                    return
                series = self._series[name] = _Series()
            series.add(step, value)

    def histogram(self, name: str, values: np.ndarray, step: float) -> None:
        """How many of the values lie where; those that are not finite are counted apart."""
        flat = np.asarray(values, dtype=np.float64).ravel()
        finite = flat[np.isfinite(flat)]
        counts, edges = np.zeros(0), np.zeros(0)
        if finite.size:
            counts, edges = np.histogram(finite, bins=MOST_BINS)
            if self._events is not None:
                self._events.histogram(name, finite, counts.tolist(), edges, step)
        entry = {
            "step": step,
            "counts": [int(count) for count in counts],
            "edges": [float(edges[0]), float(edges[-1])] if len(edges) else [],
            "bad": int(flat.size - finite.size),
        }
        self._keep(self._histograms, name, entry)

    def picture(self, name: str, values: np.ndarray, step: float) -> None:
        """A picture: see `as_pixels` for its shapes.  Raises: ValueError."""
        pixels = as_pixels(np.asarray(values))
        encoded = png(pixels)
        text = base64.b64encode(encoded).decode()
        size = [int(pixels.shape[1]), int(pixels.shape[0])]
        if self._events is not None:
            self._events.picture(name, encoded, (size[0], size[1]), step)
        self._keep(self._pictures, name, {"step": step, "png": text, "size": size})

    def text(self, name: str, words: str) -> None:
        """A text; the latest of a name stays."""
        if self._events is not None:
            self._events.text(name, words, 0)
        with self._lock:
            self.version += 1
            if name in self._texts or len(self._texts) < MOST_SERIES:
                self._texts[name] = words[:MOST_TEXT]

    def end(self, how: str) -> None:
        """The run is over: `how` in words."""
        with self._lock:
            self.version += 1
            self.ended = how
        if self._events is not None:
            self._events.close()

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        with self._lock:
            return {
                "title": self.title,
                "version": self.version,
                "began": self._began,
                "now": time.time(),
                "ended": self.ended,
                "series": {name: list(s.buckets) for name, s in self._series.items()},
                "bad": {name: list(entry) for name, entry in self._bad.items()},
                "histograms": {name: list(each) for name, each in self._histograms.items()},
                "pictures": {name: list(each) for name, each in self._pictures.items()},
                "texts": dict(self._texts),
                "leftOut": self._left_out,
            }

    def _keep(self, place: dict[str, list[dict[str, Any]]], name: str, entry: dict) -> None:
        with self._lock:
            self.version += 1
            if name not in place and len(place) >= MOST_SERIES:
                self._left_out += 1
                return
            kept = place.setdefault(name, [])
            kept.append(entry)
            del kept[:-MOST_PICTURES]
