"""Parameters are updated in their own memory, and no one ever sees it happen."""

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config
from rushlight.engine import takeover
from rushlight.engine.arena import ArenaPlanner, BufferPool
from rushlight.engine.native import NativeRun
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape

SIDE = 300
assert SIDE * SIDE * 4 >= BufferPool.SMALLEST


@pytest.fixture(autouse=True)
def compiled_executor(monkeypatch):
    rl.synchronize()
    memo.clear()
    current_tape().drop()
    monkeypatch.setattr(config, "executor", "compiled")
    yield
    rl.synchronize()
    memo.clear()


def model_and_optimizer():
    rl.manual_seed(0)
    model = rl.nn.Sequential(rl.nn.Linear(SIDE, SIDE), rl.nn.Tanh(), rl.nn.Linear(SIDE, 5))
    return model, rl.optim.Adam(model.parameters(), lr=0.01)


def train(model, optimizer, steps: int = 3) -> list[float]:
    x = rl.linspace(-1, 1, 8 * SIDE).reshape(8, SIDE)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), rl.arange(8) % 5)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def address(tensor) -> int:
    rl.synchronize()
    return tensor._node.value.ctypes.data


def large_tensors(model, optimizer) -> list:
    weight = model[0].weight
    state = optimizer.state[weight]
    return [weight, state["exp_avg"], state["exp_avg_sq"]]


def test_large_parameters_and_states_stay_where_they_are() -> None:
    model, optimizer = model_and_optimizer()
    train(model, optimizer, 1)
    before = [address(t) for t in large_tensors(model, optimizer)]
    train(model, optimizer, 3)
    assert [address(t) for t in large_tensors(model, optimizer)] == before


def test_a_plain_update_stays_where_it_was() -> None:
    w = rl.ones(SIDE, SIDE) * 1.0
    before = address(w)
    for _ in range(3):
        w.mul_(0.5)
        assert address(w) == before
    np.testing.assert_array_equal(w.numpy(), 0.125)


def test_the_bits_are_those_of_separate_memory(monkeypatch) -> None:
    model, optimizer = model_and_optimizer()
    losses = train(model, optimizer)
    memo.clear()
    monkeypatch.setattr(takeover, "overwritable", lambda *_: {})
    plain, plain_optimizer = model_and_optimizer()
    assert train(plain, plain_optimizer) == losses
    for ours, theirs in zip(model.parameters(), plain.parameters()):
        np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())


def test_an_old_value_that_somebody_keeps_is_not_written_over() -> None:
    w = rl.ones(SIDE, SIDE, requires_grad=True)
    address(w)
    array = w._node.value
    kept_node = w._node
    with rl.no_grad():
        w.sub_(w * 0.5)
    rl.synchronize()
    assert kept_node.value is array
    np.testing.assert_array_equal(array, 1.0)
    np.testing.assert_array_equal(w.detach().numpy(), 0.5)


def test_copies_and_views_of_the_old_value_stay_what_they_were() -> None:
    w = rl.ones(SIDE, SIDE)
    w = w * 1.0
    address(w)
    for step in range(3):
        copied = w.clone()
        doubled = w + w
        row = w[0].clone()
        w.mul_(0.5)
        rl.synchronize()
        expected = 0.5**step
        assert copied.min().item() == copied.max().item() == expected
        assert doubled.min().item() == doubled.max().item() == 2 * expected
        assert row.sum().item() == SIDE * expected
        assert w.min().item() == w.max().item() == expected / 2


def test_memory_shared_with_numpy_follows_and_is_not_lost() -> None:
    array = np.ones((SIDE, SIDE), np.float32)
    w = rl.from_numpy(array)
    for step in range(3):
        w.mul_(2.0)
        rl.synchronize()
        assert array.min() == array.max() == 2.0 ** (step + 1)


@pytest.mark.parametrize("share", [rl.Tensor.numpy, np.from_dlpack, lambda w: w[1:3].numpy()])
def test_memory_handed_out_follows_the_updates(share) -> None:
    w = rl.ones(SIDE, SIDE) * 1.0
    address(w)
    array = share(w)
    for step in range(3):
        w.mul_(2.0)
        rl.synchronize()
        assert array.min() == array.max() == 2.0 ** (step + 1)


def test_memory_that_outlives_its_tensor_is_not_written_over() -> None:
    w = rl.ones(SIDE, SIDE) * 1.0
    address(w)
    array = w.numpy()
    doubled = w * 1.0
    del w
    doubled.add_(doubled)
    rl.synchronize()
    assert array.min() == array.max() == 1.0


