"""Primitives that reduce or accumulate along axes.  Level 2.

`axes` is a sorted tuple of distinct non-negative axes; results keep the operand's dtype, which the
spelling has chosen.  Reducing over no elements gives the identity; where there is none, the
spelling has refused.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import reduced_shape
from rushlight.tape.primitive import Primitive


def _reduced(x, axes, keepdim):
    return reduced_shape(x.shape, axes, keepdim), x.dtype


def _index_of(x, axis, keepdim):
    return reduced_shape(x.shape, (axis,), keepdim), int64


def _along(x, axis):
    return x.shape, x.dtype


def _reduction(name: str, grad_name: str) -> Primitive:
    return Primitive(
        name, "reduction", "reduction", 1, _reduced, ("axes", "keepdim"), grad_name=grad_name
    )


reduce_sum = _reduction("reduce_sum", "Sum")
reduce_prod = _reduction("reduce_prod", "Prod")
reduce_max = _reduction("reduce_max", "Amax")
reduce_min = _reduction("reduce_min", "Amin")
# Index of the first largest (smallest) element; NaN counts as larger (smaller) than all.
argmax = Primitive("argmax", "reduction", "reduction", 1, _index_of, ("axis", "keepdim"))
argmin = Primitive("argmin", "reduction", "reduction", 1, _index_of, ("axis", "keepdim"))
cumsum = Primitive("cumsum", "reduction", "opaque", 1, _along, ("axis",))
cumprod = Primitive("cumprod", "reduction", "opaque", 1, _along, ("axis",))
cummax = Primitive("cummax", "reduction", "opaque", 1, _along, ("axis",))
cummin = Primitive("cummin", "reduction", "opaque", 1, _along, ("axis",))
