"""DataLoader.  Level 12."""

from __future__ import annotations

import enum
import math
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeAlias, TypeVar

from rushlight.engine.accelerators import present
from rushlight.tensor.tensor import Tensor
from rushlight.utils.data.collate import default_collate, default_convert
from rushlight.utils.data.datapipes.datapipe import IterDataPipe
from rushlight.utils.data.dataset import Dataset, IterableDataset
from rushlight.utils.data.fetch import Fetcher
from rushlight.utils.data.graph_settings import apply_shuffle_settings
from rushlight.utils.data.parallel import ParallelBatches, default_context
from rushlight.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from rushlight.utils.data.seeding import draw_seed
from rushlight.utils.data.worker import Job, seed_pipes

T_co = TypeVar("T_co", covariant=True)

# What an iterator is built from; changing it afterwards would not have the effect expected.
_FIXED = (
    "batch_size",
    "batch_sampler",
    "sampler",
    "drop_last",
    "dataset",
    "persistent_workers",
)


class _Endless(Sampler):
    """The indices of a stream: nothing, for ever."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Batches of a dataset, in order or shuffled, fetched here or by worker processes.

    batch_size: None hands out samples as they are; otherwise lists of samples go to collate_fn.
    shuffle, sampler, batch_sampler: the order, given one way only.
    num_workers: processes that fetch; `timeout`, `worker_init_fn`, `prefetch_factor` (batches ahead
    for each), `persistent_workers` (keep them between passes), `multiprocessing_context` and
    `in_order` are about these.
    pin_memory: has no effect without an accelerator, and says so.
    Raises: ValueError for options that exclude each other.  While iterating: what the dataset
    raised, also in a worker; RuntimeError when a worker dies.
    Source: torch.utils.data.DataLoader; the same seed gives the same order.
    """

    _initialized = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler[list] | Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_worker_options(num_workers, timeout, prefetch_factor, persistent_workers)
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        if isinstance(dataset, IterDataPipe):
            dataset = apply_shuffle_settings(dataset, shuffle)
            shuffle = None
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            _check_stream_options(shuffle, sampler, batch_sampler)
        _check_order_options(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        if sampler is None:
            sampler = self._default_sampler(bool(shuffle), generator)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if batch_sampler is not None else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._IterableDataset_len_called: int | None = None
        self._iterator: _BatchIterator | None = None
        self._initialized = True
        self.check_worker_number_rationality()

    def _default_sampler(self, shuffle: bool, generator: Any) -> Sampler:
        if self._is_stream:
            return _Endless()
        if shuffle:
            return RandomSampler(self.dataset, generator=generator)  # type: ignore[arg-type]
        return SequentialSampler(self.dataset)  # type: ignore[arg-type]

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """How workers are started: a context, set as one or as the name of a start method."""
        return self._multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, value: Any) -> None:
        if value is not None and self.num_workers == 0:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading "
                f"(num_workers > 0), but got num_workers={self.num_workers}"
            )
        if isinstance(value, str):
            methods = multiprocessing.get_all_start_methods()
            if value not in methods:
                raise ValueError(
                    "multiprocessing_context option should specify a valid start method in "
                    f"{methods!r}, but got multiprocessing_context={value!r}"
                )
            value = multiprocessing.get_context(value)
        if value is not None and not isinstance(value, BaseContext):
            raise TypeError(
                "multiprocessing_context option should be a valid context object or a string "
                f"specifying the start method, but got multiprocessing_context={value}"
            )
        self._multiprocessing_context = value

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        if not self.persistent_workers:
            return self._new_iterator()
        if self._iterator is None:
            self._iterator = self._new_iterator()
        else:
            self._iterator._begin_pass()
        return self._iterator

    def _new_iterator(self) -> _BatchIterator:
        self.check_worker_number_rationality()
        return _WorkerIterator(self) if self.num_workers > 0 else _LocalIterator(self)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _dataset_kind(self) -> _DatasetKind:
        return _DatasetKind.Iterable if self._is_stream else _DatasetKind.Map

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        if not self._is_stream:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        if self.drop_last:
            return length // self.batch_size
        return math.ceil(length / self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn when there are to be more workers than processors this process may use."""
        if not self.num_workers:
            return
        has_affinity = hasattr(os, "sched_getaffinity")
        available = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
        if available is None or self.num_workers > available:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {available}, which is "
                "smaller than what this DataLoader is going to create. Please be aware that "
                "excessive worker creation might get DataLoader running slow or even freeze, "
                "lower the worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )


def _pinned(batch: Any) -> Any:
    """A batch whose tensors are pinned, in whatever it is made of."""
    if isinstance(batch, Tensor) or hasattr(batch, "pin_memory"):
        return batch.pin_memory()
    if isinstance(batch, dict):
        return type(batch)({key: _pinned(value) for key, value in batch.items()})
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_pinned(part) for part in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(_pinned(part) for part in batch)
    return batch


class _BatchIterator:
    """One pass over a loader.  The base seed is drawn first, before the sampler draws."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        # Loaders of other libraries are asked too, which have PyTorch's attributes.
        self._fetch_options = (
            loader._dataset_kind == _DatasetKind.Iterable,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
        )
        if loader.pin_memory and present() is None:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=4,
            )
        self._draw_pipe_seed()
        self._indices = iter(loader._index_sampler)
        self._base_seed = draw_seed(loader.generator)
        self._yielded = 0

    def _draw_pipe_seed(self) -> None:
        """The seed from which those of a pipeline's steps come; workers are told it."""
        self._pipe_seed: int | None = None
        if isinstance(self._loader.dataset, IterDataPipe):
            self._pipe_seed = draw_seed(self._loader.generator)
            seed_pipes(self._loader.dataset, self._pipe_seed)

    def __iter__(self) -> _BatchIterator:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __next__(self) -> Any:
        batch = self._next_batch()
        self._yielded += 1
        announced = self._loader._IterableDataset_len_called
        if announced is not None and self._yielded > announced:
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {announced} "
                f"(when accessing len(dataloader)), but {self._yielded} samples have been "
                "fetched. With workers, each may be repeating the whole stream: give each its "
                "share by get_worker_info().",
                stacklevel=2,
            )
        if self._loader.pin_memory and present() is not None:
            return _pinned(batch)
        return batch

    def _next_batch(self) -> Any:
        raise NotImplementedError

    def _begin_pass(self) -> None:
        self._indices = iter(self._loader._index_sampler)
        self._yielded = 0

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _LocalIterator(_BatchIterator):
    """Fetches in this process."""

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        self._fetcher = Fetcher.of(loader.dataset, *self._fetch_options)

    def _next_batch(self) -> Any:
        return self._fetcher.fetch(next(self._indices))


