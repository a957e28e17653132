"""Every primitive's samples through the compiled executor, against the reference executor."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from tests.lowering.executors import compare, run
from tests.test_primitives import ROWS, call, cases, ours, tolerance_of

# How much a function may differ from NumPy's: two units in the last place, and for sums their
# order.
UNITS = {"float32": 1.5e-6, "float64": 1e-14, "float16": 2e-3, "bfloat16": 1.6e-2}

# Computed by the reference rule alone; complex numbers and empty tensors always are.  Attention as
# one operation is recorded for devices that have a kernel of it; the CPU's is composed.
REFERENCE_ALONE = {
    "cast", "cholesky", "cholesky_solve", "dft", "eig", "eigh",
    "igamma",
    "igammac", "imag", "lu", "make_complex", "polygamma", "qr", "real",
    "solve", "svd", "triangular_solve",
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_both_executors_agree(name: str) -> None:
    row = ROWS[name][1]
    for dtype in row.dtypes:
        programs = []
        for shapes, params, _ in cases(row, [dtype]):
            arrays = row.arrays(shapes, dtype, params)
            programs.append((arrays, params))

        def program(programs=programs, dtype=dtype, row=row):
            results = []
            for arrays, params in programs:
                results += call(row, [ours(a, dtype) for a in arrays], params)
            return results

        tolerance = max(UNITS.get(dtype, 0.0), tolerance_of(row, dtype))
        compare(program, rtol=tolerance, atol=tolerance, native=False)


def test_what_no_kernel_computes() -> None:
    """The operations that call the reference rule on plain operands, so that the list is known."""
    found = set()
    for name, (_, row) in ROWS.items():
        plain = ("float32", "float64", "int64", "bool", "uint8", "bfloat16")
        dtype = next((d for d in plain if d in row.dtypes), None)
        if dtype is None:
            found.add(name)
            continue
        for shapes, params, _ in cases(row, [dtype]):
            if any(0 in shape for shape in shapes):
                continue
            arrays = row.arrays(shapes, dtype, params)

            def program(arrays=arrays, params=params, dtype=dtype, row=row):
                return call(row, [ours(a, dtype) for a in arrays], params)

            if any(result.numel() == 0 for result in program()):
                continue
            for plan in run(program, "compiled")[1]:
                found.update(plan.fallbacks)
    assert sorted(found) == sorted(REFERENCE_ALONE)
