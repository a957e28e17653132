"""Sparse tensors from their parts, and the checks of these parts.  Level: sparse (12).

In: places and elements as tensors or nested lists.  Out: a SparseTensor that autograd follows
through the elements.  Places are checked only where a program asks for it, as in PyTorch, because
that reads them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.dtypes import DType, get_default_dtype, int32, int64
from rushlight.ops.creation import tensor as new_tensor
from rushlight.ops.creation import zeros
from rushlight.sparse import blocks
from rushlight.tensor.sparse_tensor import COMPRESSED, SparseTensor, array_of
from rushlight.tensor.tensor import Tensor


class _Checks(threading.local):
    enabled = False


_checks = _Checks()


class check_sparse_tensor_invariants:  # noqa: N801 - PyTorch's name
    """Whether constructors check the places: a context manager, decorator and namespace.

    `with check_sparse_tensor_invariants():` checks inside, `(False)` does not.
    Source: torch.sparse.check_sparse_tensor_invariants.
    """

    @staticmethod
    def is_enabled() -> bool:
        """Whether places are checked."""
        return _checks.enabled

    @staticmethod
    def enable() -> None:
        """Check from now on."""
        _checks.enabled = True

    @staticmethod
    def disable() -> None:
        """Check no more."""
        _checks.enabled = False

    def __init__(self, enable: bool = True) -> None:
        self.state = enable
        self.saved: list[bool] = []

    def __enter__(self) -> None:
        self.saved.append(_checks.enabled)
        _checks.enabled = self.state

    def __exit__(self, *exception: object) -> None:
        _checks.enabled = self.saved.pop()

    def __call__(self, function: Callable) -> Callable:
        def checked(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.state):
                return function(*args, **kwargs)

        return checked


def without_elements(
    shape: tuple[int, ...], dtype: DType, layout: formats.layout, requires_grad: bool
) -> SparseTensor:
    """A tensor of zeros: nothing is kept.  Raises: RuntimeError for shapes without the layout."""
    elements = zeros((0,), dtype=dtype, requires_grad=requires_grad)
    if layout is formats.sparse_coo:
        places = zeros((len(shape), 0), dtype=int64)
        return SparseTensor(layout, (places,), elements, shape, True)
    if len(shape) != 2:
        raise RuntimeError(f"{layout}: only matrices have this layout, got the size {shape}")
    begins = zeros((shape[0 if layout is formats.sparse_csr else 1] + 1,), dtype=int64)
    return SparseTensor(layout, (begins, zeros((0,), dtype=int64)), elements, shape, True)


def _checked(check_invariants: bool | None) -> bool:
    return _checks.enabled if check_invariants is None else bool(check_invariants)


def _elements(values: Any, dtype: DType | None, requires_grad: bool) -> Tensor:
    if not isinstance(values, Tensor):
        made = new_tensor(values, dtype=dtype)
    else:
        made = values if dtype is None or values.dtype is dtype else values.to(dtype)
    return made.detach().requires_grad_() if requires_grad else made


def _indices(values: Any, name: str) -> Tensor:
    if not isinstance(values, Tensor):
        values = new_tensor(values, dtype=int64)
    if values.dtype not in (int32, int64):
        if values.dtype.is_inexact or values.dtype.is_complex:
            raise TypeError(f"{name}: expected integers, got {values.dtype}")
        values = values.to(int64)
    return values.detach()


def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """Values at coordinates.

    indices: (sparse axes, n); equal coordinates add up.  values: (n, *dense axes).
    size: the shape; without it, just large enough (which reads the indices).
    Forms: sparse_coo_tensor(size) gives one without values.
    Raises: RuntimeError if the parts do not fit each other or, where checks are on, the size.
    Source: torch.sparse_coo_tensor.
    """
    if values is None:
        shape = tuple(indices if size is None else size)
        kind = get_default_dtype() if dtype is None else dtype
        return without_elements(shape, kind, formats.sparse_coo, requires_grad)
    places = _indices(indices, "sparse_coo_tensor").to(int64)
    elements = _elements(values, dtype, requires_grad)
    if places.dim() != 2:
        raise RuntimeError(
            f"indices must be sparse_dim x nnz, but got: {list(places.shape)}; give one row for "
            "each axis"
        )
    if elements.dim() == 0:
        elements = elements.reshape(1).expand(places.shape[1])
    if places.shape[1] != elements.shape[0]:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {places.shape[1]}, "
            f"nnz from values: {elements.shape[0]}"
        )
    axes = places.shape[0]
    if size is None:
        array = array_of(places)
        if array.size and array.min() < 0:
            raise RuntimeError(f"found negative index {array.min()} for sparse_coo_tensor")
        most = (array.max(1) + 1).tolist() if array.shape[1] else [0] * axes
        shape = (*most, *elements.shape[1:])
    else:
        shape = tuple(int(n) for n in size)
        if len(shape) != axes + elements.dim() - 1:
            raise RuntimeError(
                "number of dimensions must be sparse_dim "
                f"({axes}) + dense_dim ({elements.dim() - 1}), but got {len(shape)}"
            )
        if shape[axes:] != tuple(elements.shape[1:]):
            raise RuntimeError(
                f"values has incorrect size, expected {[elements.shape[0], *shape[axes:]]}, got "
                f"{list(elements.shape)}"
            )
    if _checked(check_invariants):
        _check_coordinates(array_of(places), shape, bool(is_coalesced))
    return SparseTensor(formats.sparse_coo, (places,), elements, shape, bool(is_coalesced))


def _check_coordinates(array: np.ndarray, shape: tuple[int, ...], coalesced: bool) -> None:
    for axis, row in enumerate(array):
        if row.size and row.min() < 0:
            raise RuntimeError(f"found negative index {row.min()} for dim {axis}")
        if row.size and row.max() >= shape[axis]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {axis}, size is {shape[axis]} but "
                f"found index {row.max()}"
            )
    if coalesced and array.shape[1]:
        keys = np.ravel_multi_index(tuple(array), shape[: len(array)])
        if (np.diff(keys) <= 0).any():
            raise RuntimeError(
                "cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor"
            )


def _compressed(
    layout: formats.layout,
    compressed: Any,
    plain: Any,
    values: Any,
    size: Sequence[int] | None,
    dtype: DType | None,
    requires_grad: bool,
    check_invariants: bool | None,
) -> SparseTensor:
    names = COMPRESSED[layout]
    begins, others = _indices(compressed, names[0]), _indices(plain, names[1])
    elements = _elements(values, dtype, requires_grad)
    if layout in blocks.BLOCKS:
        return blocks.from_blocks(layout, begins, others, elements, size)
    if begins.dim() != 1 or others.dim() != 1 or elements.dim() != 1:
        raise NotImplementedError(
            f"{layout}: batches and dense axes are not supported, only matrices: {names[0]}, "
            f"{names[1]} and values must be 1-D, got {begins.dim()}-D, {others.dim()}-D and "
            f"{elements.dim()}-D; use sparse_coo_tensor"
        )
    if others.shape[0] != elements.shape[0]:
        raise RuntimeError(
            f"number of {names[1]} ({others.shape[0]}) and of values ({elements.shape[0]}) differ"
        )
    by_rows = layout is formats.sparse_csr
    if size is None:
        array = array_of(others)
        counts = (begins.shape[0] - 1, int(array.max()) + 1 if array.size else 0)
        shape = counts if by_rows else counts[::-1]
    else:
        shape = (int(size[0]), int(size[1]))
        if len(size) != 2:
            raise RuntimeError(f"{layout}: size must have 2 entries, got {list(size)}")
    if begins.shape[0] != shape[0 if by_rows else 1] + 1:
        raise RuntimeError(
            f"{names[0]} must have one entry more than there are {'rows' if by_rows else 'columns'}"
            f" ({shape[0 if by_rows else 1]}), got {begins.shape[0]}"
        )
    if _checked(check_invariants):
        _check_compressed(layout, array_of(begins), array_of(others), shape)
    return SparseTensor(layout, (begins, others), elements, shape, True)


def _check_compressed(
    layout: formats.layout, begins: np.ndarray, others: np.ndarray, shape: tuple[int, int]
) -> None:
    names = COMPRESSED[layout]
    if begins[0] != 0:
        raise RuntimeError(f"`{names[0]}[..., 0] == 0` is not satisfied.")
    if begins[-1] != others.size:
        raise RuntimeError(f"`{names[0]}[..., -1] == nnz` is not satisfied.")
    counts = np.diff(begins)
    most = shape[1 if layout is formats.sparse_csr else 0]
    if (counts < 0).any() or (counts > most).any():
        raise RuntimeError(
            f"`0 <= {names[0]}[..., 1:] - {names[0]}[..., :-1] <= {most}` is not satisfied."
        )
    if others.size and (others.min() < 0 or others.max() >= most):
        raise RuntimeError(f"`0 <= {names[1]} < {most}` is not satisfied.")
    falls = np.diff(others) <= 0
    falls[begins[1:-1][(begins[1:-1] > 0) & (begins[1:-1] < others.size)] - 1] = False
    if falls.any():
        raise RuntimeError(
            f"`{names[1]}[..., {names[0]}[..., i - 1]:{names[0]}[..., i]] for all i = 1, ..., "
            "are sorted and distinct along the last dimension values` is not satisfied."
        )


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """A matrix by rows: where each begins, and the columns and values of its elements.

    Raises: RuntimeError if the parts do not fit.  Source: torch.sparse_csr_tensor.
    """
    return _compressed(
        formats.sparse_csr, crow_indices, col_indices, values, size, dtype, requires_grad,
        check_invariants,
    )  # fmt: skip


def sparse_csc_tensor(
    ccol_indices: Any,
    row_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """A matrix by columns: where each begins, and the rows and values of its elements.

    Raises: RuntimeError if the parts do not fit.  Source: torch.sparse_csc_tensor.
    """
    return _compressed(
        formats.sparse_csc, ccol_indices, row_indices, values, size, dtype, requires_grad,
        check_invariants,
    )  # fmt: skip


def sparse_bsr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """A matrix by rows of blocks: where each row begins, the blocks' columns, and the blocks.

    Shapes: values (n, block rows, block columns).
    Raises: RuntimeError if the parts do not fit.  Source: torch.sparse_bsr_tensor.
    """
    return _compressed(
        formats.sparse_bsr, crow_indices, col_indices, values, size, dtype, requires_grad,
        check_invariants,
    )  # fmt: skip


def sparse_bsc_tensor(
    ccol_indices: Any,
    row_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """A matrix by columns of blocks: where each column begins, the blocks' rows, and the blocks.

    Shapes: values (n, block rows, block columns).
    Raises: RuntimeError if the parts do not fit.  Source: torch.sparse_bsc_tensor.
    """
    return _compressed(
        formats.sparse_bsc, ccol_indices, row_indices, values, size, dtype, requires_grad,
        check_invariants,
    )  # fmt: skip


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: DType | None = None,
    layout: formats.layout | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """`sparse_csr_tensor`, `sparse_csc_tensor` or those of blocks, by the layout.

    Raises: NotImplementedError for other layouts.  Source: torch.sparse_compressed_tensor.
    """
    if layout not in COMPRESSED:
        raise NotImplementedError(
            f"sparse_compressed_tensor: layout {layout} is not supported; use "
            f"{' or '.join(map(str, COMPRESSED))}"
        )
    return _compressed(
        layout, compressed_indices, plain_indices, values, size, dtype, requires_grad,
        check_invariants,
    )  # fmt: skip
