"""DataLoader in one process: batches, order, seeds and refused options."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import rushlight
from rushlight.random import get_rng_state, manual_seed
from rushlight.utils import data
from rushlight.utils.data import dataloader

torch = pytest.importorskip("torch")

X = np.arange(44, dtype=np.float32).reshape(22, 2)
Y = np.arange(22)


def datasets():
    return (
        torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)),
        data.TensorDataset(rushlight.tensor(X), rushlight.tensor(Y)),
    )


def as_lists(batches):
    return [[part.tolist() for part in batch] for batch in batches]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 22, 30])
def test_batches_equal_pytorchs_over_epochs(shuffle, drop_last, batch_size):
    theirs, ours = datasets()
    options = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last}
    torch.manual_seed(1)
    manual_seed(1)
    expected = torch.utils.data.DataLoader(theirs, **options)
    loader = data.DataLoader(ours, **options)
    assert len(loader) == len(expected)
    for _ in range(2):
        assert as_lists(loader) == as_lists(expected)
    # The stream goes on from the same place: every draw was made.
    assert get_rng_state().tolist() == torch.get_rng_state().tolist()


def test_a_generator_of_its_own_decides_order_and_base_seed():
    theirs, ours = datasets()
    generators = torch.Generator().manual_seed(9), rushlight.random.Generator().manual_seed(9)
    expected = torch.utils.data.DataLoader(theirs, 5, shuffle=True, generator=generators[0])
    loader = data.DataLoader(ours, 5, shuffle=True, generator=generators[1])
    for _ in range(2):
        assert as_lists(loader) == as_lists(expected)
    assert generators[1].get_state().tolist() == generators[0].get_state().tolist()


def test_the_fast_gather_equals_indexing_and_collating():
    dataset = datasets()[1]
    subset = data.Subset(data.Subset(dataset, list(range(20, 0, -2))), [3, 1, 4, 0, 5])
    fast = as_lists(data.DataLoader(subset, 2))
    slow = as_lists(data.DataLoader(subset, 2, collate_fn=lambda s: data.default_collate(s)))
    assert fast == slow


def test_the_fast_gather_reads_memory_shared_with_numpy():
    array = np.zeros((4, 2), np.float32)
    dataset = data.TensorDataset(rushlight.from_numpy(array))
    loader = data.DataLoader(dataset, 4)
    (before,) = next(iter(loader))
    array += 1
    (after,) = next(iter(loader))
    assert before.sum().item() == 0
    assert after.sum().item() == 8


def test_an_index_out_of_range_raises_as_indexing_does():
    dataset = datasets()[1]
    with pytest.raises(IndexError):
        next(iter(data.DataLoader(dataset, batch_sampler=[[0, 22]])))


def test_a_subclass_of_tensor_dataset_keeps_its_own_indexing():
    class Doubled(data.TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * part for part in super().__getitem__(index))

    (batch,) = next(iter(data.DataLoader(Doubled(rushlight.tensor([1, 2, 3])), 3)))
    assert batch.tolist() == [2, 4, 6]


def test_gradients_reach_a_dataset_that_requires_them():
    source = rushlight.tensor([1.0, 2.0, 3.0]).requires_grad_()
    for (batch,) in data.DataLoader(data.TensorDataset(source), 2):
        batch.sum().backward()
    assert source.grad.tolist() == [1, 1, 1]


def test_without_batching_samples_are_converted_only():
    loader = data.DataLoader([np.float32(1.0), 2, "three"], batch_size=None)
    first, second, third = loader
    assert isinstance(first, rushlight.Tensor)
    assert (second, third) == (2, "three")
    assert len(loader) == 3


def test_a_batch_sampler_gives_lists_of_indices():
    loader = data.DataLoader(list(range(6)), batch_sampler=[[5, 0], [1, 2, 3]])
    assert [batch.tolist() for batch in loader] == [[5, 0], [1, 2, 3]]
    assert loader.batch_size is None


def test_getitems_is_called_once_for_each_batch():
    calls = []

    class Vectorised(data.Dataset):
        def __len__(self):
            return 5

        def __getitems__(self, indices):
            calls.append(list(indices))
            return [10 * index for index in indices]

    loader = data.DataLoader(Vectorised(), batch_size=2)
    assert [batch.tolist() for batch in loader] == [[0, 10], [20, 30], [40]]
    assert calls == [[0, 1], [2, 3], [4]]


class Stream(data.IterableDataset):
    def __init__(self, size, announced=None):
        self.size = size
        self.announced = size if announced is None else announced

    def __iter__(self):
        return iter(range(self.size))

    def __len__(self):
        return self.announced


@pytest.mark.parametrize(
    "drop_last, expected", [(False, [[0, 1], [2, 3], [4]]), (True, [[0, 1], [2, 3]])]
)
def test_streams_are_batched(drop_last, expected):
    loader = data.DataLoader(Stream(5), batch_size=2, drop_last=drop_last)
    assert [batch.tolist() for batch in loader] == expected
    assert len(loader) == len(expected)


def test_a_stream_longer_than_announced_is_warned_of():
    loader = data.DataLoader(Stream(3, announced=2), batch_size=None)
    len(loader)
    with pytest.warns(UserWarning, match="was reported to be 2"):
        assert list(loader) == [0, 1, 2]


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
        ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, ValueError, "prefetch_factor option could only be specified"),
        ({"num_workers": 1, "prefetch_factor": -1}, ValueError, "prefetch_factor option should be"),
        ({"persistent_workers": True}, ValueError, "needs num_workers > 0"),
        ({"shuffle": True, "sampler": [0]}, ValueError, "sampler option is mutually exclusive"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler option is mutually"),
        ({"batch_sampler": [[0]], "shuffle": True}, ValueError, "batch_sampler option is mutually"),
        ({"batch_size": None, "drop_last": True}, ValueError, "mutually exclusive with drop_last"),
        ({"batch_size": 0}, ValueError, "batch_size should be a positive integer"),
        ({"multiprocessing_context": "fork"}, ValueError, "can only be used with multi-process"),
        ({"num_workers": 1, "multiprocessing_context": "no"}, ValueError, "valid start method"),
        ({"num_workers": 1, "multiprocessing_context": 3}, TypeError, "valid context object"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        data.DataLoader([1, 2, 3], **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_streams_take_no_order(options):
    with pytest.raises(ValueError, match="DataLoader with IterableDataset: expected unspecified"):
        data.DataLoader(Stream(3), **options)


def test_what_an_iterator_is_built_from_cannot_be_changed():
    loader = data.DataLoader([1, 2, 3])
    with pytest.raises(ValueError, match="batch_size attribute should not be set"):
        loader.batch_size = 2
    loader.collate_fn = list
    assert list(loader) == [[1], [2], [3]]


def test_pinned_memory_is_refused_truthfully():
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert len(list(data.DataLoader([1, 2], pin_memory=True))) == 2


def test_more_workers_than_processors_are_warned_of():
    with pytest.warns(UserWarning, match="will create 4096 worker processes"):
        data.DataLoader([1], num_workers=4096)


def test_there_is_no_worker_info_in_the_main_process():
    assert data.get_worker_info() is None


def test_a_foreign_loader_with_pytorchs_attributes_is_iterated() -> None:
    """As fastai's: no dataset's class says that it is a stream, the loader does."""

    class Foreign:
        num_workers, timeout, pin_memory, persistent_workers = 0, 0, False, False
        prefetch_factor, generator, worker_init_fn, in_order = None, None, None, True
        multiprocessing_context, drop_last, pin_memory_device = None, False, ""
        _IterableDataset_len_called, _auto_collation = None, False
        _dataset_kind, _index_sampler = dataloader._DatasetKind.Iterable, itertools.count()

        def __init__(self) -> None:
            self.dataset = self

        def collate_fn(self, x):
            return x

        def __iter__(self):
            return iter([[1, 2], [3]])

    assert list(dataloader._SingleProcessDataLoaderIter(Foreign())) == [[1, 2], [3]]
