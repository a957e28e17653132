"""The optimizer of several processes, in one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import rushlight


@pytest.fixture
def libraries(tmp_path: Any) -> Iterator[list[Any]]:
    torch = pytest.importorskip("torch")
    found = [rushlight, torch]
    for number, lib in enumerate(found):
        dist = lib.distributed
        where = f"file://{tmp_path}/store{number}"
        dist.init_process_group("gloo", rank=0, world_size=1, init_method=where)
    yield found
    for lib in found:
        lib.distributed.destroy_process_group()


def test_it_steps_as_the_optimizer_inside(libraries: list[Any]) -> None:
    seen = []
    for lib in libraries:
        zero = __import__(f"{lib.__name__}.distributed.optim", fromlist=["x"])
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
        seen.append(([round(v, 5) for v in x.tolist()], other.param_groups[0]["lr"]))
        with pytest.raises(TypeError):
            zero.ZeroRedundancyOptimizer(x, lib.optim.SGD, lr=0.1)
        with pytest.raises(ValueError, match="empty"):
            zero.ZeroRedundancyOptimizer([], lib.optim.SGD, lr=0.1)
    assert seen[0] == seen[1]


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
