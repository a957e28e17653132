"""What this machine can do at most, measured: arithmetic per second, bytes per second.

Measured once for each number of threads, when a report first asks (some tens of milliseconds).
Arithmetic: multiply-adds that never leave the registers.  Bytes: a copy, of a size that fits the
second-level cache, the last one, or neither, since a kernel's data may live in any of them.
Level 9.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rushlight.base.observe import clock
from rushlight.base.target import Target
from rushlight.engine.kernels import kernel_library
from rushlight.loopnest.ir import PARALLEL, VECTOR, Buffer, Kernel, Load, Loop, Param, Store, Var
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import load_text
from rushlight.runtime.threads import get_num_threads, pool

# A tenth of a millisecond for each thread: handing out shares takes microseconds.
_ROUNDS = 20000
# Short and often: the best of many finds a moment in which nobody else used the machine.
_REPEATS = 20
_MOST_SECONDS = 0.03  # of one measurement, once it was made _FEWEST times
_FEWEST = 3
_LARGEST = 64 << 20
_PIECE = 4096  # elements of one iteration of the copy's parallel loop
_SECONDS = 5e-4  # how long one measurement of a small copy lasts at least


@dataclass(frozen=True)
class Peaks:
    """flops: float32 operations per second; bandwidth: (bytes of a working set up to which it
    holds, bytes per second), ascending; the last one holds beyond."""

    flops: float
    bandwidth: tuple[tuple[int, float], ...]

    def bytes_per_second(self, working_set: int) -> float:
        """The speed of memory where so many bytes live."""
        for limit, speed in self.bandwidth:
            if working_set <= limit:
                return speed
        return self.bandwidth[-1][1]

    def least_seconds(self, flops: int, moved: int, itemsize: int = 4) -> tuple[float, str]:
        """(least possible time, what bounds it: "arithmetic" or "memory")."""
        arithmetic = flops / (self.flops * 4 / max(itemsize, 4))
        memory = moved / self.bytes_per_second(moved)
        return (arithmetic, "arithmetic") if arithmetic > memory else (memory, "memory")

    def share(self, flops: int, moved: int, seconds: float, itemsize: int = 4) -> tuple[float, str]:
        """(least possible time over `seconds`, what bounds it: "arithmetic" or "memory")."""
        least, bound = self.least_seconds(flops, moved, itemsize)
        return least / seconds, bound


def peaks() -> Peaks:
    """The peaks with the number of threads that kernels use now."""
    return _measured(get_num_threads())


@functools.cache
def _measured(threads: int) -> Peaks:
    target = host_target()
    sizes = (target.l2_bytes // 2 * threads, target.l3_bytes // 2, 4 * target.l3_bytes)
    speeds = [_copy_speed(min(size, _LARGEST)) for size in sizes]
    # A cache that several machines share may be slower than what lies behind it looks.
    limits = (sizes[0] * 2, sizes[1] * 2, sizes[2])
    return Peaks(_arithmetic_speed(target, threads), tuple(zip(limits, speeds)))


def _best(run: Callable[[], None]) -> float:
    best = float("inf")
    began = clock()
    for repeat in range(_REPEATS):
        started = clock()
        run()
        ended = clock()
        best = min(best, ended - started)
        if repeat >= _FEWEST and ended - began > _MOST_SECONDS:
            break
    return best


def _copy_speed(working_set: int) -> float:
    pieces = max(working_set // 8 // _PIECE, 1)
    library, name = kernel_library(_copy_kernel())
    source = np.ones(pieces * _PIECE, np.float32)
    result = np.zeros_like(source)
    buffers = np.array([source.ctypes.data, result.ctypes.data], np.int64)
    params = np.array([_PIECE, pieces], np.int64)
    arguments = (library[name], buffers.ctypes.data, params.ctypes.data, pieces, 8)

    def run() -> None:
        pool.parallel_for(*arguments)

    run()
    started = clock()
    run()
    times = max(1, int(_SECONDS / max(clock() - started, 1e-9)))

    def run_often() -> None:
        for _ in range(times):
            pool.parallel_for(*arguments)

    return 2 * source.nbytes * times / _best(run_often)


def _copy_kernel() -> Kernel:
    r, c, piece, pieces = Var("r"), Var("c"), Param("n0"), Param("n1")
    index = r * piece + c
    store = Store("b1", index, Load("b0", index, "float32"))
    loop = Loop("r", pieces, PARALLEL, (Loop("c", piece, VECTOR, (store,)),))
    buffers = (Buffer("b0", "float32", "in"), Buffer("b1", "float32", "out"))
    return Kernel("copy", buffers, (piece, pieces), (loop,))


def _arithmetic_speed(target: Target, threads: int) -> float:
    lanes = target.lanes(4)
    # Two registers hold the factor and the term; one stays free.
    chains = min(target.vector_registers - 4, 16)
    library = load_text(_multiply_add_text(lanes, chains), ["multiply_add"])
    shares = 4 * threads
    memory = np.full(shares * lanes, 0.5, np.float32)
    buffers = np.array([memory.ctypes.data], np.int64)

    def run() -> None:
        pool.parallel_for(library["multiply_add"], buffers.ctypes.data, 0, shares, 1)

    run()
    return 2 * lanes * chains * _ROUNDS * shares / _best(run)


def _multiply_add_text(lanes: int, chains: int) -> str:
    """Independent chains x = x * f + t in registers; each share stores the sum of its chains."""
    vector = f"<{lanes} x float>"
    phis, steps, sums = [], [], []
    for chain in range(chains):
        start = f"[ %t, %begin_share ], [ %y{chain}, %inner ]"
        phis.append(f"  %x{chain} = phi {vector} {start}")
        steps.append(f"  %y{chain} = call {vector} @llvm.fma.v{lanes}f32({vector} %x{chain}, "
                     f"{vector} %f, {vector} %t)")  # fmt: skip
        before = f"%s{chain - 1}" if chain else "%t"
        sums.append(f"  %s{chain} = fadd {vector} {before}, %y{chain}")
    return "\n".join([
        f"declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})",
        "define void @multiply_add(ptr %buffers, ptr %params, i64 %begin, i64 %end) {",
        "entry:",
        "  %memory = load ptr, ptr %buffers",
        "  br label %outer",
        "outer:",
        "  %i = phi i64 [ %begin, %entry ], [ %i_next, %end_share ]",
        "  %more = icmp slt i64 %i, %end",
        "  br i1 %more, label %begin_share, label %done",
        "begin_share:",
        f"  %place = getelementptr {vector}, ptr %memory, i64 %i",
        f"  %f = load {vector}, ptr %place, align 4",
        f"  %t = fmul {vector} %f, %f",
        "  br label %inner",
        "inner:",
        "  %j = phi i64 [ 0, %begin_share ], [ %j_next, %inner ]",
        *phis, *steps,
        "  %j_next = add i64 %j, 1",
        f"  %again = icmp slt i64 %j_next, {_ROUNDS}",
        "  br i1 %again, label %inner, label %end_share",
        "end_share:",
        *sums,
        f"  store {vector} %s{chains - 1}, ptr %place, align 4",
        "  %i_next = add i64 %i, 1",
        "  br label %outer",
        "done:",
        "  ret void",
        "}",
        "",
    ])  # fmt: skip
