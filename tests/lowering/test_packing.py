"""Packed computations in the compiled executor."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn, optim
from rushlight.engine.compiled import NativeRun
from rushlight.primitives import elementwise as p
from rushlight.primitives.movement import pack, unpack
from tests.lowering.executors import compare, run

SHAPES = ((3, 4), (4,), (), (1,), (2, 1, 5), (9000,))


def tensors(seed: int, dtype: str = "float32") -> list:
    generator = np.random.default_rng(seed)
    return [rl.tensor(generator.uniform(0, 9, s)).to(getattr(rl, dtype)) for s in SHAPES]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", "int64", "uint8"])
def test_elementwise_between_pack_and_unpack_needs_no_packing(dtype) -> None:
    def program():
        flat = p.add(
            pack(tensors(1, dtype)), p.mul(pack(tensors(2, dtype)), pack(tensors(1, dtype)))
        )
        return list(unpack(flat, SHAPES))

    compare(program)


def test_a_flat_value_that_is_kept_is_unpacked_from_its_buffer() -> None:
    def program():
        flat = p.exp(pack(tensors(3)))
        return [flat, *unpack(flat, SHAPES)]

    compare(program, rtol=2e-7)


def test_segments_may_differ_from_what_was_packed() -> None:
    def program():
        flat = p.neg(pack(tensors(4)))
        return list(unpack(flat, ((13,), (9000, 1), (14,))))

    compare(program)


def test_one_value_unpacked_twice() -> None:
    def program():
        flat = p.neg(pack(tensors(5)))
        flatter = tuple((int(np.prod(s)),) for s in SHAPES)
        return [*unpack(flat, SHAPES), *unpack(flat, SHAPES), *unpack(flat, flatter)]

    compare(program)


def test_empty_segments_are_computed() -> None:
    def program():
        parts = [rl.zeros(0, 3), rl.ones(2, 2)]
        return list(unpack(p.neg(pack(parts)), ((0, 3), (2, 2))))

    compare(program, native=False)


def test_reduced_packs_are_computed() -> None:
    def program():
        flat = pack(tensors(6))
        norm = (flat * flat).sum().sqrt()
        return [norm, *unpack(flat / (norm + 1e-6), SHAPES)]

    compare(program, rtol=1e-6)


def adam_steps(shapes, steps: int = 3):
    def program():
        parameters = [nn.Parameter(rl.ones(*shape) * 0.5) for shape in shapes]
        optimizer = optim.Adam(parameters, lr=0.1, weight_decay=0.01)
        kept = []
        for step in range(steps):
            for parameter in parameters:
                numbers = np.arange(parameter.numel(), dtype="float32") * 0.3 - step
                parameter.grad = rl.tensor(numbers.reshape(parameter.shape))
            optimizer.step()
            kept = [state[k] for state in optimizer.state.values() for k in sorted(state)]
        return [*parameters, *kept]

    return program


def test_adam_steps_are_native() -> None:
    compare(adam_steps(((3, 4), (4,), (5, 3, 2), (1,))), rtol=1e-6, atol=1e-7)


def test_parameters_share_one_kernel() -> None:
    sizes = tuple((n,) for n in (5, 5, 2, 70, 900))
    assert launched(adam_steps(((3, 4), *sizes), 1)) == launched(adam_steps(((3, 4),), 1))


def launched(program) -> int:
    """Number of different compiled modules a program runs."""
    _, plans = run(program, "compiled")
    runs = [part for plan in plans for part in plan.parts if isinstance(part, NativeRun)]
    return len({step.library for run in runs for step in run.steps})
