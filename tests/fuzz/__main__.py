"""Run random programs from the command line; see the package."""

from __future__ import annotations

import argparse
import ast
import sys
import time

from tests.fuzz.judges import fault, shrink
from tests.fuzz.program import generate


def main() -> int:
    """Run programs until one is faulty; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="programs to run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first one")
    parser.add_argument("--replay", help="a program, as printed")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a fault")
    options = parser.parse_args()
    if options.replay:
        found = fault(ast.literal_eval(options.replay))
        print(found or "no fault")
        return 1 if found else 0
    started = time.monotonic()
    faults = 0
    for seed in range(options.seed, options.seed + options.count):
        program = generate(seed)
        if fault(program) is None:
            continue
        faults += 1
        small = shrink(program, lambda p: fault(p) is not None)
        print(f"seed {seed}: {fault(small)}\n  {small}")
        if not options.keep_going:
            break
    seconds = time.monotonic() - started
    print(f"{seed - options.seed + 1} programs, {faults} faults, {seconds:.1f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
