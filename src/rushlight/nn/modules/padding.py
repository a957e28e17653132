"""Padding of one to three axes: constant, zero, reflected, replicated, circular.  Level 12.

`padding` is one number for all sides, or (left, right, top, bottom, front, back) as far as there
are axes.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.sizes import per_axis
from rushlight.tensor.tensor import Tensor


class _PadNd(Module):
    """Padding of `_axes` axes with values taken from the input."""

    _axes: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = per_axis(padding, 2 * self._axes)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        allowed = (self._axes + 1, self._axes + 2)
        if input.dim() not in allowed:
            raise ValueError(
                f"expected {allowed[0]}D or {allowed[1]}D input (got {input.dim()}D input)"
            )
        return super().forward(input)


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class _ConstantPadNd(Module):
    """Padding of `_axes` axes with a constant."""

    _axes: ClassVar[int]

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__()
        self.value = value
        self.padding = per_axis(padding, 2 * self._axes)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPadNd):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class CircularPad1d(_CircularPadNd):
    """Continues the input periodically.  Shapes: (N, C, L) or (C, L)."""

    _axes = 1


class CircularPad2d(_CircularPadNd):
    """Continues the input periodically.  Shapes: (N, C, H, W) or (C, H, W)."""

    _axes = 2


class CircularPad3d(_CircularPadNd):
    """Continues the input periodically.  Shapes: (N, C, D, H, W) or (C, D, H, W)."""

    _axes = 3


class ConstantPad1d(_ConstantPadNd):
    """Pads with `value`.  Shapes: (N, C, L) or (C, L)."""

    _axes = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads with `value`.  Shapes: (N, C, H, W) or (C, H, W)."""

    _axes = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads with `value`.  Shapes: (N, C, D, H, W) or (C, D, H, W)."""

    _axes = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Mirrors the input at its edges.  Shapes: (N, C, L) or (C, L)."""

    _axes = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Mirrors the input at its edges.  Shapes: (N, C, H, W) or (C, H, W)."""

    _axes = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Mirrors the input at its edges.  Shapes: (N, C, D, H, W) or (C, D, H, W)."""

    _axes = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Repeats the values at the edges.  Shapes: (N, C, L) or (C, L)."""

    _axes = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Repeats the values at the edges.  Shapes: (N, C, H, W) or (C, H, W)."""

    _axes = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Repeats the values at the edges.  Shapes: (N, C, D, H, W) or (C, D, H, W)."""

    _axes = 3


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Pads with zeros.  Shapes: (N, C, L) or (C, L)."""


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Pads with zeros.  Shapes: (N, C, H, W) or (C, H, W)."""


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Pads with zeros.  Shapes: (N, C, D, H, W) or (C, D, H, W)."""
