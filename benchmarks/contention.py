"""How much slower steps become when another program takes one of the cores.

    python -m benchmarks.contention [NAMES] [--seconds N] [--threads N] [--repeat N]

Prints for each workload and library the median step alone and beside a process that computes
without pause, and how many times as long it is.  The two are measured in turns; a step that waits
for a thread which was taken off its core is what makes the difference.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.compare import OURS, Child, Options

NAMES = ("mlp_tiny", "mlp_784", "gpt_small", "chain", "cnn_small")
# Until the system has moved its processes to where they stay.
_SETTLING_SECONDS = 0.2


@contextlib.contextmanager
def one_core_taken() -> Iterator[None]:
    """A process that computes for as long as this lasts."""
    taker = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(_SETTLING_SECONDS)
        yield
    finally:
        taker.kill()
        taker.wait()


def slowed(name: str, library: str, options: Options) -> tuple[float, float, float]:
    """The median step alone and beside another process, in seconds, and the middle of the ratios
    of the turns."""
    child = Child(library, name, options)
    alone, beside = [], []
    try:
        if library == OURS:
            child.ask("settle")
        for _ in range(options.repeat):
            alone.append(child.ask(f"burst {options.seconds}")["median"])
            with one_core_taken():
                beside.append(child.ask(f"burst {options.seconds}")["median"])
    finally:
        child.close()
    ratios = [slow / quick for quick, slow in zip(alone, beside)]
    return statistics.median(alone), statistics.median(beside), statistics.median(ratios)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.contention", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each burst of steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    options = Options(repeat=given.repeat, seconds=given.seconds, threads=given.threads)
    for name in given.names:
        for library in ("torch", OURS):
            alone, beside, ratio = slowed(name, library, options)
            print(
                f"{name:20} {library:10} alone {alone * 1e6:9.0f} us  beside another process "
                f"{beside * 1e6:9.0f} us  {ratio:5.2f} times as long",
                flush=True,
            )


if __name__ == "__main__":
    main()
