"""The number of threads that a program set was kept, and not told to the pool."""

import subprocess
import sys

import rushlight as rl
from rushlight.base.config import config
from rushlight.runtime.threads import pool


def test_the_pool_follows_the_setting(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    before = rl.get_num_threads()
    try:
        (rl.ones(3) + 1).tolist()
        rl.set_num_threads(3)
        assert rl.get_num_threads() == pool.num_threads == 3
        assert len(pool._workers) >= 2
    finally:
        rl.set_num_threads(before)


def test_the_environment_says_how_many_there_are_at_first():
    command = [sys.executable, "-c", "import rushlight as rl; print(rl.get_num_threads())"]
    done = subprocess.run(
        command, env={"OMP_NUM_THREADS": "5", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "5"
