"""Programs of thousands of operations: kernels stay small, are met again, and are found quickly."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.schedule.candidates import MOST_OPERATIONS
from rushlight.schedule.fusion import ROWS, Scheduler
from rushlight.schedule.roots import LARGEST_EXPRESSION, operations_in_place
from tests.lowering.executors import compare, run


def chain():
    x = rl.linspace(-1, 1, 37).requires_grad_()
    y = x
    for _ in range(300):
        y = (y * 1.01).sin()
    y.sum().backward()
    return [y, x.grad]


def rows_of_a_sum():
    x = rl.linspace(-1, 1, 37).requires_grad_()
    data = rl.linspace(0, 3, 60 * 37).reshape(60, 37)
    loss = sum((x * data[i]).tanh().sum() for i in range(60))
    loss.backward()
    return [loss, x.grad]


def many_leaves():
    """One sum of 512 numbers, written as a balanced tree."""
    terms = [rl.full((5,), float(i)) + rl.arange(5.0) for i in range(512)]
    while len(terms) > 1:
        terms = [rl.add(*terms[i : i + 2]) for i in range(0, len(terms), 2)]
    return terms


def sizes_of_groups(plan) -> list[int]:
    schedule = plan.schedule
    sizes = operations_in_place(schedule.program, schedule.buffers)
    return [sum(sizes[s] for s in g.members) for g in schedule.groups if g.kind == ROWS]


@pytest.mark.parametrize("program", [chain, rows_of_a_sum, many_leaves])
def test_no_kernel_grows_with_the_program(program) -> None:
    compare(program, rtol=2e-5, atol=1e-6)
    sizes = [size for plan in run(program, "compiled")[1] for size in sizes_of_groups(plan)]
    assert sum(sizes) > 2 * MOST_OPERATIONS
    # The last root that joins may be as large as a root can be: two full operands.
    assert max(sizes) < MOST_OPERATIONS + 2 * LARGEST_EXPRESSION


def test_a_refusal_says_that_the_kernel_is_full() -> None:
    reasons = {
        reason
        for plan in run(chain, "compiled")[1]
        for group in plan.schedule.groups
        for _, reason in group.refused
    }
    assert "would make a kernel that compiles slowly" in reasons


def test_unrelated_groups_are_not_asked(monkeypatch) -> None:
    """Which would take quadratic time in a model of many equal layers."""
    asked = []
    join = Scheduler._join

    def counted(self, value, *rest):
        asked.append(value)
        return join(self, value, *rest)

    def program():
        layers = [nn.Linear(8, 8) for _ in range(30)]
        model = nn.Sequential(*[m for layer in layers for m in (layer, nn.LayerNorm(8))])
        optimizer = rl.optim.AdamW(model.parameters())
        model(rl.ones(4, 8)).square().mean().backward()
        optimizer.step()
        return list(model.parameters())

    monkeypatch.setattr(Scheduler, "_join", counted)
    _, plans = run(program, "compiled")
    roots = sum(len(group.members) for plan in plans for group in plan.schedule.groups)
    assert roots > 300
    assert len(asked) < 2 * roots
