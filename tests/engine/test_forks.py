"""A forked child compiles and runs whatever the other threads of its parent were doing."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

# Three threads keep compiling kernels that were never seen before, and running them, while the main
# thread forks children that do the same.  A child that waits for ever is killed by its alarm.
PROGRAM = """
import os, random, signal, threading
import rushlight

FUNCTIONS = ["exp", "tanh", "sin", "abs", "neg", "sqrt", "sigmoid", "relu", "floor", "square"]
stop = threading.Event()

def compute(numbers):
    x = rushlight.ones(10, 1 + numbers.randrange(50))
    for _ in range(6):
        x = getattr(x, numbers.choice(FUNCTIONS))()
    return x.sum().item()

def keep_busy(number):
    numbers = random.Random(number)
    while not stop.is_set():
        compute(numbers)

threads = [threading.Thread(target=keep_busy, args=(n,), daemon=True) for n in range(3)]
for thread in threads:
    thread.start()
failed = []
for number in range(25):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        compute(random.Random(100 + number))
        os._exit(0 if rushlight.ones(300, 300).mul(2.0).sum().item() == 180_000 else 1)
    status = os.waitpid(child, 0)[1]
    if status:
        failed.append((number, status))
        break
stop.set()
for thread in threads:
    thread.join()
assert not failed, failed
"""


@pytest.mark.parametrize("executor", ["reference", "compiled"])
def test_children_of_a_process_with_busy_threads_compute(executor, tmp_path):
    environment = {
        **os.environ,
        "RUSHLIGHT_EXECUTOR": executor,
        "RUSHLIGHT_CACHE_DIR": str(tmp_path),
        "OMP_NUM_THREADS": "2",
    }
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("draw", ["rushlight.rand(3).tolist()", "np.random.rand()"])
def test_a_fork_waits_for_another_thread_that_draws(draw):
    program = f"""
import os, signal, threading, time
import numpy as np
import rushlight
from rushlight.base.forks import lock_known_to_forks
from rushlight.utils import data

locks = [lock_known_to_forks("draws"), np.random.get_bit_generator().lock]
taken = threading.Event()

def hold():
    for lock in locks:
        lock.acquire()
    taken.set()
    time.sleep(0.3)
    for lock in locks:
        lock.release()

thread = threading.Thread(target=hold)
thread.start()
taken.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)
    {draw}
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
thread.join()
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
