"""torchvision's name for the layers that networks share.  Level 14."""

from rushlight.vision.ops.layers import (
    MLP,
    Conv2dNormActivation,
    Conv3dNormActivation,
    ConvNormActivation,
    FrozenBatchNorm2d,
    Permute,
    SqueezeExcitation,
)

__all__ = [
    "MLP", "Conv2dNormActivation", "Conv3dNormActivation", "ConvNormActivation",
    "FrozenBatchNorm2d", "Permute", "SqueezeExcitation",
]  # fmt: skip
