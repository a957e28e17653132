"""Linear layers among codes.  Level: ao (14)."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.ao.kernels import linear_static
from rushlight.ao.nn import fused
from rushlight.ao.nn.quantized.dynamic.modules.linear import Linear as DynamicLinear
from rushlight.ao.nn.quantized.static.observed import from_observed
from rushlight.base.dtypes import DType
from rushlight.tensor.tensor import Tensor


class Linear(DynamicLinear):
    """y = x Wᵀ + b among codes: quint8 in, quint8 out, with the scale that was observed.

    Shapes: (..., in_features) -> (..., out_features).  Source: torch.ao.nn.quantized.Linear.
    """

    _FLOAT_MODULE: Any = (nn.Linear,)
    _relu = False

    def __init__(
        self, in_features: int, out_features: int, bias_: bool = True, dtype: DType = rl.qint8
    ) -> None:
        super().__init__(in_features, out_features, bias_, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's value."""
        packed = self._packed_params.packed
        return linear_static(x, packed, self.scale, self.zero_point, self._relu)

    def _get_name(self) -> str:
        return "QuantizedLinear"

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"scale={self.scale}, zero_point={self.zero_point}, "
            f"qscheme={self.weight().qscheme()}"
        )

    @classmethod
    def from_float(cls, mod: nn.Module, use_precomputed_fake_quant: bool = False) -> Linear:
        """A layer of one that was observed.  Raises: AssertionError for other modules."""

        def make(layer: Any, dtype: Any) -> Any:
            if dtype is not rl.qint8:
                raise AssertionError(f"Weight observer must have dtype torch.qint8, got {dtype}")
            return cls(layer.in_features, layer.out_features, dtype=dtype)

        return from_observed(cls, mod, make)


class LinearReLU(Linear):
    """`Linear` and ReLU as one."""

    _FLOAT_MODULE: Any = (fused.LinearReLU,)
    _relu = True

    def _get_name(self) -> str:
        return "QuantizedLinearReLU"
