"""Observers: modules that watch tensors and say which scale and zero point suit them.

`with_args` gives a way to make observers, as a QConfig holds it.  Level: ao (14).
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.base.dtypes import DType
from rushlight.base.formats import qscheme as Scheme
from rushlight.tensor.tensor import Tensor

_EPSILON = 2.0**-23
# First and last code by dtype; half of them where the range is reduced.
_RANGES = {
    rl.qint8: (-128, 127), rl.int8: (-128, 127), rl.quint8: (0, 255), rl.uint8: (0, 255),
    rl.qint32: (-(2**31), 2**31 - 1), rl.int32: (-(2**31), 2**31 - 1),
    rl.int16: (-(2**15), 2**15 - 1),
}  # fmt: skip
_SYMMETRIC = (rl.per_tensor_symmetric, rl.per_channel_symmetric)
_PER_CHANNEL = (rl.per_channel_affine, rl.per_channel_symmetric)


class Maker:
    """A class with arguments; calling it makes an instance.

    arguments: functions that give further keyword arguments when an instance is made.
    """

    def __init__(self, made: functools.partial) -> None:
        self.p = made
        self.callable_args: dict[str, Callable[[], Any]] = {}

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        for name, function in self.callable_args.items():
            keywords.setdefault(name, function())
        return self.p(*args, **keywords)

    def __repr__(self) -> str:
        return repr(self.p) + repr(self.callable_args)

    def with_args(self, **keywords: Any) -> Maker:
        """The same with further arguments."""
        return _with_args(self, **keywords)

    def with_callable_args(self, **keywords: Callable[[], Any]) -> Maker:
        """The same with arguments that functions give when an instance is made."""
        made = _with_args(self)
        made.callable_args = {**self.callable_args, **keywords}
        return made


def _with_args(cls_or_self: Any, **keywords: Any) -> Maker:
    if isinstance(cls_or_self, Maker):
        made = Maker(functools.partial(cls_or_self.p, **keywords))
        made.callable_args = dict(cls_or_self.callable_args)
        return made
    return Maker(functools.partial(cls_or_self, **keywords))


class ObserverBase(nn.Module):
    """What observers share: a dtype, and ways to make them.

    A subclass has `forward(x)`, which watches x and returns it, and `calculate_qparams()`.
    """

    def __init__(self, dtype: DType, is_dynamic: bool = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.is_dynamic = is_dynamic

    def calculate_qparams(self, **keywords: Any) -> Any:
        """Scale and zero point for what was watched."""
        raise NotImplementedError(f"{type(self).__name__} has no calculate_qparams")

    with_args = classmethod(_with_args)

    @classmethod
    def with_callable_args(cls, **keywords: Callable[[], Any]) -> Maker:
        """A way to make observers with arguments that functions give then."""
        return _with_args(cls).with_callable_args(**keywords)


class UniformQuantizationObserverBase(ObserverBase):
    """Observers whose codes are evenly spaced.

    qscheme: affine or symmetric, per tensor or per channel.  reduce_range: half of the codes.
    quant_min, quant_max: first and last code, if not the dtype's.  eps: the smallest scale.
    """

    eps: Tensor

    def __init__(
        self,
        dtype: DType = rl.quint8,
        qscheme: Scheme = rl.per_tensor_affine,
        reduce_range: bool = False,
        quant_min: int | None = None,
        quant_max: int | None = None,
        factory_kwargs: dict | None = None,
        eps: float = _EPSILON,
        is_dynamic: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype, is_dynamic, **kwargs)
        if dtype not in _RANGES:
            raise AssertionError(
                f"Default Observer only works for qint8, quint8 and qint32 and their integers, "
                f"got {dtype}"
            )
        self.qscheme = qscheme
        if reduce_range:
            warnings.warn(
                "Please use quant_min and quant_max to specify the range for observers. "
                "reduce_range will be deprecated in a future release of PyTorch.",
                stacklevel=2,
            )
        self.reduce_range = reduce_range
        self.register_buffer("eps", rl.tensor([eps]))
        self.has_customized_qrange = quant_min is not None and quant_max is not None
        first, last = _RANGES[dtype]
        if quant_min is not None and quant_max is not None:
            _check_range(quant_min, quant_max)
            first, last = quant_min, quant_max
        if reduce_range and dtype not in (rl.qint32, rl.int32, rl.int16):
            first, last = first // 2, last // 2
        self.quant_min, self.quant_max = first, last

    def _calculate_qparams(self, min_val: Tensor, max_val: Tensor) -> tuple[Tensor, Tensor]:
        if not _is_watched(min_val, max_val):
            return rl.tensor([1.0]), rl.tensor([0])
        first, last = self.quant_min, self.quant_max
        low, high = min_val.clamp(max=0.0), max_val.clamp(min=0.0)
        zero_point = rl.zeros(low.shape, dtype=rl.int64)
        if self.qscheme in _SYMMETRIC:
            scale = rl.max(-low, high) / (float(last - first) / 2)
            scale = rl.max(scale, self.eps.reshape(()))
            if self.dtype in (rl.quint8, rl.uint8):
                middle = (first + last) // 2 if self.has_customized_qrange else 128
                zero_point = zero_point + middle
        else:
            scale = (high - low) / float(last - first)
            scale = rl.max(scale, self.eps.reshape(()))
            zero_point = first - rl.round(low / scale).to(rl.int32)
            zero_point = rl.clamp(zero_point, first, last)
        return scale.reshape(-1), zero_point.reshape(-1)

    def reset_min_max_vals(self) -> None:
        """Forget what was watched."""
        raise NotImplementedError("Cannot reset min/max values in the given observer.")


def _check_range(first: Any, last: Any) -> None:
    if not first <= 0 <= last:
        raise AssertionError("Used-specified quantization range must include 0.")
    if first >= last:
        raise AssertionError("qmin must be strictly less than qmax for user-specified range.")


def _is_watched(low: Tensor, high: Tensor) -> bool:
    """Whether there are smallest and largest numbers; warns or complains if not."""
    if low.numel() == 0 or high.numel() == 0:
        missing = True
    elif low.dim() == 0:
        missing = low.item() == math.inf and high.item() == -math.inf
    else:
        missing = False
    if missing:
        warnings.warn(
            "must run observer before calling calculate_qparams. Returning default values.",
            stacklevel=4,
        )
        return False
    if not bool((low <= high).all()):
        raise AssertionError(f"min {low} should be less than max {high}")
    return True


class MinMaxObserver(UniformQuantizationObserverBase):
    """Keeps the smallest and the largest number that it saw.

    Source: torch.ao.quantization.MinMaxObserver.
    """

    min_val: Tensor
    max_val: Tensor

    def __init__(
        self,
        dtype: DType = rl.quint8,
        qscheme: Scheme = rl.per_tensor_affine,
        reduce_range: bool = False,
        quant_min: int | None = None,
        quant_max: int | None = None,
        factory_kwargs: dict | None = None,
        eps: float = _EPSILON,
        is_dynamic: bool = False,
        **kwargs: Any,
    ) -> None:
        if qscheme in _PER_CHANNEL:
            raise NotImplementedError(
                "MinMaxObserver's qscheme only support torch.per_tensor_symmetric and "
                f"torch.per_tensor_affine, got {qscheme}; use PerChannelMinMaxObserver"
            )
        super().__init__(
            dtype, qscheme, reduce_range, quant_min, quant_max, factory_kwargs, eps, is_dynamic,
            **kwargs,
        )  # fmt: skip
        self.register_buffer("min_val", rl.tensor(math.inf))
        self.register_buffer("max_val", rl.tensor(-math.inf))

    def forward(self, x_orig: Tensor) -> Tensor:
        """Watch a tensor; returns it."""
        if x_orig.numel() == 0:
            return x_orig
        x = x_orig.detach().to(self.min_val.dtype)
        self._watch(x.amin(), x.amax())
        return x_orig

    def _watch(self, low: Tensor, high: Tensor) -> None:
        self.min_val.copy_(rl.min(low, self.min_val))
        self.max_val.copy_(rl.max(high, self.max_val))

    def calculate_qparams(self, **keywords: Any) -> tuple[Tensor, Tensor]:
        """Scale and zero point, each of one element."""
        return self._calculate_qparams(self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={_shown(self.min_val)}, max_val={_shown(self.max_val)}"

    def reset_min_max_vals(self) -> None:
        """Forget what was watched."""
        self.min_val.copy_(rl.tensor(math.inf))
        self.max_val.copy_(rl.tensor(-math.inf))


def _shown(value: Tensor) -> Any:
    return value.item() if value.dim() == 0 else value


class MovingAverageMinMaxObserver(MinMaxObserver):
    """Moving averages of the smallest and the largest number of each tensor.

    averaging_constant: the weight of the last one.
    """

    def __init__(
        self,
        averaging_constant: float = 0.01,
        dtype: DType = rl.quint8,
        qscheme: Scheme = rl.per_tensor_affine,
        reduce_range: bool = False,
        quant_min: int | None = None,
        quant_max: int | None = None,
        eps: float = _EPSILON,
        is_dynamic: bool = False,
        **kwargs: Any,
    ) -> None:
        self.averaging_constant = averaging_constant
        super().__init__(
            dtype, qscheme, reduce_range, quant_min, quant_max, eps=eps, is_dynamic=is_dynamic,
            **kwargs,
        )  # fmt: skip
        self.averaging_constant = averaging_constant

    def _watch(self, low: Tensor, high: Tensor) -> None:
        first = self.min_val == math.inf
        for kept, new in ((self.min_val, low), (self.max_val, high)):
            moved = kept + self.averaging_constant * (new - kept)
            kept.copy_(rl.where(first, new, moved))


class PerChannelMinMaxObserver(UniformQuantizationObserverBase):
    """Keeps the smallest and the largest number of each slice along an axis."""

    min_val: Tensor
    max_val: Tensor

    def __init__(
        self,
        ch_axis: int = 0,
        dtype: DType = rl.quint8,
        qscheme: Scheme = rl.per_channel_affine,
        reduce_range: bool = False,
        quant_min: int | None = None,
        quant_max: int | None = None,
        factory_kwargs: dict | None = None,
        eps: float = _EPSILON,
        is_dynamic: bool = False,
        **kwargs: Any,
    ) -> None:
        if qscheme not in _PER_CHANNEL:
            raise NotImplementedError(
                "PerChannelMinMaxObserver's qscheme only support torch.per_channel_symmetric and "
                f"torch.per_channel_affine, got {qscheme}; use MinMaxObserver"
            )
        super().__init__(
            dtype, qscheme, reduce_range, quant_min, quant_max, factory_kwargs, eps, is_dynamic,
            **kwargs,
        )  # fmt: skip
        self.ch_axis = ch_axis
        self.register_buffer("min_val", rl.tensor([]))
        self.register_buffer("max_val", rl.tensor([]))

    def forward(self, x_orig: Tensor) -> Tensor:
        """Watch a tensor; returns it."""
        if x_orig.numel() == 0:
            return x_orig
        x = x_orig.detach().to(self.min_val.dtype).transpose(0, self.ch_axis).flatten(1)
        low, high = x.amin(1), x.amax(1)
        if self.min_val.numel():
            low, high = self._next(low, high)
        self.min_val, self.max_val = low.detach(), high.detach()
        return x_orig

    def _next(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        return rl.min(low, self.min_val), rl.max(high, self.max_val)

    def calculate_qparams(self, **keywords: Any) -> tuple[Tensor, Tensor]:
        """Scales and zero points, one for each slice."""
        return self._calculate_qparams(self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        """What was watched in another run may have another number of slices."""
        for name in ("min_val", "max_val"):
            given = state_dict.get(prefix + name)
            if given is not None and given.shape != getattr(self, name).shape:
                setattr(self, name, rl.empty_like(given))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def reset_min_max_vals(self) -> None:
        """Forget what was watched."""
        self.min_val, self.max_val = rl.tensor([]), rl.tensor([])


class MovingAveragePerChannelMinMaxObserver(PerChannelMinMaxObserver):
    """Moving averages of the smallest and the largest number of each slice along an axis."""

    def __init__(
        self,
        averaging_constant: float = 0.01,
        ch_axis: int = 0,
        dtype: DType = rl.quint8,
        qscheme: Scheme = rl.per_channel_affine,
        reduce_range: bool = False,
        quant_min: int | None = None,
        quant_max: int | None = None,
        eps: float = _EPSILON,
        is_dynamic: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ch_axis, dtype, qscheme, reduce_range, quant_min, quant_max, eps=eps,
            is_dynamic=is_dynamic, **kwargs,
        )  # fmt: skip
        self.averaging_constant = averaging_constant

    def _next(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.averaging_constant
        kept_low, kept_high = self.min_val, self.max_val
        return kept_low + weight * (low - kept_low), kept_high + weight * (high - kept_high)


class FixedQParamsObserver(ObserverBase):
    """Says what it was told, whatever it sees."""

    scale: Tensor
    zero_point: Tensor

    def __init__(
        self,
        scale: float,
        zero_point: int,
        dtype: DType = rl.quint8,
        qscheme: Scheme = rl.per_tensor_affine,
        quant_min: int = 0,
        quant_max: int = 255,
        is_dynamic: bool = False,
        **kwargs: Any,
    ) -> None:
        if is_dynamic:
            raise NotImplementedError("FixedQParamsObserver doesn't support dynamic quantization")
        super().__init__(dtype, is_dynamic, **kwargs)
        self.quant_min, self.quant_max, self.qscheme = quant_min, quant_max, qscheme
        self.register_buffer("scale", rl.tensor([scale], dtype=rl.float32))
        self.register_buffer("zero_point", rl.tensor([zero_point], dtype=rl.int32))

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - PyTorch's name
        """The tensor."""
        return X

    def calculate_qparams(self, **keywords: Any) -> tuple[Tensor, Tensor]:
        """What it was told."""
        return self.scale, self.zero_point


class PlaceholderObserver(ObserverBase):
    """Watches nothing: says which dtype is wanted, as where tensors are quantized as they come."""

    def __init__(
        self,
        dtype: DType = rl.float32,
        custom_op_name: str = "",
        compute_dtype: DType | None = None,
        quant_min: int | None = None,
        quant_max: int | None = None,
        qscheme: Scheme | None = None,
        eps: float | None = None,
        is_dynamic: bool = False,
    ) -> None:
        super().__init__(dtype, is_dynamic)
        self.qscheme = rl.per_tensor_affine if qscheme is None else qscheme
        self.quant_min, self.quant_max, self.eps = quant_min, quant_max, eps
        self.custom_op = custom_op_name
        if compute_dtype:
            self.is_dynamic = True

    def forward(self, x: Tensor) -> Tensor:
        """The tensor."""
        return x

    def extra_repr(self) -> str:
        return f"dtype={self.dtype}, is_dynamic={self.is_dynamic}"

    def calculate_qparams(self, **keywords: Any) -> Any:
        """Nothing was watched.  Raises: Exception."""
        raise Exception("calculate_qparams should not be called for PlaceholderObserver")


class NoopObserver(ObserverBase):
    """Watches nothing."""

    def __init__(self, dtype: DType = rl.float16, custom_op_name: str = "") -> None:
        super().__init__(dtype, is_dynamic=False)
        self.custom_op = custom_op_name

    def forward(self, x: Tensor) -> Tensor:
        """The tensor."""
        return x

    def calculate_qparams(self, **keywords: Any) -> Any:
        """Nothing was watched.  Raises: Exception."""
        raise Exception("calculate_qparams should not be called for NoopObserver")


class RecordingObserver(ObserverBase):
    """Keeps copies of all that it sees, in `tensor_val`."""

    def __init__(self, dtype: DType = rl.quint8) -> None:
        super().__init__(dtype, is_dynamic=False)
        self.tensor_val: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Keep a copy; returns the tensor."""
        self.tensor_val.append(x.clone())
        return x

    def calculate_qparams(self, **keywords: Any) -> Any:
        """Nothing was measured.  Raises: Exception."""
        raise Exception("calculate_qparams should not be called for RecordingObserver")

    def get_tensor_value(self) -> list[Tensor]:
        """All that was seen."""
        return self.tensor_val


