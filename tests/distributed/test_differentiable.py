"""Collectives that return their result, in one process: values and gradients go through."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import distributed as dist
from rushlight.distributed import nn


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


CALLS = {
    "broadcast": lambda x: nn.broadcast(x, 0),
    "gather": lambda x: nn.gather(x)[0],
    "scatter": lambda x: nn.scatter([x]),
    "reduce": lambda x: nn.reduce(x, 0),
    "reduce_scatter": lambda x: nn.reduce_scatter(rl.zeros(3), [x]),
    "all_gather": lambda x: nn.all_gather(x)[0],
    "all_to_all": lambda x: nn.all_to_all([rl.zeros(3)], [x])[0],
    "all_to_all_single": lambda x: nn.all_to_all_single(rl.zeros(3), x),
    "all_reduce": lambda x: nn.functional.all_reduce(x, dist.ReduceOp.MAX),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_value_and_its_gradient_go_through(name: str, process_group) -> None:
    x = rl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    found = CALLS[name](x)
    (found * found).sum().backward()
    assert found is not x and found.tolist() == x.tolist() and x.grad.tolist() == [2.0, 4.0, 6.0]


def test_what_cannot_be_is_refused(process_group) -> None:
    with pytest.raises(RuntimeError, match="invalid root rank"):
        nn.broadcast(rl.ones(2), 1)
    with pytest.raises(TypeError, match="Expected parameter `tensor`"):
        nn.all_reduce([1.0])


def test_a_group_is_needed() -> None:
    with pytest.raises(ValueError, match="process group"):
        nn.all_reduce(rl.ones(2))