def test_gradients_accumulate_where_they_lie() -> None:
    w = (rl.ones(SIDE, SIDE) * 1.0).requires_grad_()
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    gradient = w.grad
    rl.synchronize()
    for step in range(2, 5):
        loss.backward(retain_graph=True)
        rl.synchronize()
        assert w.grad is gradient
        assert gradient.min().item() == gradient.max().item() == 2.0 * step


def test_an_update_that_reads_other_positions_is_not_done_in_place() -> None:
    w = rl.arange(SIDE * SIDE, dtype=rl.float32).reshape(SIDE, SIDE) * 1.0
    expected = w.numpy().copy()
    for _ in range(3):
        w.add_(w.T.clone())
        expected = expected + expected.T
        rl.synchronize()
    np.testing.assert_array_equal(w.numpy(), expected)


def test_a_result_of_another_dtype_or_shape_has_an_array_of_its_own() -> None:
    w = rl.ones(SIDE, SIDE) * 1.0
    address(w)
    bits = (w * 3).to(rl.int32)
    del w
    rl.synchronize()
    assert bits._node.value.dtype == np.int32
    np.testing.assert_array_equal(bits._node.value, 3)
    flat = (bits * 2).reshape(SIDE * SIDE)
    del bits
    rl.synchronize()
    assert flat._node.value.shape == (SIDE * SIDE,)
    np.testing.assert_array_equal(flat._node.value, 6)


def test_a_sum_read_beside_an_update_is_of_the_old_values() -> None:
    w = rl.ones(SIDE, SIDE) * 1.0
    address(w)
    for step in range(3):
        total, most = w.sum(), (w * 3).max()
        w.mul_(0.5)
        assert total.item() == SIDE * SIDE * 0.5**step
        assert most.item() == 3 * 0.5**step


def test_a_failure_in_the_same_flush_leaves_the_old_values() -> None:
    w = rl.ones(SIDE, SIDE) * 1.0
    address(w)
    w.mul_(2.0)
    wrong = w[:2].index_select(0, rl.tensor([5]))
    with pytest.raises(IndexError):
        wrong.sum().item()
    assert w.min().item() == w.max().item() == 2.0


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_finds_old_values_or_new_ones(monkeypatch, after) -> None:
    model, optimizer = model_and_optimizer()
    train(model, optimizer, 2)
    weight = model[0].weight
    address(weight)
    run = NativeRun.run
    armed = [True]

    def interrupted(self, addresses, nodes, plan) -> None:
        last = self is plan.parts[-1] and plan.takeovers is not None and armed[0]
        if last and not after:
            raise KeyboardInterrupt
        run(self, addresses, nodes, plan)
        if last:
            raise KeyboardInterrupt

    monkeypatch.setattr(NativeRun, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(model, optimizer, 1)
    armed[0] = False
    interrupted_weight = weight.detach().numpy().copy()

    memo.clear()
    plain, plain_optimizer = model_and_optimizer()
    train(plain, plain_optimizer, 3)
    # What was interrupted before it began is done at the next read.
    np.testing.assert_array_equal(interrupted_weight, plain[0].weight.detach().numpy())
    assert train(model, optimizer, 2) == train(plain, plain_optimizer, 2)


def test_only_arrays_that_nobody_else_sees_are_alone() -> None:
    pool = BufferPool()
    dtype = np.dtype(np.float32)

    class Holder:
        value = None

    def alone(holder) -> bool:
        return pool.are_alone([holder.value])[0]

    holder = Holder()
    holder.value = np.zeros(10)
    assert alone(holder)
    seen = holder.value[2:]
    assert not alone(holder)
    del seen
    assert alone(holder)
    holder.value = pool.array((SIDE, SIDE), dtype)
    assert alone(holder)
    seen = holder.value[2:]
    assert not alone(holder)
    del seen
    holder.value = np.zeros(20)[5:]
    assert not alone(holder)
    holder.value = np.zeros(5)
    holder.value.flags.writeable = False
    assert not alone(holder)


def test_a_value_takes_the_place_of_one_that_ends() -> None:
    planner = ArenaPlanner()
    first = planner.place(1000, 0, 3)
    other = planner.place(1000, 1, 9)
    assert planner.take_over(first, 3, 7) == first
    third = planner.place(1000, 5, 6)
    assert len({first, other, third}) == 3
    assert planner.place(1000, 8, 9) == first
