"""Layouts, memory formats and schemes of quantization as values, under PyTorch's names.

What a memory format means for strides is said in `orders.py`; `sparse_bsr` and `sparse_bsc` can be
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
    """Order of the axes in memory, as a program asks for it."""

    __slots__ = ()

    def __reduce__(self):
        return (_named_format, (self._name,))


class qscheme(_Named):  # noqa: N801 - PyTorch's name
    """How the integers of a quantized tensor stand for numbers."""

    __slots__ = ()

    def __reduce__(self):
        return (_named_scheme, (self._name,))


strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")
sparse_bsr = layout("sparse_bsr")
sparse_bsc = layout("sparse_bsc")
jagged = layout("jagged")
SPARSE_LAYOUTS = (sparse_coo, sparse_csr, sparse_csc)
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

per_tensor_affine = qscheme("per_tensor_affine")
per_channel_affine = qscheme("per_channel_affine")
per_tensor_symmetric = qscheme("per_tensor_symmetric")
per_channel_symmetric = qscheme("per_channel_symmetric")
per_channel_affine_float_qparams = qscheme("per_channel_affine_float_qparams")
QUANTIZATION_SCHEMES = {
    value._name: value
    for value in (
        per_tensor_affine,
        per_channel_affine,
        per_tensor_symmetric,
        per_channel_symmetric,
        per_channel_affine_float_qparams,
    )
}

_LAYOUTS = {
    value._name: value
    for value in (strided, sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc, jagged)
}
_FORMATS = {
    value._name: value
    for value in (contiguous_format, preserve_format, channels_last, channels_last_3d)
}


def _named_layout(name: str) -> layout:
    return _LAYOUTS[name]


def _named_format(name: str) -> memory_format:
    return _FORMATS[name]


def _named_scheme(name: str) -> qscheme:
    return QUANTIZATION_SCHEMES[name]


def check_layout(operation: str, value: object) -> None:
    """Raise NotImplementedError unless `value` is None or `strided`."""
    if value is not None and value is not strided:
        raise NotImplementedError(
            f"{operation}: layout {value!r} is not supported; tensors here are strided"
        )
