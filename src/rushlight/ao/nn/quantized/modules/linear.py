"""The weight and bias of a quantized linear layer, as its state has them.  Level: ao (14)."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.base.dtypes import DType
from rushlight.quantized.products import empty_linear, packed_linear
from rushlight.tensor.tensor import Tensor


class LinearPackedParams(nn.Module):
    """Weight and bias of a linear layer: `qint8` codes, or numbers rounded to float16.

    In a state dict they are `dtype` and `_packed_params`, a pair.
    Raises: RuntimeError for other dtypes.
    """

    _version = 3

    def __init__(self, dtype: DType = rl.qint8) -> None:
        super().__init__()
        self.packed: Any = empty_linear(1, 1, dtype, bias=False)

    @property
    def dtype(self) -> DType:
        """`qint8` or `float16`."""
        return self.packed.dtype

    def set_weight_bias(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take other ones.  Raises: RuntimeError where the weight is not of the dtype."""
        self.packed = packed_linear(weight, bias, self.dtype)

    def _weight_bias(self) -> tuple[Tensor, Tensor | None]:
        return self.packed.weight, self.packed.bias

    def forward(self, x: Tensor) -> Tensor:
        """The tensor itself."""
        return x

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "dtype"] = self.dtype
        destination[prefix + "_packed_params"] = self._weight_bias()

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, metadata: Any, strict: bool, missing: list,
        unexpected: list, errors: list,
    ) -> None:  # fmt: skip
        names = prefix + "dtype", prefix + "_packed_params"
        if all(name in state_dict for name in names):
            weight, bias = state_dict[names[1]]
            self.packed = packed_linear(weight, bias, state_dict[names[0]])
        else:
            missing += [name for name in names if name not in state_dict]
        rest = {key: value for key, value in state_dict.items() if key not in names}
        super()._load_from_state_dict(rest, prefix, metadata, False, missing, unexpected, errors)

    def __repr__(self) -> str:
        return repr(self._weight_bias())
