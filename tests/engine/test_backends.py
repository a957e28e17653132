"""The contract of back ends, on those of the host: machine code, and the reference executor."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.device import CPU
from rushlight.base.errors import FlushFailed
from rushlight.engine.backends import JUDGE, Backend, CpuBackend, Runnable, backend_of
from rushlight.engine.plan import Plan, make_plan
from rushlight.tape.tape import current_tape

HOSTS = [pytest.param(CpuBackend(), id="cpu"), pytest.param(JUDGE, id="reference")]


def recorded(*results: rl.Tensor) -> tuple[Plan, list]:
    """What is on the tape, of which the results keep their values."""
    nodes = list(current_tape().nodes)
    slots = {id(node): slot for slot, node in enumerate(nodes)}
    kept = {id(result._node) for result in results}
    return make_plan(nodes, slots, [id(node) in kept for node in nodes]), nodes


@pytest.fixture(autouse=True)
def empty_tape():
    """Nothing that another test recorded."""
    current_tape().flush("test")
    yield
    current_tape().flush("test")


@pytest.mark.parametrize("backend", HOSTS)
def test_it_has_what_the_contract_names(backend):
    for name in vars(Backend):
        if not name.startswith("_"):
            assert hasattr(backend, name), name
    assert backend.device is CPU


@pytest.mark.parametrize("backend", HOSTS)
def test_values_go_to_the_host_and_back(backend):
    array = np.arange(6.0).reshape(2, 3)
    value = backend.from_host(array)
    assert (backend.to_host(value) == array).all()
    empty = backend.empty((2, 0, 3), np.dtype(np.int16))
    assert backend.to_host(empty).shape == (2, 0, 3)
    assert backend.to_host(empty).dtype == np.int16
    backend.synchronize()


@pytest.mark.parametrize("backend", HOSTS)
def test_a_plan_gives_live_nodes_values_and_drops_the_others(backend):
    x = rl.tensor([[1.0, 2.0], [3.0, 4.0]])
    dropped = x * 7
    product = x @ x + 1
    total = product.exp().sum()
    plan, nodes = recorded(product, total)
    made: Runnable = backend.plan(plan, nodes)
    assert made.run(nodes) is None
    assert dropped._node.value is None
    expected = np.array([[8.0, 11.0], [16.0, 23.0]], np.float32)
    assert (backend.to_host(product._node.value) == expected).all()
    np.testing.assert_allclose(total._node.value, np.exp(expected).sum(), rtol=1e-6)


@pytest.mark.parametrize("backend", HOSTS)
def test_the_first_error_of_the_data_is_returned_and_stays_with_its_result(backend):
    table, index = rl.ones(3), rl.tensor([5])
    fine = table * 2
    bad = table.gather(0, index)
    plan, nodes = recorded(fine, bad)
    error = backend.plan(plan, nodes).run(nodes)
    assert isinstance(error, IndexError | RuntimeError)
    assert type(bad._node.value) is FlushFailed
    assert (fine._node.value == 2).all()


def test_only_the_reference_executor_names_every_operation():
    x = rl.rand(4, 5)
    y = (x.sum(0) * 2).relu()
    plan, nodes = recorded(y)
    compiled, judge = CpuBackend().plan(plan, nodes), JUDGE.plan(plan, nodes)
    assert compiled.steps() and not compiled.fallbacks
    assert not judge.steps()
    assert len(judge.fallbacks) == len(plan.instructions)
    assert "reduce_sum" in judge.fallbacks


def test_the_judge_is_not_where_values_of_the_cpu_are_computed():
    assert backend_of(CPU) is not JUDGE
