"""The memo: what counts as the same recording, and what a hit costs."""

from __future__ import annotations

import gc
import weakref

import pytest

import rushlight as rl
from rushlight.base.config import config
from rushlight.base.dtypes import int64
from rushlight.base.stats import stats
from rushlight.primitives import elementwise as p
from rushlight.primitives.movement import strided_read
from rushlight.tape.memo import STEP_BYTES, Step, memo
from rushlight.tape.tape import current_tape


@pytest.fixture(autouse=True)
def fresh_memo():
    rl.synchronize()
    memo.clear()
    current_tape().drop()
    stats.reset()
    yield
    rl.synchronize()
    memo.clear()
    current_tape().drop()


def test_the_second_round_of_the_same_program_misses_nothing():
    for _ in range(3):
        x = rl.tensor([1.0, 2.0, 3.0])
        y = (x * x + x).sum()
        y.item()
    assert stats.operations_missed == 3
    assert stats.plans_made == 1
    assert stats.plans_replayed == 2


def test_python_numbers_are_not_part_of_the_key():
    x = rl.tensor([1.0, 2.0])
    results = [(x * factor).tolist() for factor in (2.0, 3.0, -5.5)]
    assert results == [[2.0, 4.0], [3.0, 6.0], [-5.5, -11.0]]
    assert stats.operations_missed == 1


def test_the_offset_of_a_slice_is_not_part_of_the_key():
    x = rl.tensor([float(i) for i in range(8)])
    values = []
    for start in range(4):
        window = strided_read(x, x._scalar(start, int64), (3,), (1,))
        values.append(window.tolist())
    assert values == [[float(s + i) for i in range(3)] for s in range(4)]
    assert stats.operations_missed == 1


def test_another_shape_is_another_branch_and_the_first_is_kept():
    def program(size):
        return (rl.ones(size) + rl.ones(size)).sum().item()

    assert [program(n) for n in (3, 5, 3, 5)] == [6.0, 10.0, 6.0, 10.0]
    missed = stats.operations_missed
    assert [program(n) for n in (3, 5)] == [6.0, 10.0]
    assert stats.operations_missed == missed


def test_a_static_parameter_is_part_of_the_key():
    x = rl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.sum(0).tolist() == [4.0, 6.0]
    assert x.sum(1).tolist() == [3.0, 7.0]


def test_a_live_intermediate_makes_another_plan_with_the_right_value():
    def program(keep):
        x = rl.tensor([1.0, 2.0])
        doubled = x + x
        total = doubled.sum()
        if not keep:
            del doubled
            return total.item(), None
        return total.item(), doubled.tolist()

    assert program(False) == (6.0, None)
    assert program(True) == (6.0, [2.0, 4.0])
    assert program(False) == (6.0, None)
    assert stats.operations_missed == 2


def test_the_memo_is_bounded(monkeypatch):
    monkeypatch.setattr(config, "memo_bytes", 50 * STEP_BYTES)
    for axes in range(1, 60):
        x = rl.ones((2,) + (1,) * axes)
        assert (x * 2.0).sum().item() == 4.0
    assert memo.steps <= 60
    assert stats.memo_evictions > 0


def test_sizes_that_never_come_again_are_not_kept():
    for size in range(2, 120):
        assert (rl.ones(size) * 2.0).sum().item() == 2.0 * size
    assert memo.steps < 30


def test_sizes_that_come_again_are_found_in_the_memo():
    def program(size):
        return (rl.ones(size) * 2.0).sum().item()

    for size in (2, 3, 3):
        program(size)
    missed = stats.operations_missed
    assert program(3) == 6.0
    assert stats.operations_missed == missed


def test_sizes_that_came_again_are_forgotten_when_others_do(monkeypatch):
    monkeypatch.setattr(config, "memo_bytes", 60 * STEP_BYTES)
    for size in range(2, 200):
        for _ in range(3):
            assert (rl.ones(size) * 2.0).sum().item() == 2.0 * size
    assert memo.steps < 120
    assert stats.memo_evictions > 0


def test_dead_results_are_not_executed():
    x = rl.tensor([1.0])
    for _ in range(5):
        x + x
    y = x * x
    y.item()
    assert stats.operations_executed == 1
    assert stats.operations_dropped == 5


def test_reading_one_value_computes_everything_alive():
    x = rl.tensor([2.0])
    a = x * x
    b = p.exp(x)
    a.item()
    flushes = stats.flushes
    b.item()
    assert stats.flushes == flushes


def test_node_cap_flushes_by_itself(monkeypatch):
    monkeypatch.setattr(config, "node_cap", 64)
    x = rl.tensor([0.0])
    for _ in range(200):
        x = x + 1.0
    assert stats.flush_reasons["node cap of 64"] >= 3
    assert x.item() == 200.0


