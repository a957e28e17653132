"""Linear layers of 8-bit weights.  Level: ao (14)."""

from __future__ import annotations

import importlib
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.ao.nn.quantized.modules.linear import LinearPackedParams
from rushlight.base.dtypes import DType
from rushlight.quantized.products import empty_linear
from rushlight.tensor.tensor import Tensor


class Linear(nn.Module):
    """y = x Wᵀ + b with W of 8 bits, where x is quantized by its smallest and largest number.

    dtype: `qint8`, or `float16` for a weight that is only rounded.
    Shapes: (..., in_features) -> (..., out_features).  Dtypes: float32.
    Source: torch.ao.nn.quantized.dynamic.Linear.
    """

    _FLOAT_MODULE: Any = nn.Linear
    _version = 4

    def __init__(
        self, in_features: int, out_features: int, bias_: bool = True, dtype: DType = rl.qint8
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.version = self._version
        self.scale, self.zero_point = 1.0, 0
        self._packed_params = LinearPackedParams(dtype)
        self._packed_params.packed = empty_linear(out_features, in_features, dtype, bias_)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's value; there is no gradient to the weight."""
        return self._packed_params.packed(x)

    def _get_name(self) -> str:
        return "DynamicQuantizedLinear"

    def extra_repr(self) -> str:
        kept = self._packed_params
        text = f"in_features={self.in_features}, out_features={self.out_features}"
        text += f", dtype={kept.dtype}"
        if kept.dtype is rl.qint8:
            text += f", qscheme={self.weight().qscheme()}"
        return text

    def __repr__(self) -> str:
        return f"{self._get_name()}({self.extra_repr()})"

    def _weight_bias(self) -> tuple[Tensor, Tensor | None]:
        return self._packed_params._weight_bias()

    def weight(self) -> Tensor:
        """The weight, quantized."""
        return self._weight_bias()[0]

    def bias(self) -> Tensor | None:
        """The bias, or None."""
        return self._weight_bias()[1]

    def set_weight_bias(self, w: Tensor, b: Tensor | None) -> None:
        """Take another weight and bias."""
        self._packed_params.set_weight_bias(w, b)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "scale"] = rl.tensor(self.scale)
        destination[prefix + "zero_point"] = rl.tensor(self.zero_point)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, metadata: Any, strict: bool, missing: list,
        unexpected: list, errors: list,
    ) -> None:  # fmt: skip
        own = {}
        for name in ("scale", "zero_point"):
            if prefix + name in state_dict:
                own[name] = state_dict[prefix + name]
            elif strict:
                missing.append(prefix + name)
        if "scale" in own:
            self.scale = float(own["scale"])
        if "zero_point" in own:
            self.zero_point = int(own["zero_point"])
        rest = {key: value for key, value in state_dict.items() if key[len(prefix) :] not in own}
        super()._load_from_state_dict(rest, prefix, metadata, strict, missing, unexpected, errors)

    @classmethod
    def from_float(cls, mod: nn.Module, use_precomputed_fake_quant: bool = False) -> Linear:
        """A quantized layer of an `nn.Linear`; its `qconfig` says how, by default per tensor.

        Raises: AssertionError for other modules, RuntimeError for other dtypes of weights.
        """
        if not isinstance(mod, cls._FLOAT_MODULE):
            raise AssertionError(
                "nn.quantized.dynamic.Linear.from_float only works for nn.Linear, got "
                f"{type(mod).__name__}"
            )
        weight, dtype = quantized_weight(mod.weight, getattr(mod, "qconfig", None))
        made = cls(mod.in_features, mod.out_features, dtype=dtype)
        made.set_weight_bias(weight, mod.bias)
        return made


def quantized_weight(weight: Tensor, qconfig: Any) -> tuple[Tensor, DType]:
    """A weight in the dtype that a QConfig's observer of weights asks for, and that dtype."""
    if qconfig is None or qconfig.weight is None:
        # Loaded where needed: it makes modules of this file out of others.
        presets = importlib.import_module("rushlight.ao.quantization.qconfig")
        qconfig = presets.default_dynamic_qconfig
    observer = qconfig.weight()
    if observer.dtype is rl.float16:
        return weight.detach(), rl.float16
    if observer.dtype is not rl.qint8:
        raise RuntimeError(
            "Unsupported dtype specified for dynamic quantized Linear: the observer of weights "
            f"has {observer.dtype}; use torch.qint8 or torch.float16"
        )
    observer(weight)
    scale, zero_point = observer.calculate_qparams()
    if observer.qscheme in (rl.per_tensor_affine, rl.per_tensor_symmetric):
        parts = scale.item(), zero_point.item()
        return rl.quantize_per_tensor(weight.float(), *parts, rl.qint8), rl.qint8
    axis = observer.ch_axis
    made = rl.quantize_per_channel(weight.float(), scale, zero_point, axis, rl.qint8)
    return made, rl.qint8
