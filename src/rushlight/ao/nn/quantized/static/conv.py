"""Convolutions among codes.  Level: ao (14)."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight import nn
from rushlight.ao.kernels import convolution_static
from rushlight.ao.nn import fused
from rushlight.ao.nn.quantized.static.observed import from_observed
from rushlight.tensor.tensor import Tensor


class _Convolution(nn.Module):
    """What convolutions share: quint8 in, quint8 out, with the scale that was observed."""

    _FLOAT_MODULE: ClassVar[Any] = ()
    _make: ClassVar[Any] = None
    _relu = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        like = self._make(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode,
        )  # fmt: skip
        if padding_mode != "zeros":
            raise NotImplementedError(
                f"quantized convolutions pad with zeros only, got padding_mode={padding_mode!r}"
            )
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
                     "groups", "padding_mode"):  # fmt: skip
            setattr(self, name, getattr(like, name))
        self.scale, self.zero_point = 1.0, 0
        weight = rl.quantize_per_tensor(like.weight.detach() * 0, 1.0, 0, rl.qint8)
        self.set_weight_bias(weight, rl.zeros(out_channels) if bias else None)

    def forward(self, input: Tensor) -> Tensor:
        """The layer's value."""
        geometry = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation,
                    "groups": self.groups}  # fmt: skip
        return convolution_static(
            input, self._weight, self._bias, self.scale, self.zero_point, geometry, self._relu
        )

    def weight(self) -> Tensor:
        """The weight, quantized."""
        return self._weight

    def bias(self) -> Tensor | None:
        """The bias, or None."""
        return self._bias

    def _weight_bias(self) -> tuple[Tensor, Tensor | None]:
        return self._weight, self._bias

    def set_weight_bias(self, w: Tensor, b: Tensor | None) -> None:
        """Take another weight and bias."""
        self._weight: Any = w
        self._bias = None if b is None else b.detach()

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, scale={self.scale}, zero_point={self.zero_point}"
        )
        if self.padding != (0,) * len(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self._bias is not None else text + ", bias=False"

    def _get_name(self) -> str:
        return f"Quantized{type(self).__name__}"

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"], destination[prefix + "bias"] = self._weight_bias()
        destination[prefix + "scale"] = rl.tensor(self.scale)
        destination[prefix + "zero_point"] = rl.tensor(self.zero_point)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, metadata: Any, strict: bool, missing: list,
        unexpected: list, errors: list,
    ) -> None:  # fmt: skip
        names = [prefix + name for name in ("weight", "bias", "scale", "zero_point")]
        absent = [name for name in names if name not in state_dict]
        missing += absent
        if not absent:
            weight, bias, scale, zero_point = (state_dict[name] for name in names)
            self.set_weight_bias(weight, bias)
            self.scale, self.zero_point = float(scale), int(zero_point)
        rest = {key: value for key, value in state_dict.items() if key not in names}
        super()._load_from_state_dict(rest, prefix, metadata, strict, missing, unexpected, errors)

    @classmethod
    def from_float(cls, mod: nn.Module, use_precomputed_fake_quant: bool = False) -> _Convolution:
        """A layer of one that was observed.  Raises: AssertionError for other modules."""

        def make(layer: Any, dtype: Any) -> Any:
            if dtype is not rl.qint8:
                raise AssertionError(f"Weight observer must have a dtype of qint8, got {dtype}")
            return cls(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,
                layer.padding, layer.dilation, layer.groups, layer.bias is not None,
                layer.padding_mode,
            )  # fmt: skip

        return from_observed(cls, mod, make)


class Conv1d(_Convolution):
    """`nn.Conv1d` among codes."""

    _FLOAT_MODULE: ClassVar[Any] = (nn.Conv1d,)
    _make = nn.Conv1d


class Conv2d(_Convolution):
    """`nn.Conv2d` among codes."""

    _FLOAT_MODULE: ClassVar[Any] = (nn.Conv2d,)
    _make = nn.Conv2d


class Conv3d(_Convolution):
    """`nn.Conv3d` among codes."""

    _FLOAT_MODULE: ClassVar[Any] = (nn.Conv3d,)
    _make = nn.Conv3d


class ConvReLU1d(Conv1d):
    """`Conv1d` and ReLU as one."""

    _FLOAT_MODULE: ClassVar[Any] = (fused.ConvReLU1d,)
    _relu = True


class ConvReLU2d(Conv2d):
    """`Conv2d` and ReLU as one."""

    _FLOAT_MODULE: ClassVar[Any] = (fused.ConvReLU2d,)
    _relu = True


class ConvReLU3d(Conv3d):
    """`Conv3d` and ReLU as one."""

    _FLOAT_MODULE: ClassVar[Any] = (fused.ConvReLU3d,)
    _relu = True
