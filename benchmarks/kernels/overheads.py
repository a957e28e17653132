"""What a launch, a parallel-for, a compile and a load from the cache cost on this machine.

``python benchmarks/kernels/overheads.py``
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np

from benchmarks.kernels.elementwise import _kernel_of
from benchmarks.kernels.versus import best_time
from rushlight.codegen.gemm import GemmSpec, function_names, gemm_text
from rushlight.codegen.llvm import module_text
from rushlight.loopnest.pretty import print_kernel
from rushlight.runtime.host import host_summary, host_target
from rushlight.runtime.jit import compile_text, load_text
from rushlight.runtime.kernel_cache import DiskCache, KernelCache
from rushlight.runtime.threads import pool, set_num_threads
from tests.codegen.test_kernels import softmax_kernel


def show(name: str, seconds: float) -> None:
    print(f"{name:58s} {seconds * 1e6:10.2f} us")


def launches() -> None:
    target = host_target()
    kernel = _kernel_of("axpy")
    library = load_text(module_text([kernel], target), [kernel.name])
    x, out = np.ones(1 << 16, np.float32), np.empty(1 << 16, np.float32)
    pointers = (ctypes.c_void_p * 2)(x.ctypes.data, out.ctypes.data)

    def plan(count: int, elements: int, grain: int):
        blocks = -(-elements // 4096)
        words = np.array([elements, blocks], np.int64)
        row = [library["axpy"], ctypes.addressof(pointers), words.ctypes.data, blocks, grain]
        steps = np.array([row] * count, np.int64)
        address, kept = steps.ctypes.data, (words, steps)
        return lambda: (pool.run_steps(address, count), kept)[0]

    show("plan of 1 kernel over 16 elements, from Python", best_time(plan(1, 16, 4)))
    show("plan of 100 such kernels, each", best_time(plan(100, 16, 4)) / 100)
    for threads in (1, 2):
        set_num_threads(threads)
        time_ = best_time(plan(1000, 8192, 1)) / 1000
        show(f"2 blocks of 4096 handed to {threads} thread(s), each", time_)


def compiles() -> None:
    target = host_target()
    texts = {
        "exp": lambda: module_text([_kernel_of("exp")], target),
        "chain of tanh, exp, sigmoid": lambda: module_text([_kernel_of("chain")], target),
        "softmax": lambda: module_text([softmax_kernel()], target),
    }
    for mode in ("direct", "columns"):
        spec = GemmSpec("gemm", "float32", mode, 12)
        texts[f"gemm {mode}"] = lambda spec=spec: gemm_text(spec, target)
    for name, make in texts.items():
        text = make()
        show(f"text of {name}", best_time(make))
        show(f"object code of {name}", best_time(lambda text=text: compile_text(text, target)))


def cache() -> None:
    target = host_target()
    spec = GemmSpec("gemm", "float32", "columns", 12)
    with tempfile.TemporaryDirectory() as directory:
        for turn in ("cold", "warm"):
            cache = KernelCache(DiskCache(Path(directory) / "c"))
            start = time.perf_counter()
            cache.get("gemm", function_names(spec), lambda: gemm_text(spec, target), target)
            show(f"gemm columns from a {turn} disk cache", time.perf_counter() - start)
            start = time.perf_counter()
            cache.get(
                print_kernel(softmax_kernel()),
                ["softmax"],
                lambda: module_text([softmax_kernel()], target),
                target,
            )
            show(f"softmax from a {turn} disk cache", time.perf_counter() - start)


if __name__ == "__main__":
    print(host_summary())
    launches()
    compiles()
    cache()
