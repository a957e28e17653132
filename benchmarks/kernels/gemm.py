"""Matrix products against torch.mm: ``python benchmarks/kernels/gemm.py [threads ...]``.

Ratio above 1: faster than PyTorch.  The order of B is as in a linear layer's forward ("nt": B is
a transposed weight), its input gradient ("nn") and its weight gradient ("tn").
"""

from __future__ import annotations

import sys

sys.path.insert(0, __file__.rsplit("/benchmarks/", 1)[0])

from benchmarks.kernels.versus import compare, serve

SHAPES = [(1024, 1024, 1024, "nn"), (512, 512, 512, "nn"), (2048, 2048, 2048, "nn"),
          (64, 784, 512, "nt"), (64, 512, 784, "nn"), (512, 64, 784, "tn"), (64, 784, 512, "nn"),
          (64, 512, 256, "nt"), (64, 256, 10, "nt"), (32, 10, 16, "nt"), (768, 128, 512, "nt"),
          (1024, 384, 1536, "nt"), (8, 512, 512, "nt"), (1, 784, 512, "nt"),
          (4, 784, 512, "nt"), (1, 784, 512, "nn")]  # fmt: skip


def _matrices(case: dict):
    import numpy as np

    m, k, n, order = case["m"], case["k"], case["n"], case["order"]
    rng = np.random.default_rng(0)
    dtype = case["dtype"]
    a = rng.standard_normal((k, m) if order[0] == "t" else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if order[1] == "t" else (k, n)).astype(dtype)
    return (a.T if order[0] == "t" else a), (b.T if order[1] == "t" else b)


def make_torch(case: dict):
    import torch

    a, b = (torch.from_numpy(x) for x in _matrices(case))
    out = torch.empty(case["m"], case["n"], dtype=a.dtype)
    return lambda: torch.mm(a, b, out=out)


def make_rushlight(case: dict):
    from rushlight.runtime.threads import get_num_threads
    from tests.codegen.run_gemm import prepare

    a, b = _matrices(case)
    return prepare(a[None], b[None], threads=get_num_threads())


def main() -> None:
    if "--side" in sys.argv:
        serve(make_torch if sys.argv[-1] == "torch" else make_rushlight)
        return
    for threads in [int(x) for x in sys.argv[1:]] or [1, 2]:
        for dtype in ("float32", "float64"):
            shapes = SHAPES if dtype == "float32" else SHAPES[:1] + SHAPES[3:4]
            cases = [{"m": m, "k": k, "n": n, "order": o, "dtype": dtype} for m, k, n, o in shapes]
            for row in compare("benchmarks.kernels.gemm", cases, threads):
                flops = 2 * row["m"] * row["k"] * row["n"]
                name = f"{row['m']}x{row['k']}x{row['n']} {row['order']} {dtype}"
                print(
                    f"{threads} thread(s) {name:28s} torch {flops / row['torch_s'] / 1e9:7.1f} "
                    f"rushlight {flops / row['rushlight_s'] / 1e9:7.1f} GFLOP/s  "
                    f"ratio {row['ratio']:5.2f} (median {row['median_ratio']:5.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
