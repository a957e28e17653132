"""Profiles as files: Chrome's trace format, stacks for flame graphs.  Level: profiler (12)."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rushlight.profiler.events import EventList, FunctionEvent

STACK_METRICS = ("self_cpu_time_total", "self_cuda_time_total", "self_xpu_time_total")


def export_chrome_trace(events: EventList, path: str | os.PathLike, metadata: dict) -> None:
    """Write the events for chrome://tracing or Perfetto; a name ending in .gz is compressed."""
    text = json.dumps({
        "schemaVersion": 1,
        "displayTimeUnit": "ms",
        "host_name": socket.gethostname(),
        **metadata,
        "traceEvents": [*_names(events), *(_traced(event) for event in events)],
    })  # fmt: skip
    if str(path).endswith(".gz"):
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(text)
        return
    Path(path).write_text(text, encoding="utf-8")


def _names(events: EventList) -> list[dict[str, Any]]:
    process = os.getpid()
    made: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "ts": 0,
         "args": {"name": "python"}},
    ]  # fmt: skip
    for thread in dict.fromkeys(event.thread for event in events):
        made.append({"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "ts": 0,
                     "args": {"name": f"thread {thread}"}})  # fmt: skip
    return made


def _traced(event: FunctionEvent) -> dict[str, Any]:
    arguments: dict[str, Any] = {"External id": event.id}
    if event.input_shapes:
        arguments["Input Dims"] = event.input_shapes
        arguments["Input type"] = event.input_types
    if event.stack:
        arguments["Call stack"] = ";".join(event.stack)
    if event.flops:
        arguments["flops"] = event.flops
    return {
        "ph": "X", "cat": event.category, "name": event.trace_name, "pid": os.getpid(),
        "tid": event.thread, "ts": round(event.time_range.start, 3),
        "dur": round(event.cpu_time_total, 3), "args": arguments,
    }  # fmt: skip


def export_stacks(events: EventList, path: str | os.PathLike, metric: str) -> None:
    """Write `frame;frame;frame microseconds` for each stack, outermost frame first.

    Raises: ValueError for another metric than PyTorch's.
    """
    if metric not in STACK_METRICS:
        raise ValueError(f"metric should be one of: {list(STACK_METRICS)}")
    totals: Counter[str] = Counter()
    for event in events:
        if event.stack:
            frames = ";".join(reversed(event.stack)).replace(" ", "_")
            totals[frames] += int(getattr(event, metric.replace("xpu", "device")))
    lines = [f"{frames} {total}\n" for frames, total in totals.items() if total > 0]
    Path(path).write_text("".join(lines), encoding="utf-8")


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """A handler for `on_trace_ready` that writes each trace where TensorBoard looks for it.

    Raises: RuntimeError if the folder cannot be made.
    """

    def handler(profile: Any) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError(f"Can't create directory: {dir_name}") from error
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        suffix = ".pt.trace.json.gz" if use_gzip else ".pt.trace.json"
        profile.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}{suffix}"))

    return handler
