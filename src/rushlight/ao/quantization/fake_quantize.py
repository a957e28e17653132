"""FakeQuantize: watches a tensor and rounds it as codes would.  Level: ao (14)."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.ao.quantization.observer import (
    FixedQParamsObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    _with_args,
    default_fixed_qparams_range_0to1_observer,
    default_fixed_qparams_range_neg1to1_observer,
)
from rushlight.tensor.tensor import Tensor

_PER_CHANNEL = (rl.per_channel_affine, rl.per_channel_symmetric)


class FakeQuantizeBase(nn.Module):
    """What fake quantization shares: two switches, kept as buffers of one element."""

    fake_quant_enabled: Tensor
    observer_enabled: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fake_quant_enabled", rl.tensor([1], dtype=rl.uint8))
        self.register_buffer("observer_enabled", rl.tensor([1], dtype=rl.uint8))

    def enable_fake_quant(self, enabled: bool = True) -> None:
        """Round what comes, or pass it on as it is."""
        self.fake_quant_enabled[0] = 1 if enabled else 0

    def disable_fake_quant(self) -> None:
        """Pass on what comes as it is."""
        self.enable_fake_quant(False)

    def enable_observer(self, enabled: bool = True) -> None:
        """Watch what comes, or keep the parameters as they are."""
        self.observer_enabled[0] = 1 if enabled else 0

    def disable_observer(self) -> None:
        """Keep the parameters as they are."""
        self.enable_observer(False)

    def calculate_qparams(self, **keywords: Any) -> Any:
        """Scale and zero point for what was watched."""
        raise NotImplementedError(f"{type(self).__name__} has no calculate_qparams")

    with_args = classmethod(_with_args)


class FakeQuantize(FakeQuantizeBase):
    """Watches a tensor by an observer and rounds it to numbers that codes stand for.

    observer: a class or what `with_args` gives; further keywords go to it.
    quant_min, quant_max: first and last code, the observer's if None.
    Source: torch.ao.quantization.FakeQuantize.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(
        self,
        observer: Any = MovingAverageMinMaxObserver,
        quant_min: int | None = None,
        quant_max: int | None = None,
        is_dynamic: bool = False,
        **observer_kwargs: Any,
    ) -> None:
        super().__init__()
        if quant_min is not None and quant_max is not None:
            if quant_min > quant_max:
                raise AssertionError("quant_min must be less than or equal to quant_max")
            observer_kwargs.update(quant_min=quant_min, quant_max=quant_max)
        observer_kwargs["is_dynamic"] = is_dynamic
        self.is_dynamic = is_dynamic
        watching = observer(**observer_kwargs)
        self.activation_post_process = watching
        self.quant_min, self.quant_max = watching.quant_min, watching.quant_max
        self.register_buffer("scale", rl.tensor([1.0]))
        self.register_buffer("zero_point", rl.tensor([0], dtype=rl.int32))
        self.dtype, self.qscheme = watching.dtype, watching.qscheme
        self.ch_axis = getattr(watching, "ch_axis", -1)
        self.is_per_channel = self.qscheme in _PER_CHANNEL

    def calculate_qparams(self, **keywords: Any) -> Any:
        """Scale and zero point for what was watched."""
        return self.activation_post_process.calculate_qparams()

    def forward(self, X: Tensor) -> Tensor:  # noqa: N803 - PyTorch's name
        """Watch and round, each if switched on."""
        if self.observer_enabled[0] == 1:
            self.activation_post_process(X.detach())
            scale, zero_point = self.calculate_qparams()
            if self.scale.shape != scale.shape:
                self.scale.resize_(scale.shape)
                self.zero_point.resize_(zero_point.shape)
            self.scale.copy_(scale)
            self.zero_point.copy_(zero_point)
        if self.fake_quant_enabled[0] == 1:
            span = self.quant_min, self.quant_max
            if self.is_per_channel:
                parts = self.scale, self.zero_point, self.ch_axis
                return rl.fake_quantize_per_channel_affine(X, *parts, *span)
            return rl.fake_quantize_per_tensor_affine(X, self.scale, self.zero_point, *span)
        return X

    def extra_repr(self) -> str:
        return (
            f"fake_quant_enabled={self.fake_quant_enabled}, "
            f"observer_enabled={self.observer_enabled}, quant_min={self.quant_min}, "
            f"quant_max={self.quant_max}, dtype={self.dtype}, qscheme={self.qscheme}, "
            f"ch_axis={self.ch_axis}, scale={self.scale}, zero_point={self.zero_point}"
        )

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        """Another run may have had another number of scales."""
        for name in ("scale", "zero_point"):
            given = state_dict.get(prefix + name)
            if given is not None and given.shape != getattr(self, name).shape:
                getattr(self, name).resize_(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class FixedQParamsFakeQuantize(FakeQuantize):
    """Rounds by parameters that it was told."""

    def __init__(self, observer: Any) -> None:
        super().__init__(observer=observer)
        if type(self.activation_post_process) is not FixedQParamsObserver:
            raise AssertionError(
                f"{type(self).__name__}'s observer must be a FixedQParamsObserver, but got: "
                f"{type(self.activation_post_process)}"
            )
        self.scale = self.activation_post_process.scale
        self.zero_point = self.activation_post_process.zero_point


def disable_fake_quant(mod: nn.Module) -> None:
    """Switch rounding off, for `model.apply`."""
    if isinstance(mod, FakeQuantizeBase):
        mod.disable_fake_quant()


def enable_fake_quant(mod: nn.Module) -> None:
    """Switch rounding on, for `model.apply`."""
    if isinstance(mod, FakeQuantizeBase):
        mod.enable_fake_quant()


def disable_observer(mod: nn.Module) -> None:
    """Switch watching off, for `model.apply`."""
    if isinstance(mod, FakeQuantizeBase):
        mod.disable_observer()


def enable_observer(mod: nn.Module) -> None:
    """Switch watching on, for `model.apply`."""
    if isinstance(mod, FakeQuantizeBase):
        mod.enable_observer()


default_fake_quant = FakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=rl.quint8,
    qscheme=rl.per_tensor_affine, reduce_range=True,
)  # fmt: skip
default_weight_fake_quant = FakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver, quant_min=-128, quant_max=127, dtype=rl.qint8,
    qscheme=rl.per_tensor_symmetric, reduce_range=False,
)  # fmt: skip
default_dynamic_fake_quant = FakeQuantize.with_args(
    observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=255, is_dynamic=True,
    dtype=rl.quint8, averaging_constant=1,
)  # fmt: skip
default_per_channel_weight_fake_quant = FakeQuantize.with_args(
    observer=MovingAveragePerChannelMinMaxObserver, quant_min=-128, quant_max=127, dtype=rl.qint8,
    qscheme=rl.per_channel_symmetric, reduce_range=False, ch_axis=0,
)  # fmt: skip
default_fixed_qparams_range_neg1to1_fake_quant = FixedQParamsFakeQuantize.with_args(
    observer=default_fixed_qparams_range_neg1to1_observer
)
default_fixed_qparams_range_0to1_fake_quant = FixedQParamsFakeQuantize.with_args(
    observer=default_fixed_qparams_range_0to1_observer
)