default_observer = MinMaxObserver.with_args(quant_min=0, quant_max=127)
default_placeholder_observer = PlaceholderObserver
default_debug_observer = RecordingObserver
default_weight_observer = MinMaxObserver.with_args(dtype=rl.qint8, qscheme=rl.per_tensor_symmetric)
weight_observer_range_neg_127_to_127 = MinMaxObserver.with_args(
    dtype=rl.qint8, qscheme=rl.per_tensor_symmetric, quant_min=-127, quant_max=127, eps=2**-12
)
default_per_channel_weight_observer = PerChannelMinMaxObserver.with_args(
    dtype=rl.qint8, qscheme=rl.per_channel_symmetric
)
per_channel_weight_observer_range_neg_127_to_127 = PerChannelMinMaxObserver.with_args(
    dtype=rl.qint8, qscheme=rl.per_channel_symmetric, quant_min=-127, quant_max=127, eps=2**-12
)
default_dynamic_quant_observer = PlaceholderObserver.with_args(
    dtype=rl.quint8, quant_min=0, quant_max=255, is_dynamic=True
)
default_fixed_qparams_range_neg1to1_observer = FixedQParamsObserver.with_args(
    scale=2.0 / 256.0, zero_point=128, dtype=rl.quint8, quant_min=0, quant_max=255
)
default_fixed_qparams_range_0to1_observer = FixedQParamsObserver.with_args(
    scale=1.0 / 256.0, zero_point=0, dtype=rl.quint8, quant_min=0, quant_max=255
)
