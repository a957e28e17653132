"""Run a program with one executor or the other, from an empty memo."""

from __future__ import annotations

import numpy as np

from rushlight.base.config import config
from rushlight.engine import pipeline
from rushlight.engine.compiled import CompiledPlan
from rushlight.loopnest.verify import verify_kernel
from rushlight.ops.creation import arithmetic_value
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape


def run(program, executor: str) -> tuple[list[np.ndarray], list[CompiledPlan]]:
    """The arrays of the tensors that `program` returns, and the compiled plans that were made.

    Every kernel is checked against the rules of the loop nest.
    """
    before = config.executor
    plans: list[CompiledPlan] = []
    make = CompiledPlan.__init__

    def remember(self, plan, nodes) -> None:
        make(self, plan, nodes)
        plans.append(self)

    step_of_nest = pipeline.step_of_nest

    def verified(nest):
        verify_kernel(nest.kernel)
        return step_of_nest(nest)

    current_tape().flush("test")
    memo.clear()
    current_tape().drop()
    config.executor = executor
    CompiledPlan.__init__ = remember
    pipeline.step_of_nest = verified
    try:
        return [np.array(arithmetic_value(t.detach())) for t in program()], plans
    finally:
        CompiledPlan.__init__ = make
        pipeline.step_of_nest = step_of_nest
        config.executor = before
        memo.clear()
        current_tape().drop()


def fallbacks(plans) -> list[str]:
    """Names of the operations that no kernel computed."""
    return [name for plan in plans for name in plan.fallbacks]


def compare(program, rtol: float = 0.0, atol: float = 0.0, native: bool = True) -> None:
    """Both executors agree; with `native`, kernels computed everything."""
    expected, _ = run(program, "reference")
    actual, plans = run(program, "compiled")
    if native:
        assert fallbacks(plans) == []
    assert len(expected) == len(actual)
    for e, a in zip(expected, actual):
        assert e.dtype == a.dtype
        assert e.shape == a.shape
        np.testing.assert_allclose(a, e, rtol=rtol, atol=atol)
