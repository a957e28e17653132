"""Tensors on a mesh, sharded modules and optimizers: one process gives what PyTorch's gives."""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rushlight as rl

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def group(module: Any) -> Iterator[None]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    distributed = importlib.import_module(f"{module.__name__}.distributed")
    store = distributed.TCPStore("127.0.0.1", port, 1, True)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def result(program: Callable[[Any, Callable], Any], module: Any) -> Any:
    """The program's result: it is given the module and an importer of its parts."""
    module.manual_seed(0)
    with group(module):
        return program(module, lambda path: importlib.import_module(f"{module.__name__}.{path}"))


def on_a_mesh(module: Any, at: Callable) -> Any:
    tensor, nn = at("distributed.tensor"), module.nn
    mesh = at("distributed.device_mesh").init_device_mesh("cpu", (1,))
    x = module.arange(6.0).reshape(2, 3)
    placed = tensor.distribute_tensor(x.clone().requires_grad_(), mesh, [tensor.Shard(-1)])
    total = (placed / 2).exp().sum()
    total.backward()
    layer = tensor.distribute_module(nn.Linear(3, 2), mesh)
    out = layer(tensor.distribute_tensor(x, mesh, [tensor.Replicate()]))
    out.full_tensor().sum().backward()
    copied = copy.deepcopy(layer)
    return [
        repr(placed.placements), type(total).__name__, round(float(total.full_tensor()), 3),
        type(placed.grad).__name__, round(placed.grad.to_local().sum().item(), 3),
        [type(one).__name__ for one in (layer.weight, out, layer.weight.grad, copied.weight)],
        isinstance(layer.weight, nn.Parameter), len(list(copied.parameters())),
        layer.bias.grad.to_local().tolist(),
        tensor.zeros(2, 2, device_mesh=mesh).to_local().tolist(),
        repr(placed.redistribute(mesh, [tensor.Replicate()]).placements),
    ]  # fmt: skip


def parallel_layers(module: Any, at: Callable) -> Any:
    parallel, nn = at("distributed.tensor.parallel"), module.nn
    mesh = at("distributed.device_mesh").init_device_mesh("cpu", (1,))
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    plan = {"0": parallel.ColwiseParallel(), "2": parallel.RowwiseParallel()}
    model = parallel.parallelize_module(model, mesh, plan)
    out = model(module.ones(2, 3))
    out.sum().backward()
    return [
        type(out).__name__, [round(v, 5) for v in out.flatten().tolist()],
        [repr(p.placements) for p in model.parameters()],
        round(model[0].weight.grad.full_tensor().sum().item(), 5),
    ]  # fmt: skip


def sharded(module: Any, at: Callable) -> Any:
    fsdp, nn = at("distributed.fsdp"), module.nn
    mesh = at("distributed.device_mesh").init_device_mesh("cpu", (1,))
    policy = fsdp.MixedPrecisionPolicy(param_dtype=module.bfloat16, output_dtype=module.float32)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    model = fsdp.fully_shard(model, mesh=mesh, mp_policy=policy)
    optimizer = module.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        loss = model(module.ones(2, 3)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(round(loss.item(), 2))
    return [
        type(model).__name__,
        isinstance(model, fsdp.FSDPModule),
        list(model.state_dict()),
        losses,
    ]


def wrapped_optimizers(module: Any, at: Callable) -> Any:
    nn = module.nn
    wrapper = at("distributed.algorithms._checkpoint.checkpoint_wrapper").checkpoint_wrapper
    states = at("distributed.checkpoint.state_dict")
    model = nn.Sequential(wrapper(nn.Linear(3, 4)), nn.Linear(4, 1))
    optimizer = at("distributed.optim").ZeroRedundancyOptimizer(
        model.parameters(), module.optim.Adam, lr=0.1
    )
    for _ in range(3):
        loss = model(module.ones(2, 3)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    plain = module.optim.Adam(model.parameters(), lr=0.1)
    state = states.get_optimizer_state_dict(model, plain)
    with at("distributed.algorithms.join").Join([optimizer]):
        pass
    return [
        round(loss.item(), 4), list(model.state_dict()), list(states.get_model_state_dict(model)),
        state["param_groups"][0]["params"], [name for name, _ in model.named_parameters()],
    ]  # fmt: skip


PROGRAMS = (on_a_mesh, parallel_layers, sharded, wrapped_optimizers)


@pytest.fixture(scope="module")
def on_pytorch() -> list:
    """What all programs give there.

    In a process of its own: the threads, sockets and rings that PyTorch opens for a store and its
    groups stay as long as the process, whose forks would share them.
    """
    code = (
        "import torch; from tests.distributed.test_one_process_wrappers import PROGRAMS, result; "
        "print([result(program, torch) for program in PROGRAMS])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return ast.literal_eval(found.stdout)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", range(len(PROGRAMS)), ids=[p.__name__ for p in PROGRAMS])
def test_one_process_gives_what_pytorchs_gives(place: int, on_pytorch: list) -> None:
    mine = result(PROGRAMS[place], rl)
    assert mine == on_pytorch[place]


def test_fully_sharded_data_parallel_shows_the_modules_own_names() -> None:
    from rushlight.distributed.fsdp import FullyShardedDataParallel, StateDictType
    from rushlight.distributed.fsdp.wrap import ModuleWrapPolicy

    with group(rl):
        policy = ModuleWrapPolicy({rl.nn.Linear})
        model = rl.nn.Sequential(rl.nn.Linear(3, 4), rl.nn.Linear(4, 1))
        names = list(model.state_dict())
        sharded = FullyShardedDataParallel(model, auto_wrap_policy=policy)
        optimizer = rl.optim.Adam(sharded.parameters())
        sharded(rl.ones(2, 3)).sum().backward()
        optimizer.step()
        assert list(sharded.state_dict()) == names
        sharded.load_state_dict(
            {name: rl.zeros_like(v) for name, v in sharded.state_dict().items()}
        )
        assert sharded(rl.ones(2, 3)).tolist() == [[0.0], [0.0]]
        with FullyShardedDataParallel.state_dict_type(sharded, StateDictType.FULL_STATE_DICT):
            state = FullyShardedDataParallel.optim_state_dict(sharded, optimizer)
        assert (
            list(state["state"]) == names
            and len(FullyShardedDataParallel.fsdp_modules(sharded)) == 3
        )
        FullyShardedDataParallel.optim_state_dict_to_load(
            sharded, optimizer, state, load_directly=True
        )
