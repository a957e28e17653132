"""Convolutions, sorts and reference rules: new sizes take no plan, and give equal bits."""

from __future__ import annotations

import random

import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.base.config import config
from rushlight.base.stats import stats
from rushlight.engine.family import misfits
from rushlight.engine.products import product_steps
from rushlight.lowering.matmul import Product
from rushlight.tape.memo import memo
from rushlight.tape.program import Program
from rushlight.tape.tape import current_tape


@pytest.fixture(autouse=True)
def compiled_and_empty(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    forget()
    yield
    forget()


def forget() -> None:
    rl.synchronize()
    memo.clear()
    current_tape().drop()


def rows_sorted(rows: int, columns: int) -> float:
    values, places = (rl.randn(rows, columns) * 2).sort(dim=1)
    return (values + 1).sum().item() + (places * places).sum().item()


def largest_few(rows: int, columns: int) -> float:
    return rl.randn(rows, columns).topk(5, dim=1)[0].sum().item()


def taken_in_order(rows: int, columns: int) -> float:
    boxes, scores = rl.rand(columns, 4), rl.rand(columns)
    order = scores.argsort(descending=True)
    return (boxes[order] * scores[order][:, None]).sum().item()


def places_found(rows: int, columns: int) -> float:
    return (rl.searchsorted(rl.linspace(0, 1, columns), rl.rand(rows, 9)) + 1).sum().item()


def spectrum(rows: int, columns: int) -> float:
    return (rl.fft.rfft(rl.randn(rows, columns) * 2).abs() + 1).sum().item()


def inverses(rows: int, columns: int) -> float:
    x = rl.randn(rows, 3, 3) + 3 * rl.eye(3)
    return (rl.linalg.inv(x) * 2).sum().item()


def inverse_kept(rows: int, columns: int) -> float:
    x = rl.linalg.inv(rl.randn(rows, 3, 3) + 3 * rl.eye(3))
    rl.synchronize()  # what the rule gives is kept itself
    return x.sum().item()


PROGRAMS = [
    rows_sorted,
    largest_few,
    taken_in_order,
    places_found,
    spectrum,
    inverses,
    inverse_kept,
]


def _results(program, sizes, between) -> list[float]:
    found = []
    for pair in sizes:
        rl.manual_seed(100 * pair[0] + pair[1])
        found.append(program(*pair))
        between()
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_new_sizes_take_no_plan_and_give_the_bits_of_exact_plans(program):
    draw = random.Random(0)
    first = [(draw.randint(17, 40), draw.randint(140, 250)) for _ in range(5)]
    later = [(draw.randint(17, 40), draw.randint(140, 250)) for _ in range(6)]
    misfits.clear()
    found = _results(program, first, lambda: None)
    before = stats.plans_made
    found += _results(program, later, lambda: None)
    assert stats.plans_made == before, list(misfits)
    assert found == _results(program, first + later, forget)


def _losses(sizes, between) -> list[float]:
    rl.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(16, 8, 1),
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for batch, height, width in sizes:
        rl.manual_seed(batch * 10_000 + height * 100 + width)
        x, y = rl.randn(batch, 3, height, width), rl.randint(0, 5, (batch,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        between()
    return losses


def test_convolutions_of_new_sizes_give_the_losses_of_exact_plans():
    draw = random.Random(3)
    sides = range(48, 72, 4)  # longer than what sums are cut by
    sizes = [(draw.randint(2, 6), draw.choice(sides), draw.choice(sides)) for _ in range(18)]
    plans: list[int] = []
    found = _losses(sizes, lambda: plans.append(stats.plans_made))
    # A few templates serve all of them.
    assert plans[-1] == plans[9], list(misfits)
    assert found == _losses(sizes, forget)


def test_a_short_last_batch_of_images_is_served_by_what_the_others_made():
    sizes = [(8, 32, 32), (8, 32, 32), (5, 32, 32), (6, 32, 32), (7, 32, 32), (4, 32, 32)]
    plans: list[int] = []
    found = _losses(sizes, lambda: plans.append(stats.plans_made))
    assert plans[-1] == plans[3], list(misfits)
    assert found == _losses(sizes, forget)


def _segmented(sizes, between) -> list[float]:
    rl.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
    deep = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, stride=2), nn.ReLU())
    head = nn.Conv2d(8, 4, 1)
    optimizer = rl.optim.SGD([*stem.parameters(), *deep.parameters(), *head.parameters()], lr=0.1)
    losses = []
    for batch, height, width in sizes:
        rl.manual_seed(batch * 10_000 + height * 100 + width)
        x, y = rl.randn(batch, 3, height, width), rl.randint(0, 4, (batch, height, width))
        optimizer.zero_grad()
        fine = stem(x)
        coarse = deep(F.max_pool2d(fine, 2, ceil_mode=True))
        mixed = fine + F.interpolate(coarse, size=fine.shape[2:], mode="nearest")
        found = F.interpolate(head(mixed), size=(height, width), mode="bilinear")
        loss = F.cross_entropy(found, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        between()
    return losses


def test_pictures_of_all_heights_and_widths_give_the_losses_of_exact_plans():
    draw = random.Random(5)
    sizes = [(draw.randint(2, 3), draw.randint(19, 34), draw.randint(19, 34)) for _ in range(24)]
    assert _segmented(sizes, lambda: None) == _segmented(sizes, forget)


def test_backward_through_pictures_of_new_heights_and_widths_is_a_block():
    draw = random.Random(6)
    sizes = [(draw.randint(2, 4), draw.randrange(24, 97, 8), 8 * n) for n in range(3, 21)]
    plans: list[int] = []
    missed: list[int] = []

    def note() -> None:
        plans.append(stats.plans_made)
        missed.append(stats.operations_missed)

    _segmented(sizes, note)
    # A few templates serve nearly all, and only the forward pass is recorded one by one.
    assert plans[-1] - plans[9] < 3, list(misfits)
    assert missed[-1] - missed[-2] < (missed[1] - missed[0]) / 2


def test_a_product_takes_as_many_calls_whether_it_packs_or_not():
    counts = set()
    for rows in (1 << 4, 1 << 11):
        product = Product(
            "float32", 0, 1, 2, rows, 64, 64, (64, 1), (64, 1), (1,), ((0, 0, 0),), ""
        )
        program = Program({})
        counts.add(len(product_steps(product, program, {}, alike=True)))
    assert counts == {2}


def test_what_a_rule_refuses_is_named_at_new_sizes():
    for rows in (4, 5, 6):
        inverses(rows, 0)
    bad = rl.zeros(7, 3, 3)
    with pytest.raises(RuntimeError, match="singular"):
        (rl.linalg.inv(bad * 1.0 + 0 * rl.eye(3)) * 2).sum().item()
    rl.manual_seed(1)
    after = inverses(8, 0)
    forget()
    rl.manual_seed(1)
    assert inverses(8, 0) == after
