"""Run random programs from the command line; see the package."""

from __future__ import annotations

import argparse
import ast
import collections
import gc
import sys
import time
import traceback

from rushlight.base.config import config
from tests.fuzz.interpreted import COUNTS
from tests.fuzz.judges import (
    fault_of_bits,
    fault_of_executors,
    fault_of_memo,
    fault_of_sizes,
)
from tests.fuzz.outcome import Program
from tests.fuzz.program import LENGTHS, generate, with_other_sizes
from tests.fuzz.shrink import shrink, write_test

JUDGES = {
    judge.__name__: judge
    for judge in (fault_of_executors, fault_of_bits, fault_of_memo, fault_of_sizes)
}
LONGEST_MESSAGE = 1200
SECONDS_BETWEEN_REPORTS = 60
PROGRAMS_BETWEEN_COLLECTIONS = 250


def judged(name: str, program: Program) -> str | None:
    """What one judge says; an exception out of rushlight is a fault too."""
    try:
        if name == "fault_of_sizes":
            return fault_of_sizes(program, len(program) * 100)
        return JUDGES[name](program)
    except Exception:
        return f"raises: {traceback.format_exc()[-LONGEST_MESSAGE:]}"


def report(name: str, program: Program, found: str, options: argparse.Namespace) -> None:
    """Make the program small and print it, once for each kind of fault."""
    kind = found.partition(":")[0]
    if options.shrink:

        def same_kind(candidate: Program) -> bool:
            again = judged(name, candidate)
            return again is not None and again.partition(":")[0] == kind

        program = shrink(program, same_kind)
        found = judged(name, program) or found
    print(f"  {name}: {found[:LONGEST_MESSAGE]}\n  {program}", flush=True)
    if options.write:
        print(f"  {write_test(program, name, found)}")


def run(options: argparse.Namespace) -> int:
    """Run programs until one is faulty, or all; returns how many are faulty."""
    counts = collections.Counter[str]()
    faults = 0
    gc.freeze()
    gc.disable()  # a program's cycles are collected now and then, together
    started = said = time.monotonic()
    for seed in range(options.seed, options.seed + options.count):
        program = generate(seed // options.sizes, options.lengths)
        if seed % options.sizes:
            program = with_other_sizes(program, seed)
        names = list(JUDGES) if seed % options.bits_every == 0 else ["fault_of_executors"]
        if options.judges:
            names = options.judges.split(",")
        for name in names:
            found = judged(name, program)
            counts[name] += 1
            if found:
                faults += 1
                print(f"seed {seed}:")
                report(name, program, found, options)
                break
        if faults and not options.keep_going:
            break
        if seed % PROGRAMS_BETWEEN_COLLECTIONS == 0:
            gc.collect()
        if time.monotonic() - said > SECONDS_BETWEEN_REPORTS:
            said = time.monotonic()
            print(f"... seed {seed}, {faults} faults, {said - started:.0f} s", flush=True)
    print(f"{dict(counts)}, interpreted {COUNTS}")
    seconds = time.monotonic() - started
    print(f"{max(counts.values(), default=0)} programs, {faults} faults, {seconds:.1f} s")
    return faults


def pair(text: str) -> tuple[int, int]:
    """Two numbers with a comma between them."""
    low, high = text.split(",")
    return int(low), int(high)


def main() -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="programs to run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first one")
    parser.add_argument("--lengths", type=pair, default=LENGTHS, help="least,most instructions")
    parser.add_argument(
        "--bits-every", type=int, default=1, metavar="N", help="judges of bits see one in N"
    )
    parser.add_argument(
        "--sizes", type=int, default=1, metavar="N", help="N programs in a row differ in sizes only"
    )
    parser.add_argument("--judges", help="only these, with commas between them")
    parser.add_argument("--replay", help="a program, as printed")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a fault")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    parser.add_argument("--write", action="store_true", help="write a test of each fault")
    options = parser.parse_args()
    config.executor = "compiled"
    if options.replay:
        program = ast.literal_eval(options.replay)
        found = [f"{name}: {said}" for name in JUDGES for said in [judged(name, program)] if said]
        print("\n".join(found) or "no fault")
        return 1 if found else 0
    return 1 if run(options) else 0


if __name__ == "__main__":
    sys.exit(main())
