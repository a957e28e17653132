"""The optimizer of several processes, in one."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rushlight

ROOT = Path(__file__).resolve().parents[2]


def steps_and_states(lib: Any, store: str) -> list[Any]:
    """What a wrapped optimizer does to three numbers, with a checkpoint in between."""
    lib.distributed.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{store}")
    zero = importlib.import_module(f"{lib.__name__}.distributed.optim")
    x = lib.ones(3, requires_grad=True)
    made = zero.ZeroRedundancyOptimizer([x], lib.optim.Adam, lr=0.1)
    scheduler = lib.optim.lr_scheduler.StepLR(made, 2, 0.5)
    for _ in range(3):
        made.zero_grad()
        (x * x).sum().backward()
        made.step()
        scheduler.step()
    with pytest.raises(RuntimeError, match="not been consolidated"):
        made.state_dict()
    made.consolidate_state_dict()
    state = made.state_dict()
    other = zero.ZeroRedundancyOptimizer([x], lib.optim.Adam, lr=0.3)
    other.load_state_dict(state)
    (x * x).sum().backward()
    other.step()
    with pytest.raises(TypeError):
        zero.ZeroRedundancyOptimizer(x, lib.optim.SGD, lr=0.1)
    with pytest.raises(ValueError, match="empty"):
        zero.ZeroRedundancyOptimizer([], lib.optim.SGD, lr=0.1)
    lib.distributed.destroy_process_group()
    return [[round(v, 5) for v in x.tolist()], other.param_groups[0]["lr"]]


def test_it_steps_as_the_optimizer_inside(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    mine = steps_and_states(rushlight, f"{tmp_path}/store")
    # PyTorch in a process of its own: its groups' threads and sockets stay as long as that does.
    code = (
        "import torch; from tests.distributed.test_zero_redundancy import steps_and_states; "
        f"print(steps_and_states(torch, '{tmp_path}/theirs'))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert mine == ast.literal_eval(found.stdout)


def test_splitting_over_devices_needs_devices() -> None:
    for lib in (rushlight, pytest.importorskip("torch")):
        parallel, module, x = lib.nn.parallel, lib.nn.Linear(2, 2), lib.ones(4, 2)
        assert parallel.replicate(module, []) == []
        for call in (lambda p=parallel, m=module: p.replicate(m, ["cpu"]),
                     lambda p=parallel, x=x: p.scatter(x, ["cpu"])):  # fmt: skip
            with pytest.raises(ValueError, match="non cpu device"):
                call()
        with pytest.raises(AssertionError, match="not implemented for CPU"):
            parallel.gather([x, x], "cpu")
        with pytest.raises(RuntimeError, match="accelerator"):
            parallel.parallel_apply([module], [(x,)])
