"""Layouts and memory formats as values, under PyTorch's names.

Dense tensors are strided and row-major; `sparse_bsr`, `sparse_bsc` and the memory formats can be
passed and compared.  Level 0.
"""

from __future__ import annotations


class _Named:
    """A value that is nothing but its name."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


class layout(_Named):  # noqa: N801 - PyTorch's name
    """How a tensor's elements are kept: `strided` or a sparse layout."""

    __slots__ = ()

    def __reduce__(self):
        return (_named_layout, (self._name,))


class memory_format(_Named):  # noqa: N801 - PyTorch's name
    """Order of the axes in memory; results here are always row-major."""

    __slots__ = ()

    def __reduce__(self):
        return (_named_format, (self._name,))


strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")
sparse_bsr = layout("sparse_bsr")
sparse_bsc = layout("sparse_bsc")
SPARSE_LAYOUTS = (sparse_coo, sparse_csr, sparse_csc)
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

_LAYOUTS = {
    value._name: value
    for value in (strided, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc)
}
_FORMATS = {
    value._name: value
    for value in (contiguous_format, preserve_format, channels_last, channels_last_3d)
}


def _named_layout(name: str) -> layout:
    return _LAYOUTS[name]


def _named_format(name: str) -> memory_format:
    return _FORMATS[name]


def check_layout(operation: str, value: object) -> None:
    """Raise NotImplementedError unless `value` is None or `strided`."""
    if value is not None and value is not strided:
        raise NotImplementedError(
            f"{operation}: layout {value!r} is not supported; tensors here are strided"
        )
