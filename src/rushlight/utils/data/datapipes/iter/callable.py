"""Steps that call a function of each sample.  Level 12."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from rushlight.utils.data.collate import default_collate
from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.columns import applied, check_columns, check_function, replaced
from rushlight.utils.data.datapipes.datapipe import IterDataPipe, length_of

T_co = TypeVar("T_co", covariant=True)


@functional_datapipe("map")
class MapperIterDataPipe(IterDataPipe[T_co]):
    """`fn` of each sample, or of its columns `input_col`.

    output_col: where the result goes, -1 behind the others; by default where the (first) column
        was, the others being left out.
    Raises: ValueError if fn takes another number of arguments.
    """

    def __init__(
        self, datapipe: Any, fn: Callable, input_col: Any = None, output_col: Any = None
    ) -> None:
        super().__init__()
        check_function(fn)
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        if isinstance(output_col, (list, tuple)):
            if len(output_col) > 1:
                raise ValueError("`output_col` must be a single-element list or tuple")
            output_col = output_col[0]
        check_columns(fn, input_col)
        self.datapipe = datapipe
        self.fn = fn
        self.input_col = input_col
        self.output_col = output_col

    def __iter__(self) -> Iterator[T_co]:
        for sample in self.datapipe:
            value = applied(self.fn, sample, self.input_col)
            yield replaced(sample, value, self.input_col, self.output_col)

    def __len__(self) -> int:
        return length_of(self.datapipe, self)


@functional_datapipe("collate")
class CollatorIterDataPipe(MapperIterDataPipe):
    """Each batch collated: by `collate_fn`, or by `default_collate`."""

    def __init__(
        self,
        datapipe: Any,
        conversion: Callable = default_collate,
        collate_fn: Callable | None = None,
    ) -> None:
        super().__init__(datapipe, fn=conversion if collate_fn is None else collate_fn)
