"""Where numbers become codes and codes numbers again, and sums among codes.  Level: ao (14)."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.base.dtypes import DType
from rushlight.tensor.tensor import Tensor


class Quantize(nn.Module):
    """Numbers to codes.  Dtypes: float32 -> `dtype`."""

    scale: Tensor
    zero_point: Tensor

    def __init__(
        self, scale: Any, zero_point: Any, dtype: DType, factory_kwargs: dict | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("scale", rl.tensor([float(scale)]))
        self.register_buffer("zero_point", rl.tensor([int(zero_point)], dtype=rl.int64))
        self.dtype = dtype

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - PyTorch's name
        return rl.quantize_per_tensor(X, float(self.scale), int(self.zero_point), self.dtype)

    @staticmethod
    def from_float(mod: nn.Module, use_precomputed_fake_quant: bool = False) -> Quantize:
        """What an observed QuantStub becomes."""
        observer = mod.activation_post_process
        scale, zero_point = observer.calculate_qparams()
        return Quantize(scale.item(), zero_point.item(), observer.dtype)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, zero_point={self.zero_point}, dtype={self.dtype}"


class DeQuantize(nn.Module):
    """Codes to numbers.  Dtypes: quantized -> float32."""

    def forward(self, Xq: Tensor) -> Tensor:  # noqa: N803 - PyTorch's name
        return Xq.dequantize()

    @staticmethod
    def from_float(mod: nn.Module, use_precomputed_fake_quant: bool = False) -> DeQuantize:
        """What a DeQuantStub becomes."""
        return DeQuantize()


class Dropout(nn.Dropout):
    """`nn.Dropout` among codes, which are left as they are."""

    def forward(self, input: Tensor) -> Tensor:
        return input

    def _get_name(self) -> str:
        return "QuantizedDropout"

    @classmethod
    def from_float(cls, mod: nn.Module, use_precomputed_fake_quant: bool = False) -> Dropout:
        """What a Dropout becomes."""
        return cls(mod.p, mod.inplace)


class FloatFunctional(nn.Module):
    """Sums, products and joins as a module, whose results an observer may watch."""

    def __init__(self) -> None:
        super().__init__()
        self.activation_post_process: nn.Module = nn.Identity()

    def forward(self, x: Any) -> Any:
        raise RuntimeError(
            "FloatFunctional is not intended to use the 'forward'. Please use the corresponding "
            "operation"
        )

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y."""
        return self.activation_post_process(rl.add(x, y))

    def add_scalar(self, x: Tensor, y: float) -> Tensor:
        """x + y with a number y, which needs no observer."""
        return rl.add(x, y)

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """x * y."""
        return self.activation_post_process(rl.mul(x, y))

    def mul_scalar(self, x: Tensor, y: float) -> Tensor:
        """x * y with a number y, which needs no observer."""
        return rl.mul(x, y)

    def cat(self, x: list[Tensor], dim: int = 0) -> Tensor:
        """The tensors after one another."""
        return self.activation_post_process(rl.cat(x, dim))

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """relu(x + y)."""
        return self.activation_post_process(rl.relu(rl.add(x, y)))

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """x @ y."""
        return self.activation_post_process(rl.matmul(x, y))


class QFunctional(nn.Module):
    """What FloatFunctional becomes: the same among codes, with a scale and zero point."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.zero_point = 1.0, 0
        self.activation_post_process: nn.Module = nn.Identity()

    def _codes(self, numbers: Tensor, like: Tensor) -> Tensor:
        made = rl.quantize_per_tensor(numbers, self.scale, self.zero_point, like.dtype)
        return self.activation_post_process(made)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y."""
        return self._codes(x.dequantize() + y.dequantize(), x)

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """x * y."""
        return self._codes(x.dequantize() * y.dequantize(), x)

    def cat(self, x: list[Tensor], dim: int = 0) -> Tensor:
        """The tensors after one another."""
        return self._codes(rl.cat([part.dequantize() for part in x], dim), x[0])

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """relu(x + y)."""
        return self._codes((x.dequantize() + y.dequantize()).relu(), x)

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """x @ y."""
        return self._codes(x.dequantize() @ y.dequantize(), x)

    def _get_name(self) -> str:
        return "QFunctional"

    def extra_repr(self) -> str:
        return f"scale={self.scale}, zero_point={self.zero_point}"

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "scale"] = rl.tensor(self.scale)
        destination[prefix + "zero_point"] = rl.tensor(self.zero_point)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        self.scale = float(state_dict.pop(prefix + "scale"))
        self.zero_point = int(state_dict.pop(prefix + "zero_point"))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @classmethod
    def from_float(cls, mod: nn.Module, use_precomputed_fake_quant: bool = False) -> QFunctional:
        """What an observed FloatFunctional becomes."""
        made = cls()
        scale, zero_point = mod.activation_post_process.calculate_qparams()
        made.scale, made.zero_point = float(scale), int(zero_point)
        return made
