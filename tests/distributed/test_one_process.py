"""torch.distributed of one process, and what is built on it."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
import rushlight.distributed as dist
from rushlight import nn


@pytest.fixture
def world():
    dist.init_process_group("gloo", world_size=1, rank=0, store=dist.HashStore())
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_a_group_comes_from_the_environment(monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    assert dist.is_available() and not dist.is_initialized()
    dist.init_process_group(backend="gloo", init_method="env://")
    try:
        assert (dist.get_rank(), dist.get_world_size(), dist.get_node_local_rank()) == (0, 1, 0)
        assert dist.get_backend() == dist.Backend.GLOO == "gloo"
        with pytest.raises(ValueError, match="twice"):
            dist.init_process_group("gloo")
    finally:
        dist.destroy_process_group()
    assert dist.group.WORLD is None


def test_more_processes_are_refused(monkeypatch):
    with pytest.raises(NotImplementedError, match="world size 4"):
        dist.init_process_group("gloo", world_size=4, rank=0, store=dist.HashStore())
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="environment variable RANK expected"):
        dist.init_process_group("gloo")
    with pytest.raises(ValueError, match="not been initialized"):
        dist.get_rank()
    with pytest.raises(RuntimeError, match="NVIDIA"):
        dist.init_process_group("nccl", world_size=1, rank=0, store=dist.HashStore())


def test_coalesced_gathering_has_a_list_for_each_process(world):
    into = [[rushlight.zeros(2), rushlight.zeros(1)]]
    dist.all_gather_coalesced(into, [rushlight.ones(2), 2 * rushlight.ones(1)])
    assert [part.tolist() for part in into[0]] == [[1.0, 1.0], [2.0]]
    with pytest.raises(ValueError, match=r"with 1 tensors, got lengths \[2\]"):
        dist.all_gather_coalesced(into, [rushlight.ones(2)])


def test_collectives_of_one_process_are_copies(world):
    x = rushlight.arange(3.0)
    work = dist.all_reduce(x, op=dist.ReduceOp.SUM, async_op=True)
    assert work.wait() and work.is_completed() and x.tolist() == [0.0, 1.0, 2.0]
    assert work.get_future().result()[0] is x
    for collect in (dist.all_gather, dist.gather):
        into = [rushlight.zeros(3)]
        args = (into, x) if collect is dist.all_gather else (x, into)
        assert collect(*args) is None and into[0].tolist() == x.tolist()
    for collect in (dist.scatter, dist.reduce_scatter):
        into = rushlight.zeros(3)
        collect(into, [x])
        assert into.tolist() == x.tolist()
    into = rushlight.zeros(3)
    dist.all_gather_into_tensor(into, x)
    dist.reduce_scatter_tensor(into, x, op=dist.ReduceOp.AVG)
    dist.all_to_all_single(into, x)
    assert into.tolist() == x.tolist()
    assert dist.broadcast(x, 0) is None and dist.barrier() is None
    objects: list = [None]
    source = {"a": [1]}
    dist.all_gather_object(objects, source)
    assert objects[0] == source and objects[0] is not source
    dist.broadcast_object_list(objects, src=0)
    with pytest.raises(RuntimeError, match="invalid root rank: 1"):
        dist.broadcast(x, 1)
    with pytest.raises(ValueError, match="no other process"):
        dist.send(x, 1)
    with pytest.raises(TypeError, match="ReduceOp"):
        dist.all_reduce(x, op="most")


def test_groups_of_the_one_rank_can_be_made(world):
    group = dist.new_group([0])
    assert dist.get_process_group_ranks(group) == [0] and group.size() == 1
    nobody = dist.new_group([])
    assert dist.get_rank(nobody) == -1 and dist.all_reduce(rushlight.ones(1), group=nobody) is None
    with pytest.raises(ValueError, match="within the world_size"):
        dist.new_group([1])
    dist.destroy_process_group(group)
    with pytest.raises(ValueError, match="Invalid process group"):
        dist.barrier(group)
    assert dist.init_device_mesh("cpu", (1,)).size() == 1


@pytest.mark.parametrize("kind", ["hash", "file", "tcp", "prefix"])
def test_stores_keep_values(kind, tmp_path):
    path = str(tmp_path / "store")
    made = {
        "hash": dist.HashStore,
        "file": lambda: dist.FileStore(path, 1),
        "tcp": lambda: dist.TCPStore("127.0.0.1", 0, 1, True),
        "prefix": lambda: dist.PrefixStore("p", dist.HashStore()),
    }
    store = made[kind]()
    store.set("a", "b")
    assert store.get("a") == b"b" and store.add("n", 3) == 3 and store.add("n", 2) == 5
    assert store.get("n") == b"5" and store.num_keys() == 2 and store.check(["a", "n"])
    assert store.compare_set("a", "b", "c") == b"c" and store.delete_key("a")
    if kind == "file":
        assert dist.FileStore(path, 1).get("n") == b"5"
        (tmp_path / "store").write_text("not one")
        with pytest.raises(dist.DistStoreError, match="not a file of this store"):
            store.get("n")


def test_wrapped_modules_train_as_their_modules(world):
    rushlight.manual_seed(0)
    plain = nn.Linear(3, 2)
    wrapped = nn.parallel.DistributedDataParallel(nn.Linear(3, 2))
    wrapped.module.load_state_dict(plain.state_dict())
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    x = rushlight.randn(4, 3)
    with wrapped.no_sync():
        wrapped(x).sum().backward()
    plain(x).sum().backward()
    assert wrapped.module.weight.grad.tolist() == plain.weight.grad.tolist()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(3)))
    assert type(converted[0]) is nn.SyncBatchNorm and converted(x).shape == x.shape
    with pytest.raises(RuntimeError, match="requires a gradient"):
        nn.parallel.DistributedDataParallel(nn.ReLU())


def test_modules_cannot_be_wrapped_without_a_group():
    with pytest.raises(ValueError, match="not been initialized"):
        nn.parallel.DistributedDataParallel(nn.Linear(2, 2))


def test_shares_of_a_dataset_are_pytorchs(world):
    torch = pytest.importorskip("torch")
    from rushlight.utils.data.distributed import DistributedSampler

    assert list(DistributedSampler(range(5), shuffle=False)) == [0, 1, 2, 3, 4]
    for options in ({}, {"shuffle": False}, {"drop_last": True}, {"seed": 3}):
        for rank in range(3):
            ours = DistributedSampler(range(10), 3, rank, **options)
            theirs = torch.utils.data.distributed.DistributedSampler(range(10), 3, rank, **options)
            for epoch in range(2):
                ours.set_epoch(epoch)
                theirs.set_epoch(epoch)
                assert list(ours) == list(theirs) and len(ours) == len(theirs)


def test_random_state_is_untouched_by_collectives(world):
    rushlight.manual_seed(1)
    before = rushlight.get_rng_state().numpy()
    dist.barrier()
    dist.all_reduce(rushlight.ones(2))
    np.testing.assert_array_equal(before, rushlight.get_rng_state().numpy())
