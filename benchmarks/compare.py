"""Runs workloads on several libraries in turns, and keeps ratios.

Each repetition starts one process for each library; they take turns of short bursts, so that what
else the machine does meets all of them, and the one that does not run sleeps.  A ratio is taken in
each turn: the other's median over ours.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TURNS = 4
OURS = "rushlight"
# Losses of other libraries may differ by what another order of additions makes of three steps.
TOLERANCE = 2e-3


class ChildFailed(RuntimeError):
    """A child ended early; the message is the end of what it wrote to standard error."""


@dataclass
class Options:
    """How to measure."""

    repeat: int = 3
    seconds: float = 1.5
    threads: int = 2
    peers_python: str = sys.executable


@dataclass
class Result:
    """What one workload gave.  Per library: figures; ratios: library -> one of each turn.

    roofline: what the machine can do, and a step's least time (see `measure.roofline`).
    settled: most seconds that making recording machine code took, before steady steps are timed.
    """

    name: str
    threads: int
    first: dict[str, float] = field(default_factory=dict)
    cold: float | None = None
    settled: float = 0.0
    best: dict[str, float] = field(default_factory=dict)
    median: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    roofline: dict[str, float] = field(default_factory=dict)

    def share(self) -> float:
        """The least time of our step, as the machine's peaks have it, over its best time."""
        return self.roofline.get("least_us", 0.0) * 1e-6 / self.best[OURS]

    def ratio(self, library: str) -> float:
        """The middle of the turns' ratios."""
        return statistics.median(self.ratios[library])

    def best_ratio(self, library: str) -> float:
        """The other's best time over our best."""
        return self.best[library] / self.best[OURS]


class Child:
    """One process that measures one workload on one library."""

    def __init__(
        self, library: str, name: str, options: Options, arrays: str = "", cache: str = ""
    ) -> None:
        environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        environment.setdefault("RUSHLIGHT_EXECUTOR", "compiled")
        # Imports take their bytecode from disk, as those of an installed package do.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if cache:
            environment["RUSHLIGHT_CACHE_DIR"] = cache
        same_source = library in ("torch", OURS)
        python = sys.executable if same_source else options.peers_python
        command = [python, "-m", "benchmarks.measure", library, name, str(options.threads), arrays]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
        try:
            self.started = self._answer()
        except ChildFailed:
            self.close()
            raise

    def ask(self, command: str) -> dict:
        """One command and its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        raise ChildFailed(lines[-1] if lines else f"exit code {self.process.returncode}")

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def compare(name: str, libraries: list[str], options: Options) -> Result:
    """Measure one workload on rushlight and the given libraries."""
    result = Result(name, options.threads)
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        arrays = _dump(name, scratch) if any(lib != "torch" for lib in libraries) else ""
        # A folder of its own: the first round compiles everything, later ones find it on disk.
        cache = str(Path(scratch) / "kernels")
        for _ in range(max(2, options.repeat)):
            _round(result, [OURS, *libraries], options, (arrays, cache), losses)
    for library in libraries:
        if library in losses and not _close(losses[library], losses[OURS]):
            result.missing[library] = (
                f"computes {losses[library]} where {OURS} computes {losses[OURS]}"
            )
    return result


def _dump(name: str, scratch: str) -> str:
    path = str(Path(scratch) / "arrays.npz")
    command = [sys.executable, "-m", "benchmarks.measure", "dump", name, path]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return path if done.returncode == 0 else ""


def _round(result: Result, libraries, options: Options, places, losses) -> None:
    """One process for each library, in turns."""
    arrays, cache = places
    children: dict[str, Child] = {}
    try:
        for library in libraries:
            if library in result.missing:
                continue
            try:
                children[library] = Child(library, result.name, options, arrays, cache)
            except ChildFailed as failure:
                if library == OURS:
                    raise
                result.missing[library] = str(failure)
                continue
            _note_start(result, library, children[library].started, losses)
            if library == OURS:
                result.settled = max(result.settled, children[library].ask("settle")["seconds"])
        for _ in range(TURNS):
            _turn(result, children, options.seconds / TURNS)
        for library, child in children.items():
            report = child.ask("report")
            peak = report.pop("peak_mb")
            result.peak_mb[library] = max(peak, result.peak_mb.get(library, 0))
            if library == OURS:
                _note_roofline(result, report.pop("roofline"))
                _note_counts(result, report)
    finally:
        for child in children.values():
            child.close()


def _note_start(result: Result, library: str, started: dict, losses) -> None:
    losses.setdefault(library, started["losses"])
    first = started["first"]
    if library == OURS and result.cold is None:
        result.cold = first
        result.counts["kernels_compiled"] = started["compiled"]
        return
    result.first[library] = min(first, result.first.get(library, first))


def _note_roofline(result: Result, found: dict[str, float]) -> None:
    """The best peaks of all rounds, and the least time that belongs to them."""
    for quantity, value in found.items():
        better = min if quantity == "least_us" else max
        result.roofline[quantity] = better(value, result.roofline.get(quantity, value))


def _note_counts(result: Result, report: dict) -> None:
    for quantity, value in report.items():
        if quantity.endswith("_us"):  # the quietest round tells most
            value = min(value, result.counts.get(quantity, value))
        elif quantity.startswith("compiles_"):  # the round that began with nothing compiled
            value = max(value, result.counts.get(quantity, value))
        result.counts[quantity] = value


def _turn(result: Result, children: dict[str, Child], seconds: float) -> None:
    medians = {}
    for library, child in children.items():
        answer = child.ask(f"burst {seconds}")
        medians[library] = answer["median"]
        for kept, key in ((result.best, "best"), (result.median, "median")):
            kept[library] = min(answer[key], kept.get(library, answer[key]))
    for library, median in medians.items():
        if library != OURS:
            result.ratios.setdefault(library, []).append(median / medians[OURS])


def _close(losses: list[float], ours: list[float]) -> bool:
    return all(abs(a - b) <= TOLERANCE * max(abs(a), abs(b), 1e-3) for a, b in zip(losses, ours))
