"""Numeric limits of the dtypes: `finfo` and `iinfo`, as PyTorch's.  Level 0."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import FLOAT8, INTEGRAL, DType, bfloat16, get_default_dtype

# eps, largest and smallest normal number of the floats of eight bits.
_FLOAT8 = {
    "float8_e4m3fn": (2.0**-3, 448.0, 2.0**-6),
    "float8_e5m2": (2.0**-2, 57344.0, 2.0**-14),
    "float8_e4m3fnuz": (2.0**-3, 240.0, 2.0**-7),
    "float8_e5m2fnuz": (2.0**-3, 57344.0, 2.0**-15),
    "float8_e8m0fnu": (1.0, 2.0**127, 2.0**-127),
}


class finfo:  # noqa: N801 - PyTorch's name
    """Limits of a floating dtype (of its parts, for a complex one).

    Raises: TypeError for other dtypes.
    """

    __slots__ = ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype")

    def __init__(self, type: DType | None = None) -> None:
        chosen = get_default_dtype() if type is None else type
        if not isinstance(chosen, DType) or not chosen.is_inexact:
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"'{chosen}'"
            )
        real = chosen.to_real()
        self.dtype = real.name
        self.bits = real.itemsize * 8
        if real is bfloat16:
            # 8 bits of exponent as float32, 7 of fraction.
            self.eps = 2.0**-7
            self.max = (2 - 2.0**-7) * 2.0**127
            self.tiny = 2.0**-126
            self.resolution = 0.01
        elif real in FLOAT8:
            self.eps, self.max, self.tiny = _FLOAT8[real.name]
            self.resolution = 1.0
        else:
            known = np.finfo(real.numpy)
            self.eps = float(known.eps)
            self.max = float(known.max)
            self.tiny = float(known.tiny)
            self.resolution = 10.0**-known.precision
        self.min = -self.max if real.is_signed else self.tiny
        self.smallest_normal = self.tiny

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:  # noqa: N801 - PyTorch's name
    """Limits of an integer dtype.  Raises: TypeError for other dtypes."""

    __slots__ = ("bits", "max", "min", "dtype")

    def __init__(self, type: DType) -> None:
        if not isinstance(type, DType) or type.category != INTEGRAL:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'"
            )
        known = np.iinfo(type.numpy)
        self.dtype = type.name
        self.bits = known.bits
        self.max = int(known.max)
        self.min = int(known.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
