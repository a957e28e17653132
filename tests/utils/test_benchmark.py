"""Timers compute what they time; measurements and tables say how long it took."""

from __future__ import annotations

import itertools

import pytest

import rushlight
from rushlight.utils import benchmark
from rushlight.utils.benchmark import Compare, Measurement, TaskSpec, Timer


def test_a_timed_statement_is_computed_in_each_run():
    seen = []

    class Spy:
        def look(self):
            seen.append(rushlight.stats()["flushes"])
            return rushlight.ones(4) + 1

    found = Timer("spy.look()", globals={"spy": Spy()}).timeit(5)
    assert found.number_per_run == 5 and found.median > 0
    runs = seen[-5:]
    assert all(later > earlier for earlier, later in itertools.pairwise(runs))


def test_blocks_run_for_the_time_asked():
    calls = []
    timer = Timer(
        "x * 2\n", setup="x = torch.ones(8)", globals={"torch": rushlight}, label="scaling"
    )
    found = timer.blocked_autorange(lambda n, t: calls.append((n, t)), min_run_time=0.02)
    assert sum(found.raw_times) >= 0.02 and len(calls) == len(found.times)
    assert (found.title == "scaling" and "Median" in repr(found)) or "Time" in repr(found)
    with pytest.raises(NotImplementedError, match="C\\+\\+"):
        Timer("f();", language="c++")
    with pytest.raises(NotImplementedError, match="Valgrind"):
        timer.collect_callgrind()


def _measured(seconds, **words):
    return Measurement(10, [10 * s for s in seconds], TaskSpec("f(x)", "pass", **words))


def test_statistics_are_those_of_pytorch():
    their = pytest.importorskip("torch.utils.benchmark")
    times = [10 * s for s in (1e-3, 1.1e-3, 1.05e-3, 0.98e-3, 1.2e-3)]
    theirs = their.Measurement(10, times, their.TaskSpec("f(x)", "pass"))
    ours = Measurement(10, times, TaskSpec("f(x)", "pass"))
    for name in ("median", "mean", "iqr", "significant_figures", "has_warnings", "title"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name)) or (
            getattr(ours, name) == getattr(theirs, name)
        )
    assert ours.meets_confidence(0.1) == theirs.meets_confidence(0.1)
    for seconds in (3e-8, 2e-5, 4e-3, 2.0):
        assert benchmark.select_unit(seconds) == their.select_unit(seconds)


def test_a_comparison_is_a_table_of_rows_and_columns():
    table = Compare(
        [
            _measured([1e-3], label="sum", sub_label="small", description="ours"),
            _measured([2e-3], label="sum", sub_label="small", description="theirs"),
            _measured([4e-3], label="sum", sub_label="large", description="ours"),
        ]
    )
    text = str(table)
    assert text.index("ours") < text.index("theirs") and "small" in text and "4.0" in text
    assert "Times are in milliseconds (ms)." in text
    table.colorize()
    assert "\033[92m" in str(table)
    merged = Measurement.merge([_measured([1e-3]), _measured([3e-3])])
    assert len(merged) == 1 and len(merged[0].times) == 2


def test_products_and_convolutions_are_counted_as_in_pytorch():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode as Theirs

    from rushlight.utils.flop_counter import FlopCounterMode

    totals = []
    for library, mode_type in ((rushlight, FlopCounterMode), (torch, Theirs)):
        nn = library.nn
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)
        )
        x = library.ones(2, 3, 6, 6)
        mode = mode_type(display=False)
        with mode:
            y = model(x)
        forward = mode.get_total_flops()
        with mode:
            model(x).sum().backward()
        totals.append((forward, mode.get_total_flops()))
        assert y.shape == (2, 5)
    assert totals[0] == totals[1]


def test_flops_are_shown_by_module_and_counting_ends_with_the_mode():
    from rushlight.utils.flop_counter import FlopCounterMode

    model = rushlight.nn.Sequential(rushlight.nn.Linear(4, 2, bias=False))
    with FlopCounterMode(display=False) as mode:
        model(rushlight.ones(3, 4))
    model(rushlight.ones(3, 4))
    assert mode.get_flop_counts()["Sequential.0"] == {"matmul": 48} and mode.get_total_flops() == 48
    assert "Sequential.0" in mode.get_table() and "100.00%" in mode.get_table()
