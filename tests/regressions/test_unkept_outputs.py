"""An output of a multi-output operation that only others read is scheduled like any value."""

from __future__ import annotations

import rushlight as rl
from tests.lowering.executors import compare


def test_outputs_that_are_not_kept() -> None:
    def program():
        values, vectors = rl.linalg.eigh(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
        return [values.exp() + vectors.abs()]

    compare(program, rtol=1e-6, native=False)
