"""Steps that make several pipes of one.  Level 12.

The pipes read one source, so that what one of them takes is kept for the others.  An iterator of
one that had one since the source was begun begins the source again, for all.
"""

from __future__ import annotations

import copy as copying
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.columns import check_function
from rushlight.utils.data.datapipes.datapipe import IterDataPipe
from rushlight.utils.data.datapipes.streams import StreamWrapper

_COPIES: dict[str | None, Callable] = {
    None: lambda sample: sample,
    "shallow": copying.copy,
    "deep": copying.deepcopy,
}


class _Shared:
    """A source that is read by `num_instances` pipes."""

    def __init__(self, name: str, datapipe: Any, num_instances: int, buffer_size: int) -> None:
        self.name = name
        self.main_datapipe = datapipe
        self.num_instances = num_instances
        self.buffer_size = buffer_size
        self.generation: int | None = None
        if buffer_size < 0:
            warnings.warn(
                f"Unlimited buffer size is set for `{name}`, please be aware of OOM at random"
                " places",
                UserWarning,
                stacklevel=5,
            )
        self.reset()

    def reset(self) -> None:
        """Begin the source again with the next sample that is asked for."""
        self.source: Iterator | None = None
        self.ended = False
        self.stopped = [True] * self.num_instances

    def samples_of(self, number: int) -> Iterator:
        """The samples for one of the pipes."""
        if self.source is None and self.stopped[number]:
            self.source = iter(self.main_datapipe)
            self.ended = False
            self.stopped = [False] * self.num_instances
        try:
            while not self.stopped[number]:
                found, sample = self.take(number)
                if not found:
                    return
                yield sample
        finally:
            self.stopped[number] = True
            if all(self.stopped):
                self.source = None
            self.left(number)

    def take(self, number: int) -> tuple[bool, Any]:
        """The next sample for a pipe; False at the end."""
        raise NotImplementedError

    def left(self, number: int) -> None:
        """A pipe takes no more samples: close the streams that were kept for it."""

    def read(self) -> tuple[bool, Any]:
        """The next sample of the source; False at its end."""
        if not self.ended:
            assert self.source is not None
            for sample in self.source:
                return True, sample
        self.ended = True
        return False, None

    def is_every_instance_exhausted(self) -> bool:
        """Whether the pipes and the source are at the end."""
        return self.ended and all(self.stopped)

    def overflow(self) -> BufferError:
        """What to raise when one pipe is too far ahead of another."""
        kind = "Forker" if self.name == "fork" else "Demultiplexer"
        return BufferError(
            f"{kind}IterDataPipe buffer overflow, buffer size {self.buffer_size} is insufficient."
        )

    def __getstate__(self) -> dict[str, Any]:
        names = ("source", "buffer", "buffers")
        return {key: value for key, value in vars(self).items() if key not in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.reset()


class _Forked(_Shared):
    """buffer: samples that one pipe has taken and another not; the first has the number `first`."""

    def __init__(self, datapipe: Any, number: int, buffer_size: int, copy: str | None) -> None:
        if copy not in _COPIES:
            raise ValueError(
                f"Unknown copy method `{copy}` requested, choose one of None, `shallow` or `deep`."
            )
        self.copy = copy
        super().__init__("fork", datapipe, number, buffer_size)

    def reset(self) -> None:
        super().reset()
        self.buffer: deque = deque()
        self.first = 0
        self.places = [0] * self.num_instances

    def take(self, number: int) -> tuple[bool, Any]:
        behind = self.places[number] - self.first
        if behind == len(self.buffer):
            found, sample = self.read()
            if not found:
                return False, None
            self.buffer.append(sample)
        sample = self.buffer[behind]
        self.places[number] += 1
        while self.first < min(self.places):
            self.buffer.popleft()
            self.first += 1
        if 0 <= self.buffer_size < max(self.places) - min(self.places):
            raise self.overflow()
        return True, _COPIES[self.copy](sample)

    def left(self, number: int) -> None:
        if all(self.stopped):
            StreamWrapper.close_streams(list(self.buffer))
            self.buffer.clear()

    def length(self) -> int:
        return len(self.main_datapipe)


class _Demultiplexed(_Shared):
    """buffers: for each pipe the samples that were read by another."""

    def __init__(
        self, datapipe: Any, number: int, classifier: Callable, drop_none: bool, buffer_size: int
    ) -> None:
        self.classifier_fn = classifier
        self.drop_none = drop_none
        super().__init__("demux", datapipe, number, buffer_size)

    def reset(self) -> None:
        super().reset()
        self.buffers: list[deque] = [deque() for _ in range(self.num_instances)]

    def take(self, number: int) -> tuple[bool, Any]:
        if self.buffers[number]:
            return True, self.buffers[number].popleft()
        while True:
            found, sample = self.read()
            if not found:
                return False, None
            wanted = self.classifier_fn(sample)
            if wanted is None and self.drop_none:
                StreamWrapper.close_streams(sample)
                continue
            if wanted is None or not 0 <= wanted < self.num_instances:
                raise ValueError(
                    "Output of the classification fn should be between 0 and"
                    f" {self.num_instances - 1}. {wanted} is returned."
                )
            if wanted == number:
                return True, sample
            self.buffers[wanted].append(sample)
            if 0 <= self.buffer_size < sum(len(buffer) for buffer in self.buffers):
                raise self.overflow()

    def left(self, number: int) -> None:
        StreamWrapper.close_streams(list(self.buffers[number]))
        self.buffers[number].clear()

    def length(self) -> int:
        raise TypeError("a part of a demultiplexed pipe doesn't have valid length")


class _ChildDataPipe(IterDataPipe):
    """One of the pipes that read a source."""

    def __init__(self, main_datapipe: Any, instance_id: int) -> None:
        self.main_datapipe = main_datapipe
        self.instance_id = instance_id

    def __iter__(self) -> Iterator:
        return self.main_datapipe.samples_of(self.instance_id)

    def __len__(self) -> int:
        return self.main_datapipe.length()

    def _begin_iterator(self) -> int:
        main = self.main_datapipe
        if main.generation is None:
            main.generation = 0
        elif main.generation == self._valid_iterator_id:
            if not main.is_every_instance_exhausted():
                warnings.warn(
                    "Some child DataPipes are not exhausted when __iter__ is called. We are"
                    " resetting the buffer and each child DataPipe will read from the start again.",
                    UserWarning,
                    stacklevel=3,
                )
            main.generation += 1
            main.reset()
        self._valid_iterator_id = main.generation
        self._number_of_samples_yielded = 0
        return main.generation

    def _is_valid(self, number: int) -> bool:
        return number == self._valid_iterator_id == self.main_datapipe.generation


def _check_number(num_instances: int) -> None:
    if num_instances < 1:
        raise ValueError(f"Expected `num_instances` larger than 0, but {num_instances} is found")


@functional_datapipe("fork")
class ForkerIterDataPipe(IterDataPipe):
    """`num_instances` pipes of the same samples, in a list.

    buffer_size: how many samples one may be ahead of another (BufferError); -1 for any number.
    copy: None, "shallow" or "deep": what each gets of a sample.
    """

    def __new__(  # type: ignore[misc]
        cls, datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: str | None = None
    ) -> Any:
        _check_number(num_instances)
        if num_instances == 1:
            return datapipe
        shared = _Forked(datapipe, num_instances, buffer_size, copy)
        return [_ChildDataPipe(shared, number) for number in range(num_instances)]


@functional_datapipe("demux")
class DemultiplexerIterDataPipe(IterDataPipe):
    """`num_instances` pipes in a list; a sample goes to the one whose number the function gives.

    drop_none: leave out those for which it gives None.
    buffer_size: how many samples may wait for all pipes together (BufferError); -1 for any number.
    """

    def __new__(  # type: ignore[misc]
        cls,
        datapipe: Any,
        num_instances: int,
        classifier_fn: Callable,
        drop_none: bool = False,
        buffer_size: int = 1000,
    ) -> Any:
        _check_number(num_instances)
        check_function(classifier_fn)
        shared = _Demultiplexed(datapipe, num_instances, classifier_fn, drop_none, buffer_size)
        return [_ChildDataPipe(shared, number) for number in range(num_instances)]
