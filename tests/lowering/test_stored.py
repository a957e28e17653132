"""What is stored and what is computed again: fewer buffers, the same bits."""

import numpy as np

import rushlight as rl
from rushlight.base.config import config
from tests.lowering.executors import run

ROWS, COLUMNS = 96, 160
WHOLE = ROWS * COLUMNS * 4


def arena_bytes(program) -> int:
    _, plans = run(program, "compiled")
    return sum(plan.arena_bytes for plan in plans)


def assert_cuts_change_no_bit(monkeypatch, program) -> None:
    together, _ = run(program, "compiled")
    with monkeypatch.context() as patch:
        patch.setattr(config, "eager", 1)
        alone, _ = run(program, "compiled")
    for ours, theirs in zip(together, alone):
        np.testing.assert_array_equal(ours, theirs)


def matrix(seed: int) -> rl.Tensor:
    rl.manual_seed(seed)
    return rl.randn(ROWS, COLUMNS)


def test_light_operations_on_one_buffer_are_repeated_not_stored(monkeypatch) -> None:
    x, bias = matrix(0), matrix(1)[0]

    def program():
        shifted = (x + bias) * 0.5
        # Different domains: two kernels read the shared value.
        return [shifted.exp().sum(0), shifted.T.sin().sum(0), (shifted @ shifted.T).sum()]

    assert_cuts_change_no_bit(monkeypatch, program)

    def without_product():
        return program()[:2]

    assert arena_bytes(without_product) < WHOLE


def test_heavy_operations_are_stored() -> None:
    x = matrix(0)

    def program():
        shared = x.exp()
        return [shared.sum(0), shared.T.sum(0)]

    assert arena_bytes(program) >= WHOLE


def test_values_of_two_large_buffers_are_stored() -> None:
    x, y = matrix(0), matrix(1)

    def program():
        shared = x + y
        return [shared.sum(0), shared.T.sum(0)]

    assert arena_bytes(program) >= WHOLE


def test_the_mean_of_each_row_is_stored_and_not_the_rows_less_it(monkeypatch) -> None:
    x = matrix(0)

    def program():
        centered = x - x.mean(1, keepdim=True)
        return [(centered * centered).sum(1), centered.abs().sum(0), centered.T.sum(0)]

    assert arena_bytes(program) < WHOLE
    assert_cuts_change_no_bit(monkeypatch, program)


def test_a_reshaped_buffer_is_not_copied_for_another_kernel(monkeypatch) -> None:
    x = matrix(0)
    index = rl.arange(ROWS * COLUMNS // 2) * 2

    def program():
        flat = x.exp().reshape(ROWS * COLUMNS)
        return [flat.index_select(0, index), flat.index_select(0, index + 1)]

    _, plans = run(program, "compiled")
    stored = sum(plan.arena_bytes for plan in plans)
    indices = index.numel() * 8
    assert stored < 2 * WHOLE + 2 * indices
    assert_cuts_change_no_bit(monkeypatch, program)


def test_a_reshaped_buffer_reaches_a_reference_rule() -> None:
    x = rl.rand(4, 3, 3)

    def program():
        shaped = (x.exp() + x).reshape(2, 2, 3, 3)
        return [rl.linalg.det(shaped), shaped.sum(-1)]

    expected, _ = run(program, "reference")
    actual, _ = run(program, "compiled")
    for ours, theirs in zip(actual, expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
