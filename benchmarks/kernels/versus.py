"""Times one kernel in two processes in turn, so that neither disturbs the other's threads.

Each side is this package run as a child that answers one line for each case it is asked to time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BURST_SECONDS = 0.08


def best_time(function: Callable[[], object], seconds: float = BURST_SECONDS) -> float:
    """The shortest run of many: other processes only ever add time."""
    function()
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def serve(make_case: Callable[[dict], Callable[[], object]]) -> None:
    """The child's loop: a case comes in as JSON, its best time goes out."""
    cases: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        if line not in cases:
            cases.clear()
            cases[line] = make_case(json.loads(line))
        print(best_time(cases[line]), flush=True)


class Side:
    """One child process."""

    def __init__(self, module: str, side: str, threads: int) -> None:
        paths = [ROOT / "src", ROOT]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--side", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def time(self, case: dict) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(module: str, cases: list[dict], threads: int, rounds: int = 7) -> list[dict]:
    """Rows with best times of both sides and the ratio torch / rushlight (above 1: faster)."""
    torch_side, ours = Side(module, "torch", threads), Side(module, "rushlight", threads)
    rows = []
    try:
        for case in cases:
            pairs = [(torch_side.time(case), ours.time(case)) for _ in range(rounds)]
            torch_best, our_best = (min(column) for column in zip(*pairs))
            median = statistics.median(t / o for t, o in pairs)
            rows.append(
                dict(case, threads=threads, torch_s=torch_best, rushlight_s=our_best,
                     ratio=torch_best / our_best, median_ratio=median)
            )  # fmt: skip
    finally:
        torch_side.close()
        ours.close()
    return rows
