"""The discrete Fourier transform.  Level 2."""

from __future__ import annotations

from rushlight.base.errors import InternalError
from rushlight.base.orders import transformed
from rushlight.tape.primitive import Primitive


def _transformed(x, axes, inverse):
    if not x.dtype.is_complex:
        raise InternalError(f"dft of a tensor of dtype {x.dtype}")
    return x.shape, x.dtype


# Sums of x times exp(-2 pi i j k / n) along each of `axes`, not scaled; `inverse` turns the sign.
dft = Primitive(
    "dft",
    "spectral",
    "opaque",
    1,
    _transformed,
    ("axes", "inverse"),
    grad_name="FftC2C",
    order=transformed,
)
