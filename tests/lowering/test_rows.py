"""Rows pass through all stages of a group in cache: same bits as one operation at a time."""

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config
from rushlight.lowering.group import MOST_SCRATCH
from tests.lowering.executors import run


def normalized(rows: int, columns: int, dtype=rl.float32):
    rl.manual_seed(0)
    x = rl.randn(rows, columns).to(dtype)

    def program():
        return [F.layer_norm(F.softmax(x, -1), (columns,))]

    return program


def trained(rows: int, columns: int):
    def program():
        rl.manual_seed(0)
        x = rl.randn(rows, columns, requires_grad=True)
        scale = rl.randn(columns, requires_grad=True)
        y = F.cross_entropy(F.layer_norm(x, (columns,), scale), rl.arange(rows) % columns)
        y.backward()
        return [y, x.grad, scale.grad]

    return program


@pytest.mark.parametrize("columns", [1, 2, 33, 64, 200])
@pytest.mark.parametrize("make", [normalized, trained])
def test_stages_of_a_row_have_the_bits_of_single_operations(monkeypatch, make, columns) -> None:
    together, _ = run(make(5, columns), "compiled")
    monkeypatch.setattr(config, "eager", 1)
    alone, _ = run(make(5, columns), "compiled")
    for ours, theirs in zip(together, alone):
        np.testing.assert_array_equal(ours, theirs)


def test_sixteen_bit_rows_have_the_bits_of_single_operations(monkeypatch) -> None:
    together, _ = run(normalized(3, 70, rl.bfloat16), "compiled")
    monkeypatch.setattr(config, "eager", 1)
    alone, _ = run(normalized(3, 70, rl.bfloat16), "compiled")
    np.testing.assert_array_equal(together[0], alone[0])


def test_what_only_later_stages_read_gets_no_memory() -> None:
    _, plans = run(normalized(64, 256), "compiled")
    assert sum(plan.arena_bytes for plan in plans) < 64 * 256 * 4


def test_rows_too_long_for_scratch_go_through_memory() -> None:
    columns = MOST_SCRATCH // 4 + 64
    results, plans = run(normalized(2, columns), "compiled")
    assert sum(plan.arena_bytes for plan in plans) >= 2 * columns * 4
    expected, _ = run(normalized(2, columns), "reference")
    np.testing.assert_allclose(results[0], expected[0], rtol=1e-3, atol=1e-3)
