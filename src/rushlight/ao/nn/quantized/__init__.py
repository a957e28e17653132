"""PyTorch's `torch.ao.nn.quantized`.  Level: ao (14)."""

from rushlight.ao.nn.quantized import dynamic, modules
from rushlight.ao.nn.quantized.static.conv import Conv1d, Conv2d, Conv3d
from rushlight.ao.nn.quantized.static.entrances import (
    DeQuantize,
    Dropout,
    FloatFunctional,
    QFunctional,
    Quantize,
)
from rushlight.ao.nn.quantized.static.linear import Linear

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "DeQuantize",
    "Dropout",
    "FloatFunctional",
    "Linear",
    "QFunctional",
    "Quantize",
    "dynamic",
    "modules",
]