class _WorkerIterator(_BatchIterator):
    """Fetches in worker processes."""

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        jobs = [
            Job(
                loader.dataset,
                self._fetch_options,
                self._base_seed,
                loader.worker_init_fn,
                number,
                loader.num_workers,
                self._pipe_seed,
            )
            for number in range(loader.num_workers)
        ]
        # PyTorch draws another one here, which nobody is told.
        self._draw_pipe_seed()
        self._batches = ParallelBatches(
            jobs,
            loader.multiprocessing_context or default_context(),
            loader.prefetch_factor or 1,
            loader.timeout,
            loader.in_order,
            loader.persistent_workers,
        )
        self._batches.begin(self._indices)

    def _next_batch(self) -> Any:
        return self._batches.next()

    def _begin_pass(self) -> None:
        super()._begin_pass()
        self._draw_pipe_seed()
        self._batches.begin(self._indices, self._pipe_seed)


# The names by which programs ask what an iterator or a dataset is.
_BaseDataLoaderIter = _BatchIterator
_SingleProcessDataLoaderIter = _LocalIterator
_MultiProcessingDataLoaderIter = _WorkerIterator
_collate_fn_t: TypeAlias = Callable[[list[Any]], Any]
_worker_init_fn_t: TypeAlias = Callable[[int], None]


class _DatasetKind(enum.IntEnum):
    """Whether samples are asked for or come."""

    Map = 0
    Iterable = 1


def _check_worker_options(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; "
            "use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing. "
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_stream_options(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, "
                f"but got {name}={value}"
            )


def _check_order_options(
    batch_size: int | None, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                "and drop_last"
            )
    elif batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )
