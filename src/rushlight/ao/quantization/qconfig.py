"""QConfig: how a module's activations and weights are quantized.  Level: ao (14)."""

from __future__ import annotations

from typing import Any, NamedTuple

import rushlight as rl
from rushlight import nn
from rushlight.ao.quantization.fake_quantize import (
    default_dynamic_fake_quant,
    default_fake_quant,
    default_weight_fake_quant,
)
from rushlight.ao.quantization.histogram_observer import HistogramObserver
from rushlight.ao.quantization.observer import (
    PlaceholderObserver,
    default_debug_observer,
    default_dynamic_quant_observer,
    default_observer,
    default_per_channel_weight_observer,
    default_weight_observer,
)


class _Pair(NamedTuple):
    activation: Any
    weight: Any


class QConfig(_Pair):
    """Ways to make the observer of activations and that of weights: classes, or `with_args` of
    them, not instances, since each module needs its own."""

    __slots__ = ()

    def __new__(cls, activation: Any, weight: Any) -> QConfig:
        if isinstance(activation, nn.Module) or isinstance(weight, nn.Module):
            raise ValueError(
                "QConfig received observer instance, please pass observer class instead. Use "
                "MyObserver.with_args(x=1) to override arguments to constructor if needed"
            )
        return super().__new__(cls, activation, weight)


def get_default_qconfig(backend: str = "x86", version: int = 0) -> QConfig:
    """The QConfig that suits a backend: "x86", "fbgemm", "onednn" or "qnnpack".

    Raises: AssertionError for other backends or versions.
    Source: torch.ao.quantization.get_default_qconfig.
    """
    if version != 0 or backend not in ("x86", "fbgemm", "onednn", "qnnpack"):
        raise AssertionError(
            f"backend: {backend} not supported (version {version}). backend must be one of "
            "'fbgemm', 'onednn', 'qnnpack', 'x86'"
        )
    reduced = backend in ("x86", "fbgemm")
    weight = default_weight_observer if backend == "qnnpack" else (
        default_per_channel_weight_observer)  # fmt: skip
    return QConfig(HistogramObserver.with_args(reduce_range=reduced), weight)


default_qconfig = QConfig(activation=default_observer, weight=default_weight_observer)
default_debug_qconfig = QConfig(activation=default_debug_observer, weight=default_weight_observer)
default_per_channel_qconfig = QConfig(
    activation=default_observer, weight=default_per_channel_weight_observer
)
default_dynamic_qconfig = QConfig(
    activation=default_dynamic_quant_observer, weight=default_weight_observer
)
float16_dynamic_qconfig = QConfig(
    activation=PlaceholderObserver.with_args(dtype=rl.float16, is_dynamic=True),
    weight=PlaceholderObserver.with_args(dtype=rl.float16),
)
float16_static_qconfig = QConfig(
    activation=PlaceholderObserver.with_args(dtype=rl.float16),
    weight=PlaceholderObserver.with_args(dtype=rl.float16),
)
per_channel_dynamic_qconfig = QConfig(
    activation=default_dynamic_quant_observer, weight=default_per_channel_weight_observer
)
default_qat_qconfig = QConfig(activation=default_fake_quant, weight=default_weight_fake_quant)
default_dynamic_qat_qconfig = QConfig(
    activation=default_dynamic_fake_quant, weight=default_weight_fake_quant
)
default_weight_only_qconfig = QConfig(activation=nn.Identity, weight=default_weight_fake_quant)
default_activation_only_qconfig = QConfig(activation=default_fake_quant, weight=nn.Identity)