def test_leaves_that_only_the_tape_keeps_alive_are_bounded(monkeypatch):
    monkeypatch.setattr(config, "byte_budget", 4000)
    x = rl.tensor([0.0] * 100)
    for _ in range(50):
        x = x + rl.tensor([1.0] * 100)
    flushes = stats.flush_reasons["byte budget of 4000"]
    assert 4 <= flushes <= 8
    assert x.sum().item() == 5000.0


def test_leaves_that_others_keep_and_results_cause_no_flush(monkeypatch):
    monkeypatch.setattr(config, "byte_budget", 4000)
    kept = [rl.tensor([1.0] * 100) for _ in range(50)]
    x = rl.tensor([0.0] * 100)
    for other in kept:
        x = x + other
    assert "byte budget of 4000" not in stats.flush_reasons
    assert x.sum().item() == 5000.0


def test_a_hand_written_loop_is_cut_where_it_begins_again():
    w = rl.tensor([1.0], requires_grad=True)
    for _ in range(20):
        loss = (w * w).sum()
        loss.backward()
        with rl.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
    assert stats.flush_reasons.get("loop", 0) >= 18
    missed = stats.operations_missed
    assert missed < 20
    assert w.item() == pytest.approx(0.8**20)


def test_debug_prints_a_line_for_each_flush_and_miss(monkeypatch, capsys):
    monkeypatch.setattr(config, "debug", 1)
    (rl.tensor([1.0]) + 1.0).item()
    text = capsys.readouterr().err
    assert "rushlight: miss add -> torch.float32 [1]" in text
    assert "test_memo.py" in text
    assert "rushlight: flush (read): 3 nodes, 1 run" in text


def test_references_to_a_leaf_do_not_make_new_plans():
    x = rl.tensor([1.0, 2.0])
    kept = []
    for _ in range(10):
        kept.append(x.detach())
        (x * 2.0).sum().item()
    assert stats.plans_made == 1


def test_memory_is_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        freed = []
        for _ in range(3):
            x = rl.ones(4, requires_grad=True)
            y = x * 2.0
            y.view(2, 2)[0].add_(1.0)
            (y * y).sum().backward()
            weakref.finalize(y._storage, freed.append, 1)
            weakref.finalize(y._storage.value, freed.append, 2)
            rl.synchronize()
            del x, y
        assert sorted(freed) == [1, 1, 1, 2, 2, 2]
    finally:
        gc.enable()


def _sum_of(size: int) -> float:
    return (rl.ones(size) * 2.0).sum().item()


def test_what_is_used_is_kept_while_other_sizes_come_and_go(monkeypatch):
    monkeypatch.setattr(config, "memo_bytes", 60 * STEP_BYTES)
    _sum_of(2)
    for size in range(3, 100):
        for _ in range(3):
            _sum_of(size)
        missed = stats.operations_missed
        assert _sum_of(2) == 4.0
        assert stats.operations_missed == missed, size
    assert stats.memo_evictions > 0


def test_endless_new_sizes_take_bounded_bytes(monkeypatch):
    monkeypatch.setattr(config, "memo_bytes", 200 * STEP_BYTES)
    weight = rl.ones(4, requires_grad=True)
    most = 0
    for size in range(2, 150):
        for _ in range(3):
            (rl.ones(size, 4) * weight).exp().sum().backward()
            assert weight.grad.sum().item() > 0
            weight.grad = None
        most = max(most, memo.bytes)
    # What one program adds comes on top.
    assert most < 300 * STEP_BYTES
    assert sum(branch.bytes for branch in memo.branches) == memo.bytes
    assert sum(branch.steps for branch in memo.branches) == memo.steps


def test_a_growing_loop_is_cut_where_its_rounds_begin():
    weight = rl.randn(8, 8)

    def rounds() -> tuple[int, int]:
        x = rl.zeros(3, 8)  # stands before the loop
        kept, before = 0, stats.bytes_materialised
        with rl.no_grad():
            for _ in range(30):
                y = x
                for _ in range(40):
                    y = (y @ weight).tanh()
                x = rl.cat([x, y[-1:]])
                del y
                kept += 4 * 8 * x.shape[0]
            x.sum().item()
        return stats.bytes_materialised - before, kept

    for _ in range(3):
        materialised, kept = rounds()
        # Nothing but what one round gives to the next; a cut inside of a round keeps y as well.
        assert materialised <= kept + 64


def _steps_seen() -> int:
    gc.collect()
    return sum(type(thing) is Step for thing in gc.get_objects())


def _forget_all() -> None:
    rl.synchronize()
    memo.clear()
    current_tape().drop()


def test_the_collector_passes_over_what_the_memo_keeps_until_it_is_forgotten():
    _forget_all()
    before = _steps_seen()
    for rows in (2, 3, 4, 3, 4, 2, 3):
        (rl.ones(rows, 3).exp() * 2 + rl.ones(3)).sum().item()
    kept = [step for branch in memo.branches for step in branch.kept]
    assert len(kept) == memo.steps > 20
    assert not any(gc.is_tracked(step) for step in kept)
    _forget_all()
    assert all(gc.is_tracked(step) for step in kept)
    del kept
    assert _steps_seen() <= before
