"""A flush is a transaction: errors name the user's line and lose only what depends on them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

import rushlight as rl
from rushlight.base.config import config
from rushlight.primitives.elementwise import exp
from rushlight.primitives.indexing import take
from rushlight.reference import executor
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape


def _out_of_range():
    return take(rl.tensor([1.0, 2.0]), rl.tensor([0, 5]), 0)


def test_an_error_names_the_line_that_recorded_the_operation():
    memo.clear()  # the line is that of the first such recording, and other tests take, too
    current_tape().drop()
    bad = _out_of_range()
    with pytest.raises(IndexError, match=r"take: index 5 is out of bounds .*test_flush\.py:\d+"):
        bad.tolist()


def test_a_line_that_may_be_another_ones_is_said_to_be_the_first():
    def elsewhere():
        return take(rl.tensor([1.0, 2.0]), rl.tensor([0, 7]), 0)

    memo.clear()
    current_tape().drop()
    with pytest.raises(IndexError, match=r"\(recorded at .*test_flush\.py"):
        _out_of_range().tolist()
    with pytest.raises(IndexError, match=r"\(first recorded at .*test_flush\.py"):
        elsewhere().tolist()


def test_later_reads_raise_the_same_cause():
    bad = _out_of_range()
    depends = bad * 2.0
    with pytest.raises(IndexError) as first:
        depends.tolist()
    with pytest.raises(IndexError) as second:
        bad.tolist()
    assert first.value is second.value


def test_values_that_do_not_depend_on_the_error_survive():
    x = rl.tensor([1.0, 2.0])
    before = x * 3.0
    bad = _out_of_range()
    after = x * 5.0
    with pytest.raises(IndexError):
        before.tolist()
    assert before.tolist() == [3.0, 6.0]
    assert after.tolist() == [5.0, 10.0]
    with pytest.raises(IndexError):
        bad.tolist()


def test_in_place_writes_that_depend_on_the_error_are_taken_back():
    w = rl.tensor([1.0, 1.0], requires_grad=True)
    w.sum().item()
    loss = (w * _out_of_range()).sum()
    loss.backward()
    with rl.no_grad():
        w -= 0.1 * w.grad
    with pytest.raises(IndexError):
        w.tolist()
    assert w.tolist() == [1.0, 1.0]


def test_an_interrupt_loses_nothing(monkeypatch):
    # Machine code is not interrupted between two operations; the reference executor is.
    monkeypatch.setattr(config, "executor", "reference")
    x = rl.tensor([0.0, 0.0])
    y = exp(x)
    z = y + 1.0
    real_compute = executor.compute
    calls = []

    def interrupted(step, operands):
        calls.append(step)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real_compute(step, operands)

    monkeypatch.setattr(executor, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        z.tolist()
    monkeypatch.setattr(executor, "compute", real_compute)
    assert z.tolist() == [2.0, 2.0]
    assert y.tolist() == [1.0, 1.0]


def test_a_pending_value_can_be_read_from_another_thread():
    x = rl.tensor([1.0, 2.0])
    y = x * 2.0
    found = []
    thread = threading.Thread(target=lambda: found.append((y + 1.0).tolist()))
    thread.start()
    thread.join()
    assert found == [[3.0, 5.0]]
    assert (y * 10.0).tolist() == [20.0, 40.0]


def test_threads_record_on_tapes_of_their_own():
    shared = rl.tensor([1.0, 2.0, 3.0])
    results: dict[int, float] = {}

    def work(number):
        total = rl.tensor(0.0)
        for step in range(200):
            total = total + (shared * float(number)).sum()
            if step % 17 == 0:
                total.item()
        results[number] = total.item()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: 200 * 6.0 * n for n in range(4)}


def test_an_error_of_another_threads_tape_is_raised_where_it_is_read():
    bad = _out_of_range()
    caught = []

    def read():
        try:
            bad.tolist()
        except IndexError as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert len(caught) == 1
    with pytest.raises(IndexError):
        bad.tolist()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_computes_what_was_pending():
    program = (
        "import os, rushlight as rl\n"
        "y = rl.tensor([1.0]) * 3.0\n"
        "pid = os.fork()\n"
        "value = y.item()\n"
        "if pid == 0:\n"
        "    os._exit(0 if value == 3.0 else 1)\n"
        "_, status = os.waitpid(pid, 0)\n"
        "assert status == 0 and value == 3.0\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_long_chain_needs_no_recursion():
    x = rl.tensor([0.0], requires_grad=True)
    y = x
    for _ in range(30_000):
        y = y + 1.0
    y.backward()
    assert y.item() == 30_000.0
    assert x.grad.item() == 1.0
    del y
    current_tape().flush("test")
