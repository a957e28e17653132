"""An element of what is computed already is read where it lies, without a flush."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.base.stats import stats


def reads_without_flush(read):
    before = stats.flushes
    found = read()
    assert stats.flushes == before
    return found


def test_numbers_are_read_where_they_lie():
    x = rl.arange(12.0).reshape(3, 4)
    x.sum().item()
    x = x.clone()
    x.sum().item()
    pending = x * 2
    assert reads_without_flush(lambda: x[1, 2].item()) == 6.0
    assert reads_without_flush(lambda: float(x[2][3])) == 11.0
    assert reads_without_flush(lambda: [float(v) for v in x[0]]) == [0.0, 1.0, 2.0, 3.0]
    assert reads_without_flush(lambda: int(x.t()[3, 1])) == 7
    assert reads_without_flush(lambda: bool(x[0, 0])) is False
    assert pending[1, 2].item() == 12.0


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(rl.bfloat16, 1.5), (rl.float16, 1.5), (rl.int64, 3), (rl.bool, True), (rl.complex64, 1 + 2j)],
)
def test_every_kind_of_number(dtype, value):
    x = rl.zeros(5, dtype=dtype)
    x[3] = value
    x.tolist()
    found = x[3].item()
    assert found == value
    assert type(found) is type(value)


def test_an_element_shows_what_is_written_afterwards():
    x = rl.zeros(4)
    x.tolist()
    element = x[2]
    x.add_(1)
    assert element.item() == 1.0
    x[2] = 5.0
    assert element.item() == 5.0
    element.mul_(2)
    assert x.tolist() == [1.0, 1.0, 10.0, 1.0]
    assert (element + 1).item() == 11.0
    assert element.shape == () and element._is_view() and element._base is x


def test_a_gradient_that_comes_later_reaches_it():
    x = rl.zeros(3)
    x.tolist()
    element = x[1]
    p = rl.ones(3, requires_grad=True)
    x.add_(p * 3)
    (element * 2).backward()
    assert p.grad.tolist() == [0.0, 6.0, 0.0]


def test_elements_of_parameters_have_gradients():
    p = rl.ones(3, requires_grad=True)
    (p[1] * 4).backward()
    assert p.grad.tolist() == [0.0, 4.0, 0.0]
    with rl.no_grad():
        assert p[2].item() == 1.0


def test_transforms_and_replayed_calls_see_the_element():
    x = rl.arange(6.0).reshape(2, 3)
    x.tolist()
    assert rl.vmap(lambda row: row[1] * 2)(x).tolist() == [2.0, 8.0]

    @rl.compile
    def step(values):
        return values * values[0].item()

    for start in range(8):
        values = rl.arange(start, start + 3.0)
        values.tolist()
        assert step(values).tolist() == [v * start for v in values.tolist()]


def test_memory_that_the_outside_holds_is_read_each_time():
    x = rl.zeros(3)
    array = x.numpy()
    assert x[1].item() == 0.0
    array[1] = 7.0
    assert x[1].item() == 7.0


def test_an_element_can_be_a_leaf_of_its_own():
    x = rl.arange(3.0)
    x.tolist()
    element = x[2].detach().requires_grad_()
    (element * element).backward()
    assert element.grad.item() == 4.0
    assert rl.tensor(x[1]).item() == 1.0
    assert x[1].numpy().item() == 1.0
    assert repr(x[1]) == "tensor(1.)"
