"""Datasets, splits and sampling orders, against PyTorch where there is a counterpart."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.random import manual_seed
from rushlight.utils import data

torch = pytest.importorskip("torch")


class Squares(data.Dataset):
    def __init__(self, size: int) -> None:
        self.size = size

    def __getitem__(self, index):
        return index * index

    def __len__(self) -> int:
        return self.size


class Countdown(data.IterableDataset):
    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self):
        return iter(range(self.start, 0, -1))

    def __len__(self) -> int:
        return self.start


def same_in_both(draw, seed: int = 11):
    """`draw(library data module, Generator class)` gives the same in PyTorch and here."""
    torch.manual_seed(seed)
    expected = draw(torch.utils.data, torch.Generator)
    manual_seed(seed)
    assert draw(data, rushlight.random.Generator) == expected
    return expected


@pytest.mark.parametrize("size", [1, 2, 31, 1000])
def test_shuffled_order_equals_pytorchs(size):
    same_in_both(lambda lib, _: [list(lib.RandomSampler(range(size))) for _ in range(3)])


@pytest.mark.parametrize("count", [5, 32, 33, 70])
def test_sampling_with_replacement_equals_pytorchs(count):
    same_in_both(lambda lib, _: list(lib.RandomSampler(range(17), True, count)))


def test_more_samples_than_the_dataset_has_give_several_permutations():
    same_in_both(lambda lib, _: list(lib.RandomSampler(range(7), num_samples=24)))


def test_a_generator_of_its_own_is_used_and_advanced():
    def draw(lib, generator_class):
        generator = generator_class()
        generator.manual_seed(3)
        sampler = lib.RandomSampler(range(9), generator=generator)
        return [list(sampler), list(sampler), list(lib.SubsetRandomSampler([4, 5, 6], generator))]

    same_in_both(draw)


@pytest.mark.parametrize("replacement", [True, False])
def test_weighted_sampling_equals_pytorchs(replacement):
    weights = [0.1, 3.0, 0.4, 1.0, 2.0]
    same_in_both(lambda lib, _: list(lib.WeightedRandomSampler(weights, 4, replacement)))


@pytest.mark.parametrize("drop_last", [True, False])
def test_batch_sampler_groups_indices(drop_last):
    def draw(lib, _):
        sampler = lib.BatchSampler(lib.SequentialSampler(range(10)), 4, drop_last)
        return [list(sampler), len(sampler)]

    same_in_both(draw)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("size", [2, 10, 11])
def test_distributed_shares_equal_pytorchs(shuffle, drop_last, size):
    def draw(lib, _):
        kind = getattr(lib, "DistributedSampler", torch.utils.data.DistributedSampler)
        shares = []
        for rank in range(3):
            sampler = kind(range(size), 3, rank, shuffle=shuffle, seed=4, drop_last=drop_last)
            sampler.set_epoch(2)
            shares.append((list(sampler), len(sampler)))
        return shares

    if drop_last and size < 3:
        pytest.skip("PyTorch gives a rank nothing and fails")
    same_in_both(draw)


@pytest.mark.parametrize("lengths", [[3, 7], [0.5, 0.5], [0.34, 0.33, 0.33], [0.55, 0.45]])
def test_random_split_equals_pytorchs(lengths):
    same_in_both(lambda lib, _: [list(s.indices) for s in lib.random_split(range(10), lengths)])


def test_random_split_with_a_generator_leaves_the_default_one_alone():
    generator = rushlight.random.Generator().manual_seed(42)
    manual_seed(0)
    before = rushlight.random.get_rng_state().tolist()
    parts = data.random_split(Squares(5), [2, 3], generator=generator)
    assert rushlight.random.get_rng_state().tolist() == before
    expected = torch.utils.data.random_split(
        range(5), [2, 3], generator=torch.Generator().manual_seed(42)
    )
    assert [list(p.indices) for p in parts] == [list(p.indices) for p in expected]


def test_random_split_refuses_lengths_that_do_not_add_up():
    with pytest.raises(ValueError, match="Sum of input lengths does not equal"):
        data.random_split(Squares(5), [2, 2])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        data.random_split(Squares(5), [-0.5, 1.5])


def test_random_split_warns_of_an_empty_part():
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        data.random_split(Squares(1), [0.5, 0.5])


def test_tensor_dataset_gives_rows():
    xs = rushlight.tensor(np.arange(6, dtype=np.float32).reshape(3, 2))
    ys = rushlight.tensor([7, 8, 9])
    dataset = data.TensorDataset(xs, ys)
    assert len(dataset) == 3
    x, y = dataset[1]
    assert x.tolist() == [2.0, 3.0]
    assert y.item() == 8


def test_tensor_dataset_refuses_unequal_first_sizes():
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        data.TensorDataset(rushlight.tensor([1, 2]), rushlight.tensor([1, 2, 3]))


def test_concatenation_indexes_through_all_parts():
    joined = Squares(3) + Squares(2)
    assert isinstance(joined, data.ConcatDataset)
    assert [joined[i] for i in range(-5, 5)] == [0, 1, 4, 0, 1] * 2
    with pytest.raises(ValueError, match="absolute value of index"):
        joined[-6]
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        data.ConcatDataset([Countdown(3)])
    with pytest.raises(AssertionError, match="should not be an empty iterable"):
        data.ConcatDataset([])


def test_chain_iterates_one_stream_after_another():
    chain = Countdown(3) + Countdown(2)
    assert isinstance(chain, data.ChainDataset)
    assert list(chain) == [3, 2, 1, 2, 1]
    assert len(chain) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(data.ChainDataset([Squares(2)]))


def test_stack_gives_tuples_or_dicts():
    assert data.StackDataset(Squares(3), Squares(3))[2] == (4, 4)
    stack = data.StackDataset(a=Squares(3), b=[5, 6, 7])
    assert stack[1] == {"a": 1, "b": 6}
    assert stack.__getitems__([0, 2]) == [{"a": 0, "b": 5}, {"a": 4, "b": 7}]
    with pytest.raises(ValueError, match="Size mismatch between datasets"):
        data.StackDataset(Squares(3), Squares(4))
    with pytest.raises(ValueError, match="At least one dataset"):
        data.StackDataset()


def test_subset_fetches_a_batch_by_one_call():
    calls = []

    class Vectorised(Squares):
        def __getitems__(self, indices):
            calls.append(indices)
            return [index * index for index in indices]

    subset = data.Subset(Vectorised(10), [9, 8, 7])
    assert subset[0] == 81
    assert subset.__getitems__([0, 2]) == [81, 49]
    assert calls == [[9, 7]]


def test_subset_refuses_a_subclass_that_batches_would_pass_by():
    class Doubled(data.Subset):
        def __getitem__(self, index):
            return 2 * super().__getitem__(index)

    with pytest.raises(NotImplementedError, match="overrides __getitem__ but not __getitems__"):
        Doubled(Squares(3), [0, 1])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: data.RandomSampler([]), "num_samples should be a positive integer"),
        (lambda: data.BatchSampler([1], 0, False), "batch_size should be a positive integer"),
        (lambda: data.BatchSampler([1], True, False), "batch_size should be a positive integer"),
        (lambda: data.BatchSampler([1], 1, "no"), "drop_last should be a boolean"),
        (lambda: data.WeightedRandomSampler([1.0], 0), "num_samples should be a positive"),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), "weights should be a 1d sequence"),
        (lambda: data.DistributedSampler([1], 2, 2), "Invalid rank 2"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
