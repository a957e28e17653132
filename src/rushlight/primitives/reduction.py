"""Primitives that reduce or accumulate along axes.  Level 2.

`axes` is a sorted tuple of distinct non-negative axes; results keep the operand's dtype, which the
spelling has chosen.  Reducing over no elements gives the identity; where there is none, the
spelling has refused.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.orders import channels_last_if_any
from rushlight.base.shapes import reduced_shape
from rushlight.primitives.contraction import convolution_size
from rushlight.tape.primitive import Primitive


def _reduced(x, axes, keepdim):
    return reduced_shape(x.shape, axes, keepdim), x.dtype


def _index_of(x, axis, keepdim):
    return reduced_shape(x.shape, (axis,), keepdim), int64


def _along(x, axis):
    return x.shape, x.dtype


def _windows_summed(x, kernel, stride, padding, dilation, kernel_dilation):
    sizes = [
        convolution_size(n, k, s, low, high, d, kd)
        for n, k, s, (low, high), d, kd in zip(
            x.shape[2:], kernel, stride, padding, dilation, kernel_dilation
        )
    ]
    return (*x.shape[:2], *sizes), x.dtype


def _windows_searched(x, kernel, stride, low, kernel_dilation, size):
    return (*x.shape[:2], *size), int64


def _reduction(name: str, grad_name: str) -> Primitive:
    return Primitive(
        name, "reduction", "reduction", 1, _reduced, ("axes", "keepdim"), grad_name=grad_name,
        properties="splittable",
    )  # fmt: skip


def _scan(name: str) -> Primitive:
    return Primitive(name, "reduction", "opaque", 1, _along, ("axis",), properties="sizeless")


reduce_sum = _reduction("reduce_sum", "Sum")
reduce_prod = _reduction("reduce_prod", "Prod")
reduce_max = _reduction("reduce_max", "Amax")
reduce_min = _reduction("reduce_min", "Amin")
# Index of the first largest (smallest) element; NaN counts as larger (smaller) than all.
argmax = Primitive("argmax", "reduction", "reduction", 1, _index_of, ("axis", "keepdim"))
argmin = Primitive("argmin", "reduction", "reduction", 1, _index_of, ("axis", "keepdim"))
cumsum = _scan("cumsum")
cumprod = _scan("cumprod")
cummax = _scan("cummax")
cummin = _scan("cummin")

# x: (N, C, *spatial) -> (N, C, *output): sums of windows, as a convolution of each channel with
# ones; the parameters are those of `convolution`.
window_sum = Primitive(
    "window_sum",
    "reduction",
    "opaque",
    1,
    _windows_summed,
    ("kernel", "stride", "padding", "dilation", "kernel_dilation"),
    order=channels_last_if_any,
)
# x: (N, C, *spatial) -> (N, C, *size): row-major position, in the spatial axes, of the first
# largest element of each window.  `low` is the padding before each axis; every window holds an
# element of x, and no padding is ever chosen.
window_argmax = Primitive(
    "window_argmax",
    "reduction",
    "opaque",
    1,
    _windows_searched,
    ("kernel", "stride", "low", "kernel_dilation", "size"),
    order=channels_last_if_any,
)
