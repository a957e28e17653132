"""Writing into a part of a large tensor costs the part, wherever the old value ends there."""

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config
from rushlight.engine.native import NativeRun
from rushlight.runtime.launch import EXTENT_WORD
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape

SHAPE = (1, 2, 512, 8)


@pytest.fixture(autouse=True)
def compiled_executor(monkeypatch):
    rl.synchronize()
    memo.clear()
    current_tape().drop()
    monkeypatch.setattr(config, "executor", "compiled")
    yield
    rl.synchronize()
    memo.clear()


def _slice(cache, row, place):
    cache[:, :, place : place + 1] = row


def _select(cache, row, place):
    cache[:, :, place] = row[:, :, 0]


def _index_copy(cache, row, place):
    cache.index_copy_(2, rl.arange(place, place + 1), row)


def _index_tensor(cache, row, place):
    cache[:, :, rl.tensor([place])] = row


def _narrow(cache, row, place):
    cache.narrow(2, place, 1).copy_(row)


def _scatter(cache, row, place):
    cache.scatter_(2, rl.full((1, 2, 1, 8), place), row)


def _twice(cache, row, place):
    cache[:, :, place : place + 1] = row * 2
    cache[:, :, place : place + 1] = row


WRITES = (_slice, _select, _index_copy, _index_tensor, _narrow, _scatter, _twice)


@pytest.fixture
def moved(monkeypatch):
    """Elements that plans copy from one value to another, as `Maker.copy` writes it."""
    counted = [0]
    run = NativeRun.run

    def counting(self, addresses, nodes, plan):
        for step, row in zip(self.steps, self.native.rows):
            if step.copies is not None and row[EXTENT_WORD]:
                counted[0] += int(np.prod(SHAPE))
        run(self, addresses, nodes, plan)

    monkeypatch.setattr(NativeRun, "run", counting)
    return counted


class Attention(rl.nn.Module):
    """Keeps a cache, and reads it in the step that writes it."""

    def __init__(self, write):
        super().__init__()
        self.register_buffer("cache", rl.zeros(SHAPE))
        self.write = write

    def forward(self, row, place):
        self.write(self.cache, row, place)
        known = self.cache[:, :, : place + 1]
        return F.scaled_dot_product_attention(row, known, known)


def address(tensor) -> int:
    rl.synchronize()
    return tensor._node.value.ctypes.data


def row_of(place: int):
    return rl.tensor(np.random.default_rng(place).normal(size=(1, 2, 1, 8)).astype(np.float32))


@pytest.mark.parametrize("write", WRITES)
def test_a_row_written_into_a_cache_is_all_that_moves(write, moved) -> None:
    model = Attention(write)
    before = address(model.cache)
    expected = np.zeros(SHAPE, np.float32)
    with rl.no_grad():
        for place in range(3, 9):
            row = row_of(place)
            expected[:, :, place] = row.numpy()[:, :, 0]
            known = rl.tensor(expected[:, :, : place + 1])
            wanted = F.scaled_dot_product_attention(row, known, known)
            assert rl.equal(model(row, place), wanted)
            assert address(model.cache) == before
    assert moved == [0]
    np.testing.assert_array_equal(model.cache.detach().numpy(), expected)


@pytest.mark.parametrize("write", WRITES)
def test_an_old_value_that_is_still_read_is_copied(write, moved) -> None:
    cache = rl.zeros(SHAPE)
    for place in range(3, 6):
        row = row_of(place)
        old = cache.clone()
        before = old.tolist()
        total = cache.sum()
        write(cache, row, place)
        after = cache * 1.0
        rl.synchronize()
        assert old.tolist() == before
        assert total.item() == pytest.approx(np.sum(before), abs=1e-3)
        assert rl.equal(after[:, :, place : place + 1], row)
    kept = cache._node
    write(cache, row_of(9), 9)
    assert cache[0, 0, 9].tolist() == row_of(9)[0, 0, 0].tolist()
    assert kept.value[0, 0, 9].tolist() == [0.0] * 8
    assert moved[0] > 0


def test_a_wrong_index_leaves_the_cache_as_it_was() -> None:
    cache = rl.ones(SHAPE)
    for place in (3, 4, 600, 5):
        _index_copy(cache, row_of(place), place)
        other = rl.zeros(SHAPE).index_copy(2, rl.tensor([place]), row_of(place))
        if place < SHAPE[2]:
            assert rl.equal(other[:, :, place], cache[:, :, place])
            continue
        with pytest.raises(IndexError):
            other.sum().item()
        assert cache[:, :, 5:].min().item() == cache[:, :, 5:].max().item() == 1.0


def test_values_between_two_writes_keep_to_their_order() -> None:
    x = rl.arange(600.0).reshape(3, 200) * 1.0
    y = x * 2.0
    total = y.sum(1)
    y[1] = x[0]
    half = y * 0.5
    y[2, 3:9] = half[1, :6]
    expected = (np.arange(600, dtype=np.float32) * 2).reshape(3, 200)
    sums = expected.sum(1)
    expected[1] = np.arange(200)
    expected[2, 3:9] = expected[1, :6] * 0.5
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(total.numpy(), sums)


def test_an_interrupt_finds_the_old_row_or_the_new_one(monkeypatch) -> None:
    cache = rl.zeros(SHAPE)
    for place in (1, 2):
        _slice(cache, row_of(place), place)
        rl.synchronize()
    run = NativeRun.run

    def interrupted(self, addresses, nodes, plan):
        monkeypatch.setattr(NativeRun, "run", run)
        raise KeyboardInterrupt

    _slice(cache, row_of(3), 3)
    monkeypatch.setattr(NativeRun, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rl.synchronize()
    assert rl.equal(cache[:, :, 3:4], row_of(3))
    assert rl.equal(cache[:, :, 2:3], row_of(2))
    assert cache[:, :, 4:].abs().sum().item() == 0.0
