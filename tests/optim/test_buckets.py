"""Updates are blocks whatever the group looks like, and follow every change of it as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.base.config import config

torch = pytest.importorskip("torch")

STEPS = 9
needs_blocks = pytest.mark.skipif(config.eager or not config.blocks, reason="nothing is replayed")


def steps(
    library: Any, make: Callable[[Any, list], Any], change: Callable[[Any, Any, int], None]
) -> list[np.ndarray]:
    """Parameters after every step; `change(library, optimizer, step)` is called before it."""
    generator = np.random.default_rng(0)
    starts = [generator.standard_normal(shape, dtype=np.float32) for shape in ((3, 4), (4,), (2,))]
    params = [library.nn.Parameter(library.tensor(start)) for start in starts]
    optimizer = make(library, params)
    found = []
    for step in range(STEPS):
        for param in params:
            gradient = generator.standard_normal(tuple(param.shape), dtype=np.float32)
            param.grad = library.tensor(gradient)
        change(library, optimizer, step)
        optimizer.step()
        found += [param.detach().clone().numpy() for param in params]
    return found


def check(make: Callable[[Any, list], Any], change: Callable[[Any, Any, int], None]) -> None:
    for x, y in zip(steps(rushlight, make, change), steps(torch, make, change)):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def nothing(library: Any, optimizer: Any, step: int) -> None:
    pass


def the_last_has_none(library: Any, optimizer: Any, step: int) -> None:
    optimizer.param_groups[0]["params"][-1].grad = None


def each_misses_some(library: Any, optimizer: Any, step: int) -> None:
    if step % 4:
        optimizer.param_groups[0]["params"][step % 3].grad = None


def momentum_comes_and_goes(library: Any, optimizer: Any, step: int) -> None:
    optimizer.param_groups[0]["momentum"] = 0.9 if 2 < step < 6 else 0.0


def decay_comes_and_goes(library: Any, optimizer: Any, step: int) -> None:
    optimizer.param_groups[0]["weight_decay"] = 0.1 if 2 < step < 6 else 0.0


def the_rate_becomes_a_tensor(library: Any, optimizer: Any, step: int) -> None:
    rate = 0.1 / (step + 1)
    optimizer.param_groups[0]["lr"] = library.tensor(rate) if 2 < step < 6 else rate


def equal_numbers_part(library: Any, optimizer: Any, step: int) -> None:
    # 1 - beta2 and eps are one number at first.
    if step == 4:
        optimizer.param_groups[0]["eps"] = 0.25


def the_states_are_forgotten(library: Any, optimizer: Any, step: int) -> None:
    if step in (4, 5):
        optimizer.state.clear()


MAKERS = {
    "sgd": lambda library, params: library.optim.SGD(params, lr=0.1),
    "adam": lambda library, params: library.optim.Adam(params, lr=0.1, betas=(0.5, 0.5), eps=0.5),
    "adamw": lambda library, params: library.optim.AdamW(params, lr=0.1),
    "rmsprop": lambda library, params: library.optim.RMSprop(params, lr=0.01),
}
CHANGES = [
    the_last_has_none, each_misses_some, decay_comes_and_goes, the_rate_becomes_a_tensor,
    the_states_are_forgotten,
]  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_group_is_followed(name: str, change: Callable) -> None:
    check(MAKERS[name], change)


def test_momentum_comes_and_goes() -> None:
    check(MAKERS["sgd"], momentum_comes_and_goes)


def test_numbers_that_were_equal_part() -> None:
    check(MAKERS["adam"], equal_numbers_part)


def with_tensor_rate(library: Any, params: list) -> Any:
    return library.optim.Adam(params, lr=library.tensor(0.1), capturable=True)


@needs_blocks
@pytest.mark.parametrize(
    ("make", "change"),
    [
        (MAKERS["sgd"], nothing),
        (MAKERS["adam"], nothing),
        (MAKERS["adam"], the_last_has_none),
        (with_tensor_rate, nothing),
    ],
)
def test_updates_are_replayed(make: Callable, change: Callable) -> None:
    counts = []

    def counted(library: Any, optimizer: Any, step: int) -> None:
        change(library, optimizer, step)
        counts.append(rushlight.stats()["blocks_replayed"])

    steps(rushlight, make, counted)
    assert counts[-1] - counts[3] == len(counts) - 4


@needs_blocks
def test_a_new_optimizer_of_known_parameters_replays_at_once() -> None:
    steps(rushlight, MAKERS["adam"], nothing)
    before = rushlight.stats()["blocks_replayed"]
    first = steps(rushlight, MAKERS["adam"], nothing)
    assert rushlight.stats()["blocks_replayed"] - before == STEPS
    second = steps(torch, MAKERS["adam"], nothing)
    for x, y in zip(first, second):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
