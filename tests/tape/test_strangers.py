"""Loops of a program's own whose number of turns varies are cut into segments that are known."""

from __future__ import annotations

import gc
import random

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config
from rushlight.base.stats import stats
from rushlight.tape import strangers
from rushlight.tape.memo import Step, memo
from rushlight.tape.tape import current_tape


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """No recording is a stranger yet; a third of what is long in programs is long here."""
    current_tape().flush("test")
    monkeypatch.setattr(strangers, "LONG", 80)
    forget(monkeypatch)


def forget(monkeypatch) -> None:
    memo.clear()
    (rl.ones(2) + 1.0).numpy()  # what is recorded next begins at the memo's new root
    monkeypatch.setattr(strangers, "lines", {})
    monkeypatch.setattr(strangers, "whole", {})
    for name in ("_recent", "_runs"):
        monkeypatch.setattr(strangers, name, type(getattr(strangers, name))())


class Reader:
    """A cell that is called as often as a sentence has words, and trained."""

    def __init__(self, cell=rl.nn.LSTMCell) -> None:
        rl.manual_seed(0)
        self.cell, self.head = cell(4, 6), rl.nn.Linear(6, 3)
        self.parameters = [*self.cell.parameters(), *self.head.parameters()]
        self.optimizer = rl.optim.Adam(self.parameters, lr=0.01)

    def step(self, length: int, of: int | None = None) -> float:
        """Train on some words of a sentence, of all by default."""
        x, y = rl.randn(of or length, 5, 4), rl.randint(0, 3, (5,))
        state = None
        for t in range(length):
            state = self.cell(x[t], state)
        hidden = state[0] if isinstance(state, tuple) else state
        loss = F.cross_entropy(self.head(hidden), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def cuts_so_far() -> int:
    return stats.snapshot()["flush_reasons"].get(strangers.LOOP_OF_ANY_LENGTH, 0)


def lengths(seed: int) -> list[int]:
    """Each of them once."""
    chosen = list(range(4, 20))
    random.Random(seed).shuffle(chosen)
    return chosen


def trained(cell, chosen: list[int]) -> list[np.ndarray]:
    """The losses, and the parameters after them."""
    reader = Reader(cell)
    losses = np.array([reader.step(length) for length in chosen])
    return [losses, *[p.detach().numpy().copy() for p in reader.parameters]]


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cell", [rl.nn.LSTMCell, rl.nn.GRUCell, rl.nn.RNNCell])
def test_bits_are_those_of_whole_recordings(cell, monkeypatch):
    results = []
    for most in (2, 10**6):
        forget(monkeypatch)
        monkeypatch.setattr(strangers, "MOST", most)
        monkeypatch.setattr(strangers, "TURNS", 10**6)
        results.append(trained(cell, lengths(0)[:5]))
        assert bool(strangers.lines) == (most == 2)
    assert_equal(*results)


@pytest.mark.skipif(config.executor != "compiled", reason="counts plans")
def test_lengths_never_seen_make_few_and_short_plans():
    reader = Reader()
    chosen = lengths(1)
    for length in chosen[:12]:
        reader.step(length)
    before = stats.snapshot()
    for length in chosen[12:]:
        reader.step(length)
    after = stats.snapshot()
    reasons = [counts["flush_reasons"] for counts in (before, after)]
    cuts = [found.get(strangers.LOOP_OF_ANY_LENGTH, 0) for found in reasons]
    turns = sum(chosen[12:])
    assert cuts[1] - cuts[0] > turns / 10
    # Most is known; a whole recording has fifty operations a turn.
    assert after["operations_missed"] - before["operations_missed"] < 10 * turns


def test_lengths_that_come_again_are_recorded_as_a_whole():
    reader = Reader()
    for _ in range(4):
        for length in (4, 5, 6, 7, 8):
            reader.step(length)
    assert not strangers.lines


def test_short_recordings_are_left_alone():
    for length in range(1, 60):
        x = rl.ones(length)
        for _ in range(1 + length % 10):
            x = x * 2.0 + 1.0
        x.sum().item()
    assert not strangers.lines


def test_values_and_views_of_earlier_segments_survive_cuts():
    """Values of earlier segments are read by later ones, whoever holds them."""
    kept = []
    for length in [*range(50, 64), 51, 60]:
        x = rl.arange(6.0).reshape(2, 3)
        total = rl.zeros(3, 2)
        for turn in range(length):
            x = x * 0.5 + 1.0
            total = total + x.t()
            if turn == 3:
                kept.append((x, x[0]))
        expected, row = np.arange(6.0, dtype=np.float32).reshape(2, 3), np.zeros((3, 2))
        for _ in range(length):
            expected = expected * np.float32(0.5) + np.float32(1.0)
            row = row + expected.T
        np.testing.assert_allclose(total.numpy(), row, rtol=1e-6)
    assert strangers.lines
    for whole, first in kept:
        np.testing.assert_array_equal(whole.numpy()[0], first.numpy())
        np.testing.assert_array_equal(whole.numpy(), kept[0][0].numpy())


def test_an_error_in_a_segment_names_the_line_and_spares_the_rest():
    table = rl.arange(10.0)
    for length in [*range(30, 44), 37]:
        index = rl.tensor([0])
        value = rl.zeros(1)
        for _ in range(length):
            value = value + table[index] * 2.0
            index = index + 1 - 1
        assert value.item() == 0.0
    assert strangers.lines
    bad = rl.tensor([0])
    value = rl.zeros(1)
    with pytest.raises(IndexError, match=r"test_strangers\.py"):
        for turn in range(49):
            value = value + table[bad] * 2.0
            bad = bad + (11 if turn == 30 else 0)
        value.item()
    assert rl.ones(3).sum().item() == 3.0


@pytest.mark.parametrize("cell", [rl.nn.LSTMCell, rl.nn.GRUCell, rl.nn.RNNCell])
def test_a_long_loop_is_cut_when_it_is_first_recorded(cell, monkeypatch):
    results = []
    for turns in (16, 10**6):
        forget(monkeypatch)
        monkeypatch.setattr(strangers, "TURNS", turns)
        before = cuts_so_far()
        results.append(trained(cell, [40] * 3))
        assert (cuts_so_far() - before > 15) == (turns == 16)
    assert_equal(*results)


@pytest.mark.skipif(config.executor != "compiled", reason="counts plans")
def test_later_turns_of_a_long_loop_need_no_plans(monkeypatch):
    made = []
    for turns in (40, 120):
        forget(monkeypatch)
        reader = Reader()
        before = stats.plans_made
        reader.step(turns)
        made.append(stats.plans_made - before)
    assert made[1] <= made[0] + 10


def cuts_of(reader: Reader, length: int) -> int:
    before = cuts_so_far()
    reader.step(length, of=60)
    return cuts_so_far() - before


def test_a_loop_that_comes_again_and_again_is_recorded_as_a_whole(monkeypatch):
    monkeypatch.setattr(strangers, "RUNS", 6)
    reader = Reader()
    # Another number of turns in between: the count begins again.
    cuts = [cuts_of(reader, length) > 0 for length in (40, 40, 40, 41, *[40] * 12)]
    assert cuts[:10] == [True] * 10
    assert cuts[-2:] == [False] * 2


def test_a_loop_whose_plans_would_fill_the_memo_stays_cut(monkeypatch):
    monkeypatch.setattr(strangers, "RUNS", 2)
    monkeypatch.setattr(strangers, "_BYTES_OF_PLANS", config.memo_bytes)
    reader = Reader()
    assert all([cuts_of(reader, 40) for _ in range(5)])


def test_deep_networks_are_not_loops():
    rl.manual_seed(0)
    layers = [part for _ in range(40) for part in (rl.nn.Linear(8, 8), rl.nn.Tanh())]
    model = rl.nn.Sequential(*layers, rl.nn.Linear(8, 1))
    optimizer = rl.optim.SGD(model.parameters(), lr=0.01)
    before = cuts_so_far()
    for _ in range(2):
        optimizer.zero_grad()
        model(rl.ones(4, 8)).sum().backward()
        optimizer.step()
    assert cuts_so_far() == before


def test_counted_loops_keep_nothing_that_the_memo_forgot(monkeypatch):
    reader = Reader()
    reader.step(40)
    assert strangers._runs
    found = [*strangers._runs.items()]
    reached = {id(x): x for x in found}
    while found:
        for x in gc.get_referents(found.pop()):
            if id(x) not in reached and not isinstance(x, type):
                reached[id(x)] = x
                found.append(x)
    assert not any(isinstance(x, Step) for x in reached.values())
