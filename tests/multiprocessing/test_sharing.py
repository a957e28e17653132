"""Tensors between processes: shared memory, queues, pools, and `spawn`."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings

import pytest

import rushlight as torch
import rushlight.multiprocessing as mp

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


@pytest.fixture(autouse=True)
def quiet_forks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of forks in a process with threads
        yield


def run_forked(target, *args) -> None:
    process = mp.get_context("fork").Process(target=target, args=args)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def add_one(tensor) -> None:
    tensor.add_(1)


def test_writes_in_a_child_show_in_shared_memory_only():
    shared, own = torch.zeros(3).share_memory_(), torch.zeros(3)
    assert shared.is_shared()
    assert not own.is_shared()
    run_forked(add_one, shared)
    run_forked(add_one, own)
    assert shared.tolist() == [1, 1, 1]
    assert own.tolist() == [0, 0, 0]


def test_views_and_the_module_share_with_their_memory():
    base = torch.arange(6.0)
    view = base.view(2, 3)[1]
    view.share_memory_()
    assert base.is_shared()
    run_forked(add_one, view)
    assert base.tolist() == [0, 1, 2, 4, 5, 6]
    layer = torch.nn.Linear(2, 2)
    assert layer.share_memory() is layer
    assert all(p.is_shared() and isinstance(p, torch.nn.Parameter) for p in layer.parameters())


def train(layer, steps) -> None:
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        layer(torch.ones(4, 2)).square().mean().backward()
        optimizer.step()


def test_processes_train_one_shared_model():
    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 2).share_memory()
    alone = torch.nn.Linear(2, 2)
    alone.load_state_dict(layer.state_dict())
    before = layer.weight.detach().clone()
    run_forked(train, layer, 3)
    train(alone, 3)
    assert not torch.equal(layer.weight, before)
    assert torch.equal(layer.weight, alone.weight)


def serve(incoming, outgoing) -> None:
    while (message := incoming.get()) is not None:
        message["x"].mul_(2)
        outgoing.put((message["x"] + 1, message["name"], message["x"].dtype))
        outgoing.put(message["x"][1:])
    incoming.get()  # what was sent stays until it was received


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "complex64"])
def test_a_queue_shares_memory_in_both_directions(dtype):
    context = mp.get_context("fork")
    incoming, outgoing = context.Queue(), context.Queue()
    process = context.Process(target=serve, args=(incoming, outgoing))
    process.start()
    x = torch.tensor([1, 0, 1]).to(getattr(torch, dtype))
    expected = (x * 2).to(x.dtype)
    incoming.put({"x": x, "name": "first"})
    result, name, seen = outgoing.get(timeout=20)
    part = outgoing.get(timeout=20)
    assert name == "first"
    assert seen is x.dtype
    assert torch.equal(x, expected)  # the child wrote it
    assert torch.equal(result, expected + 1)
    part.zero_()
    assert torch.equal(x[1:], torch.zeros(2, dtype=x.dtype))  # and sent the same memory back
    incoming.put(None)
    incoming.put(None)
    process.join(60)
    assert process.exitcode == 0


def test_one_storage_arrives_once_and_empty_tensors_arrive():
    receiving, sending = mp.Pipe(duplex=False)
    x = torch.arange(4.0)
    sending.send([x, x[2:], torch.empty(0, 3), torch.nn.Parameter(x)])
    same, part, empty, parameter = receiving.recv()
    assert same._storage is x._storage
    part.fill_(9)
    assert x.tolist() == [0, 1, 9, 9]
    assert empty.shape == (0, 3)
    assert type(parameter) is torch.nn.Parameter
    assert parameter.requires_grad


def test_results_of_autograd_are_refused():
    with pytest.raises(RuntimeError, match="non-leaf tensor which requires_grad"):
        mp.reductions.ForkingPickler.dumps(torch.ones(2, requires_grad=True) * 2)


def doubled(x):
    return x * 2


def test_a_pool_returns_tensors():
    with mp.get_context("fork").Pool(2) as pool:
        found = pool.map(doubled, [torch.ones(2) * i for i in range(4)])
        assert [x.tolist() for x in found] == [[2.0 * i] * 2 for i in range(4)]


def test_shared_memory_is_given_back():
    def descriptors():
        gc.collect()
        return len(os.listdir("/dev/fd"))

    before = descriptors()
    tensors = [torch.zeros(10).share_memory_() for _ in range(5)]
    assert before + 5 <= descriptors() <= before + 10  # a mapping keeps one of its own
    del tensors
    assert descriptors() == before


def work(index, queue, how):
    if index == 1:
        if how == "raise":
            raise ValueError("number one")
        if how == "exit":
            os._exit(3)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    queue.put(index)


def test_start_processes_runs_all_and_tells_what_failed():
    queue = mp.get_context("fork").SimpleQueue()
    mp.start_processes(work, (queue, "none"), nprocs=3, start_method="fork")
    assert sorted(queue.get() for _ in range(3)) == [0, 1, 2]
    with pytest.raises(mp.ProcessRaisedException, match=r"Process 1 terminated[\s\S]*number one"):
        mp.start_processes(work, (queue, "raise"), nprocs=2, start_method="fork")
    with pytest.raises(mp.ProcessExitedException, match="exit code 3") as failure:
        mp.start_processes(work, (queue, "exit"), nprocs=2, start_method="fork")
    assert (failure.value.error_index, failure.value.exit_code) == (1, 3)
    with pytest.raises(mp.ProcessExitedException, match="signal SIGKILL"):
        mp.start_processes(work, (queue, "kill"), nprocs=2, start_method="fork")


def write_index(index, tensor):
    tensor[index] = index + 1


def test_spawn_starts_afresh_and_shares():
    tensor = torch.zeros(2)
    context = mp.spawn(write_index, (tensor,), nprocs=2, join=False)
    while not context.join(timeout=20):
        pass
    assert tensor.tolist() == [1, 2]


def test_strategies_are_names():
    assert mp.get_sharing_strategy() in mp.get_all_sharing_strategies()
    mp.set_sharing_strategy("file_system")
    assert mp.get_sharing_strategy() == "file_system"
    with pytest.raises(AssertionError):
        mp.set_sharing_strategy("pigeon")
