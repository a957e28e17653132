"""The pool runs every index once, sleeps when idle, survives fork and concurrent launches."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rushlight.runtime.host import host_target
from rushlight.runtime.jit import load_text
from rushlight.runtime.threads import get_num_threads, pool, set_num_threads

# Adds one to each of the counters begin..end-1, and does params[0] rounds of work on each.
_COUNT = """
target triple = "%s"
define void @count(ptr %%buffers, ptr %%params, i64 %%begin, i64 %%end) {
entry:
  %%base = load ptr, ptr %%buffers
  br label %%head
head:
  %%i = phi i64 [ %%begin, %%entry ], [ %%j, %%body ]
  %%more = icmp slt i64 %%i, %%end
  br i1 %%more, label %%body, label %%done
body:
  %%p = getelementptr i64, ptr %%base, i64 %%i
  %%old = atomicrmw add ptr %%p, i64 1 monotonic
  %%j = add i64 %%i, 1
  br label %%head
done:
  ret void
}
"""


@pytest.fixture(scope="module")
def count():
    return load_text(_COUNT % host_target().triple, ["count"])


@pytest.fixture(autouse=True)
def restore_threads():
    threads = get_num_threads()
    yield
    set_num_threads(threads)


def run(count, extent, grain, launches=1):
    counters = np.zeros(extent, np.int64)
    buffers = (ctypes.c_void_p * 1)(counters.ctypes.data)
    for _ in range(launches):
        pool.parallel_for(count["count"], ctypes.addressof(buffers), 0, extent, grain)
    return counters


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_every_index_runs_exactly_once(count, threads):
    set_num_threads(threads)
    for extent in (0, 1, 5, 100, 10_007):
        assert (run(count, extent, 3, launches=50) == 50).all()


def test_many_small_launches_lose_nothing(count):
    set_num_threads(2)
    assert (run(count, 16, 1, launches=20_000) == 20_000).all()


def test_sleeping_workers_wake_for_the_next_job(count):
    set_num_threads(2)
    for _ in range(5):
        assert (run(count, 1000, 1) == 1).all()
        time.sleep(0.02)


def test_an_idle_pool_uses_no_processor_time(count):
    set_num_threads(2)
    run(count, 1000, 1)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.03


def test_concurrent_launches_do_not_mix(count):
    set_num_threads(2)
    failures = []

    def launch():
        if not (run(count, 501, 2, launches=500) == 500).all():
            failures.append(1)

    threads = [threading.Thread(target=launch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_steps_run_in_order(count):
    set_num_threads(2)
    counters = np.zeros(64, np.int64)
    buffers = (ctypes.c_void_p * 1)(counters.ctypes.data)
    step = [count["count"], ctypes.addressof(buffers), 0, 64, 8]
    steps = np.array([step] * 5, np.int64)
    pool.run_steps(steps.ctypes.data, 5)
    assert (counters == 5).all()


def test_zero_threads_is_an_error():
    with pytest.raises(RuntimeError, match="expected at least 1 thread, got 0"):
        set_num_threads(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_pool_of_its_own():
    program = """
import ctypes, os, numpy as np
import sys

sys.path.insert(0, sys.argv[1])
from tests.runtime.test_threads import _COUNT, run
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import load_text
from rushlight.runtime.threads import set_num_threads, pool
set_num_threads(2)
count = load_text(_COUNT % host_target().triple, ["count"])
assert (run(count, 1000, 1) == 1).all()
child = os.fork()
if child == 0:
    assert not pool._workers
    ok = (run(count, 1000, 1, 20) == 20).all() and len(pool._workers) == 1
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
assert (run(count, 1000, 1) == 1).all()
"""
    here = str(Path(__file__).resolve().parents[2])
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, here],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
