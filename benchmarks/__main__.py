"""Compare steps with PyTorch: `python -m benchmarks [--only NAMES] [--repeat N] [--threads N]`.

Each repetition runs every library in a process of its own, one after the other, so that neither
meets the other's threads or memory.  The ratio is PyTorch's best median over ours; above 1 we are
faster.  Machines are noisy: read ratios, not times.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from benchmarks.workloads import WORKLOADS

LIBRARIES = ("torch", "rushlight")


def measure(library: str, name: str, seconds: float, threads: int) -> dict[str, float]:
    """Run one workload in this process: first step, median and best of the steady steps."""
    torch = importlib.import_module(library)
    functional = importlib.import_module(f"{library}.nn.functional")
    if hasattr(torch, "set_num_threads"):
        torch.set_num_threads(threads)
    step = WORKLOADS[name](torch, functional)
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    for _ in range(3):
        step()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    result = {
        "first": first,
        "median": statistics.median(times),
        "best": min(times),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if library == "rushlight":
        result["stats"] = torch.stats()
    return result


def child(library: str, name: str, seconds: float, threads: int) -> dict[str, float]:
    """`measure` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks", "--child", library, "--only", name]
    command += ["--seconds", str(seconds), "--threads", str(threads)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(output.stdout.splitlines()[-1])


def main() -> None:
    """Print one line for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.only.split(",")
    if options.child:
        print(json.dumps(measure(options.child, names[0], options.seconds, options.threads)))
        return
    header = f"{'workload':20} {'PyTorch':>11} {'rushlight':>11} {'ratio':>6}"
    print(f"{header} {'first step':>11} {'peak MB (PyTorch)':>19}")
    for name in names:
        rounds: dict[str, list[dict]] = {library: [] for library in LIBRARIES}
        for _ in range(options.repeat):
            for library in LIBRARIES:
                rounds[library].append(child(library, name, options.seconds, options.threads))
        best = {lib: min(r["median"] for r in rounds[lib]) for lib in LIBRARIES}
        peak = {lib: max(r["peak_mb"] for r in rounds[lib]) for lib in LIBRARIES}
        first = min(r["first"] for r in rounds["rushlight"])
        print(
            f"{name:20} {best['torch'] * 1e6:8.0f} us {best['rushlight'] * 1e6:8.0f} us "
            f"{best['torch'] / best['rushlight']:6.2f} {first * 1e3:8.0f} ms "
            f"{peak['rushlight']:9.0f} ({peak['torch']:.0f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
