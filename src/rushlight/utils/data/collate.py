"""Collation: a list of samples becomes one batch.  Level 12.

Tensors are stacked, numbers become tensors, mappings, named tuples and sequences are collated part
by part and keep their type where that type can be built; strings stay lists.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from rushlight.base.dtypes import dtype_of_numpy, float64, int64
from rushlight.ops.creation import tensor
from rushlight.ops.joining import stack
from rushlight.tensor.interop import from_numpy
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

_REFUSED = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
)

CollateMap = dict[Any, Callable]


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch from a list of samples of the same structure.

    Raises: TypeError for a type it does not know; RuntimeError for sequences or tensors of unequal
    sizes.  Source: torch.utils.data.default_collate.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """As `default_collate`, with functions by type: {type: f(batch, *, collate_fn_map)}."""
    first = batch[0]
    function = _function_for(first, collate_fn_map or {})
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)

    def collated(parts: Sequence[Any]) -> Any:
        return collate(parts, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _like_mapping(first, {key: collated([s[key] for s in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collated(parts) for parts in zip(*batch)))
    if isinstance(first, Sequence):
        sizes = {len(sample) for sample in batch}
        if len(sizes) != 1:
            raise RuntimeError(
                f"each element in list of batch should be of equal size, found {sorted(sizes)}"
            )
        parts = [collated(part) for part in zip(*batch)]
        return parts if isinstance(first, tuple) else _like_sequence(first, parts)
    raise TypeError(_REFUSED + str(type(first)))


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers to tensors, in place within the structure of `data`."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "SUO":
        return data
    if isinstance(data, np.ndarray):
        return from_numpy(data)
    if isinstance(data, np.generic):
        return tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(part) for part in data))
    if isinstance(data, tuple):
        return [default_convert(part) for part in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(part) for part in data])
    return data


def _function_for(sample: Any, functions: CollateMap) -> Callable | None:
    """The entry for the sample's type, else the first whose type it is an instance of."""
    found = functions.get(type(sample))
    if found is not None:
        return found
    return next((f for kinds, f in functions.items() if isinstance(sample, kinds)), None)


def _like_mapping(sample: Mapping, items: dict) -> Any:
    """`items` in a mapping like `sample`; a copy of it keeps attributes and default factories."""
    try:
        if isinstance(sample, MutableMapping):
            result = copy.copy(sample)
            result.update(items)
            return result
        return type(sample)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _like_sequence(sample: Sequence, items: list) -> Any:
    """`items` in a sequence like `sample`, or the list where that type cannot be built."""
    try:
        if isinstance(sample, MutableSequence):
            result = copy.copy(sample)
            for position, item in enumerate(items):
                result[position] = item
            return result
        return type(sample)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def collate_tensor_fn(
    batch: Sequence[Tensor], *, collate_fn_map: CollateMap | None = None
) -> Tensor:
    """Stack.  Shapes: batch of (...) -> (batch, ...)."""
    first = batch[0]
    alike = all(
        type(t) is Tensor
        and t.shape == first.shape
        and t.dtype is first.dtype
        and not t.requires_grad
        for t in batch
    )
    if not alike:
        return stack(list(batch), 0)
    # A batch enters the tape as one buffer, whatever the samples came from, so that the operations
    # that follow meet the same path each time.
    return tensor_from_numpy(np.stack([t._materialize() for t in batch]), first.dtype)


def collate_numpy_array_fn(
    batch: Sequence[np.ndarray], *, collate_fn_map: CollateMap | None = None
) -> Any:
    """Stack arrays as tensors.  Raises: TypeError for strings and objects."""
    if batch[0].dtype.kind in "SUO":
        raise TypeError(_REFUSED + str(batch[0].dtype))
    if any(array.shape != batch[0].shape for array in batch):
        return collate([from_numpy(array) for array in batch], collate_fn_map=collate_fn_map)
    stacked = np.stack(batch)
    return tensor_from_numpy(stacked, dtype_of_numpy(stacked.dtype))


def collate_numpy_scalar_fn(
    batch: Sequence[np.generic], *, collate_fn_map: CollateMap | None = None
) -> Tensor:
    """A 1-d tensor of NumPy numbers, in their dtype."""
    array = np.array(batch)
    return tensor_from_numpy(array, dtype_of_numpy(array.dtype))


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """A 1-d float64 tensor: Python's floats are doubles."""
    return tensor_from_numpy(np.array(batch, dtype=np.float64), float64)


def collate_int_fn(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """A 1-d tensor of integers or booleans."""
    if all(type(number) is int for number in batch):
        return tensor_from_numpy(np.array(batch, dtype=np.int64), int64)
    return tensor(list(batch))


def collate_str_fn(batch: Sequence[str], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Strings stay as they are."""
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
