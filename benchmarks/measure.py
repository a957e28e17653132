"""One workload on one library, in a process of its own that answers commands.

    python -m benchmarks.measure LIBRARY WORKLOAD THREADS [ARRAYS]

It prints a line of JSON after the first steps and one for each command it reads:

    settle          brings rushlight to the state of a program that has run for long: {"seconds"}
    burst SECONDS   times steady steps: {"median", "best", "steps"}
    report          {"peak_mb"}, and of rushlight the counts that do not depend on the machine, and
                    {"roofline"}: what the machine can do, and how long a step takes it at least

A peer written by hand starts from the arrays in the file ARRAYS.  `dump WORKLOAD FILE` in place of
the arguments writes them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workloads import Job

SAME_SOURCE = ("torch", "rushlight")
CHECKED_STEPS = 3
_FEWEST_STEPS = 5
_COUNTED_STEPS = 10


def build(library: str, name: str, threads: int, arrays: str) -> tuple[Any, Job]:
    """The library's module and the workload on it."""
    if library not in SAME_SOURCE:
        peer = importlib.import_module(f"benchmarks.peers.{library}_peer")
        return None, peer.build(name, threads, arrays)
    from benchmarks.catalogue import WORKLOADS

    torch = importlib.import_module(library)
    torch.set_num_threads(threads)
    functional = importlib.import_module(f"{library}.nn.functional")
    return torch, WORKLOADS[name](torch, functional)


def burst(step: Callable[[], float], seconds: float) -> dict[str, float]:
    """Median and best of the steps that fit, at least a few."""
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < _FEWEST_STEPS:
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return {"median": statistics.median(times), "best": min(times), "steps": len(times)}


def peak_megabytes() -> float:
    """Most memory this process ever had; of a child, getrusage may report its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _CountedLaunches:
    """Stands before the worker pool: counts kernels and the time spent in machine code."""

    def __init__(self, pool) -> None:
        self.pool, self.kernels, self.seconds = pool, 0, 0.0
        self.original = pool.run_steps
        pool.run_steps = self

    def __call__(self, steps: int, count: int) -> None:
        started = time.perf_counter()
        self.original(steps, count)
        self.seconds += time.perf_counter() - started
        self.kernels += count

    def restore(self) -> None:
        self.pool.run_steps = self.original


def compiles_of(torch, step: Callable[[], float]) -> int:
    """Kernels made while a step runs."""
    before = torch.stats()["kernels_compiled"]
    step()
    return torch.stats()["kernels_compiled"] - before


def counts(torch, job: Job, second: int) -> dict[str, float]:
    """What one steady step of rushlight consists of."""
    from rushlight.engine.arena import ARENA
    from rushlight.runtime.threads import pool

    launches = _CountedLaunches(pool)
    fallbacks = torch.stats()["fallbacks"]
    native, python = [], []
    for _ in range(_COUNTED_STEPS):
        before = launches.seconds
        started = time.perf_counter()
        job.step()
        elapsed = time.perf_counter() - started
        native.append(launches.seconds - before)
        python.append(elapsed - native[-1])
    launches.restore()
    found = {
        "kernels": launches.kernels / _COUNTED_STEPS,
        "native_us": min(native) * 1e6,
        "python_us": min(python) * 1e6,
        "fallbacks": (torch.stats()["fallbacks"] - fallbacks) / _COUNTED_STEPS,
        "arena_bytes": ARENA.capacity,
        "compiles_second": second,
    }
    if job.lower_rate is not None:
        job.lower_rate()
        found["compiles_rate"] = compiles_of(torch, job.step)
    if job.short is not None:
        found["compiles_short"] = compiles_of(torch, job.short)
    return found


def roofline(job: Job) -> dict[str, float]:
    """What the machine can do now, and how long the kernels of a step take it at least.

    gflops: float32 multiply-adds in registers; gbs: bytes copied from and to memory.  least_us:
    the sum over kernels, each bound by its arithmetic or by what it must read and write.
    """
    from rushlight.base.observe import KERNEL, watchers
    from rushlight.engine.describe import facts_of
    from rushlight.engine.peaks import peaks

    kernels: list = []

    def note(event) -> None:
        if event.kind == KERNEL:
            kernels.append(facts_of(*event.detail))

    watchers.append(note)
    job.step()
    watchers.remove(note)
    found = peaks()
    least = sum(found.least_seconds(k.flops, k.moved, k.itemsize)[0] for k in kernels)
    memory = found.bandwidth[-1][1]
    return {"gflops": found.flops / 1e9, "gbs": memory / 1e9, "least_us": least * 1e6}


def settle(step: Callable[[], float]) -> float:
    """Make recording machine code now; by itself that spreads over the first half minute."""
    started = time.perf_counter()
    package = "rushlight.selfcompile"
    # Under autocast calls are watched, and recording stays Python: that is what users get, too.
    if not importlib.import_module(f"{package}.warmup").is_suspended():
        with contextlib.suppress(importlib.import_module(f"{package}.layout").Unsupported):
            importlib.import_module(f"{package}.install").INSTALLER.install_all()
    seconds = time.perf_counter() - started
    for _ in range(_FEWEST_STEPS):
        step()
    return seconds


def serve(library: str, name: str, threads: int, arrays: str) -> None:
    """The child's life: first steps, then commands."""
    torch, job = build(library, name, threads, arrays)
    ours = library == "rushlight"
    started = time.perf_counter()
    if ours:
        torch.synchronize()  # what preparing the data recorded is another program than the step
    losses = [job.step()]
    first = time.perf_counter() - started
    compiled = torch.stats()["kernels_compiled"] if ours else 0
    losses += [job.step() for _ in range(CHECKED_STEPS - 1)]
    second = torch.stats()["kernels_compiled"] - compiled if ours else 0
    print(json.dumps({"first": first, "compiled": compiled, "losses": losses}), flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "burst":
            answer = burst(job.step, float(words[0]))
        elif command == "settle":
            answer = {"seconds": settle(job.step) if ours else 0.0}
        else:
            answer = {"peak_mb": peak_megabytes()}
            if ours:
                answer.update(counts(torch, job, second))
                answer["roofline"] = roofline(job)
        print(json.dumps(answer), flush=True)


def dump(name: str, path: str) -> None:
    """Write what a workload starts from."""
    import numpy as np

    _, job = build("rushlight", name, 1, "")
    assert job.arrays is not None
    np.savez(path, **job.arrays())


if __name__ == "__main__":
    if sys.argv[1] == "dump":
        dump(sys.argv[2], sys.argv[3])
    else:
        serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), (sys.argv[4:] or [""])[0])
