"""Steps of unmodified PyTorch programs on rushlight and on others, as ratios.

    python -m benchmarks [--only NAMES] [--against torch,jax,tinygrad] [--threads 2]
    python -m benchmarks --check      compares with what is stored in benchmarks/expected of this
                                      kind of processor; exit code 1 if worse
    python -m benchmarks --record     stores what was measured, and writes the README's table
    python -m benchmarks --readme     writes the README's table from benchmarks/expected

PyTorch and rushlight run the same source; JAX and tinygrad run hand-written equivalents that must
compute the same losses.  Machines are noisy: read ratios, not times.  A ratio above 1 says that
rushlight is faster.  Beside it stands the share of the roofline: the least time of a step's
kernels, each bound by arithmetic or memory as measured in the same run, over the best step.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.catalogue import WORKLOADS
from benchmarks.compare import Options, compare
from rushlight.runtime.host import host_target

KNOWN = ("torch", "jax", "tinygrad")
# Running programs per core up to which the machine counts as free.
QUIET = 0.4


def parsed(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--only", default=",".join(WORKLOADS), help="workloads, with commas")
    parser.add_argument("--against", default="torch", help="of torch, jax, tinygrad, with commas")
    parser.add_argument("--repeat", type=int, default=3, help="processes of each library")
    parser.add_argument("--seconds", type=float, default=1.5, help="steady steps of each process")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--peers-python", default=sys.executable, help="an interpreter that has jax and tinygrad"
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--readme", action="store_true")
    parser.add_argument(
        "--busy", action="store_true", help="record although other programs use the machine"
    )
    options = parser.parse_args(words)
    options.only = options.only.split(",")
    options.against = [name for name in options.against.split(",") if name]
    for name in options.only:
        if name not in WORKLOADS:
            parser.error(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    for name in options.against:
        if name not in KNOWN:
            parser.error(f"no library {name!r}; there are {', '.join(KNOWN)}")
    return options


def installed(libraries: list[str], peers_python: str) -> list[str]:
    """Those that can be asked; says which are not there.  Another interpreter is asked later."""
    found = []
    for name in libraries:
        elsewhere = name != "torch" and peers_python != sys.executable
        if elsewhere or importlib.util.find_spec(name) is not None:
            found.append(name)
        else:
            print(f"{name} is not installed: left out (pip install {name})", file=sys.stderr)
    return found


def processor() -> str:
    """The kind of processor, by name and vector unit: "AMD EPYC with AVX2"."""
    units = {64: "AVX-512", 32: "AVX2"}
    return f"{_model()} with {units.get(host_target().vector_bytes, '128-bit vectors')}"


def _model() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [ln for ln in cpuinfo.read_text().splitlines() if ln.startswith("model name")]
        if names:
            model = names[0].split(":", 1)[1].strip()
    return model.split(" @ ")[0]


def sitting(threads: int) -> str:
    """Machine, libraries and day."""
    try:
        theirs = f"PyTorch {importlib.metadata.version('torch').split('+')[0]}"
    except importlib.metadata.PackageNotFoundError:
        theirs = "no PyTorch"
    day = datetime.date.today().isoformat()
    return f"{os.cpu_count()} cores of {processor()}, {theirs} and {threads} threads, {day}"


def others_at_work() -> str | None:
    """A sentence if other programs use the cores, which no measurement of threads survives."""
    if not hasattr(os, "getloadavg"):
        return None
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load < QUIET * cores:
        return None
    return f"the machine is busy (load {load:.1f} on {cores} cores): ratios mean little"


def write_readme() -> None:
    """The README's table from the stored values."""
    text = report.README.read_text(encoding="utf-8")
    report.README.write_text(report.with_table(text, report.sittings()), encoding="utf-8")


def main(words: list[str]) -> int:
    """Measure, print, and check or record what was measured; returns the exit code."""
    asked = parsed(words)
    if asked.readme:
        write_readme()
        return 0
    busy = others_at_work()
    if busy:
        print(busy, file=sys.stderr)
        if asked.record and not asked.busy:
            print("nothing recorded; --busy records nevertheless", file=sys.stderr)
            return 1
    options = Options(asked.repeat, asked.seconds, asked.threads, asked.peers_python)
    libraries = installed(asked.against, asked.peers_python)
    path = report.expected_of(processor())
    expected = report.read(path)
    results, wrong = [], []
    for name in asked.only:
        result = compare(name, libraries, options)
        print(report.line(result), flush=True)
        results.append(result)
        wrong += report.violations(expected, result)
    measured = ", ".join(filter(None, (sitting(asked.threads), report.peaks_text(results))))
    print(measured, flush=True)
    if asked.record:
        report.write(report.updated(expected, results, measured, processor()), path)
        write_readme()
    if asked.check:
        print("\n".join(wrong) or "as expected", flush=True)
        return 1 if wrong else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
