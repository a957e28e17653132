"""The step that leaves samples out.  Level 12."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.columns import applied, check_columns, check_function
from rushlight.utils.data.datapipes.datapipe import IterDataPipe
from rushlight.utils.data.datapipes.streams import StreamWrapper

T_co = TypeVar("T_co", covariant=True)


@functional_datapipe("filter")
class FilterIterDataPipe(IterDataPipe[T_co]):
    """The samples for which `filter_fn`, of them or of their columns `input_col`, is True.

    Raises, while iterating: ValueError if it gives anything but a bool.
    """

    def __init__(self, datapipe: Any, filter_fn: Callable, input_col: Any = None) -> None:
        super().__init__()
        check_function(filter_fn)
        check_columns(filter_fn, input_col)
        self.datapipe = datapipe
        self.filter_fn = filter_fn
        self.input_col = input_col

    def __iter__(self) -> Iterator[T_co]:
        for sample in self.datapipe:
            wanted = applied(self.filter_fn, sample, self.input_col)
            if not isinstance(wanted, bool):
                raise ValueError(
                    "Boolean output is required for `filter_fn` of FilterIterDataPipe, got",
                    type(wanted),
                )
            if wanted:
                yield sample
            else:
                StreamWrapper.close_streams(sample)
