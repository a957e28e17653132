"""Elementwise kernels, sums and softmax against PyTorch eager, one function at a time.

``python benchmarks/kernels/elementwise.py [threads ...]``; ratio above 1: faster than PyTorch.
"""

from __future__ import annotations

import sys

sys.path.insert(0, __file__.rsplit("/benchmarks/", 1)[0])

from benchmarks.kernels.versus import compare, serve

FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "erf", "sin", "sqrt", "log1p", "expm1", "pow")
SMALL, LARGE = 1 << 14, 1 << 22
_BLOCK = 4096
# Elements below which a launch stays on one thread.
_GRAIN_BLOCKS = 4


def _input(case: dict):
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.uniform(0.1, 3.0, case["n"]).astype(np.float32)


def make_torch(case: dict):
    import torch

    x = torch.from_numpy(_input(case))
    name = case["name"]
    if name == "softmax":
        rows = x.view(-1, 2048)
        return lambda: torch.softmax(rows, 1)
    if name == "sum":
        return lambda: torch.sum(x)
    out = torch.empty_like(x)
    if name == "pow":
        return lambda: torch.pow(x, 1.7, out=out)
    if name == "axpy":
        return lambda: torch.add(x, x, alpha=0.5, out=out)
    if name == "chain":
        return lambda: torch.sigmoid(torch.exp(torch.tanh(x)) * 0.5)
    function = getattr(torch, name)
    return lambda: function(x, out=out)


def _blocked(value, name: str):
    """A kernel over n elements, parallel over blocks."""
    from rushlight.loopnest.ir import Buffer, Kernel, Loop, Param, Store, Var, call

    n, start = Param("n"), Var("block") * _BLOCK
    length = call("minimum", n - start, _const(_BLOCK))
    inner = Loop("i", length, "vector", (Store("out", start + Var("i"), value),))
    outer = Loop("block", Param("blocks"), "parallel", (inner,))
    buffers = (Buffer("x", "float32", "in"), Buffer("out", "float32", "out"))
    return Kernel(name, buffers, (n, Param("blocks")), (outer,))


def _const(number: int):
    from rushlight.loopnest.ir import Const

    return Const(number, "int64")


def _kernel_of(name: str):
    from rushlight.loopnest.ir import Const, Load, Op, Var

    x = Load("x", Var("block") * _BLOCK + Var("i"), "float32")

    def number(value: float):
        return Const(value, "float32")

    if name == "pow":
        value = Op("pow", (x, number(1.7)), "float32")
    elif name == "axpy":
        value = Op("add", (x, Op("mul", (x, number(0.5)), "float32")), "float32")
    elif name == "chain":
        inner = Op("exp", (Op("tanh", (x,), "float32"),), "float32")
        value = Op("sigmoid", (Op("mul", (inner, number(0.5)), "float32"),), "float32")
    else:
        value = Op(name, (x,), "float32")
    return _blocked(value, name)


def _sum_kernel():
    from rushlight.loopnest.ir import (
        Accumulator,
        Buffer,
        Kernel,
        Load,
        Loop,
        Param,
        Reduce,
        Store,
        Var,
        call,
    )  # fmt: skip

    start = Var("block") * _BLOCK
    x = Load("x", start + Var("i"), "float32")
    length = call("minimum", Param("n") - start, _const(_BLOCK))
    body = (
        Reduce("i", length, 64, (), (Accumulator(("s",), "sum", x),)),
        Store("out", Var("block"), Var("s", "float32")),
    )
    buffers = (Buffer("x", "float32", "in"), Buffer("out", "float32", "out"))
    outer = Loop("block", Param("blocks"), "parallel", body)
    return Kernel("sum", buffers, (Param("n"), Param("blocks")), (outer,))


def make_rushlight(case: dict):
    import ctypes

    import numpy as np

    from rushlight.codegen.llvm import module_text
    from rushlight.runtime.host import host_target
    from rushlight.runtime.jit import load_text
    from rushlight.runtime.threads import pool

    x, name = _input(case), case["name"]
    out = np.empty_like(x)
    extent, grain, params = -(-x.size // _BLOCK), _GRAIN_BLOCKS, [x.size, -(-x.size // _BLOCK)]
    if name == "softmax":
        from tests.codegen.test_kernels import softmax_kernel

        kernel, extent, grain = softmax_kernel(), x.size // 2048, 8
        params = [extent, 2048]
    else:
        kernel = _sum_kernel() if name == "sum" else _kernel_of(name)
    library = load_text(module_text([kernel], host_target()), [kernel.name])
    pointers = (ctypes.c_void_p * 2)(x.ctypes.data, out.ctypes.data)
    words = np.array(params, np.int64)
    step = [library[kernel.name], ctypes.addressof(pointers), words.ctypes.data, extent, grain]
    steps = np.array(step, np.int64)
    address, kept = steps.ctypes.data, (x, out, pointers, words, library, steps)

    def go():
        pool.run_steps(address, 1)
        return kept

    return go


def main() -> None:
    if "--side" in sys.argv:
        serve(make_torch if sys.argv[-1] == "torch" else make_rushlight)
        return
    names = [*FUNCTIONS, "axpy", "sum", "softmax", "chain"]
    for threads in [int(x) for x in sys.argv[1:]] or [1, 2]:
        cases = [{"name": name, "n": n} for n in (SMALL, LARGE) for name in names]
        for row in compare("benchmarks.kernels.elementwise", cases, threads, rounds=5):
            per = 1e9 / row["n"]
            print(
                f"{threads} thread(s) {row['name']:8s} n={row['n']:8d} "
                f"torch {row['torch_s'] * per:7.3f} rushlight {row['rushlight_s'] * per:7.3f} "
                f"ns/element  ratio {row['ratio']:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
