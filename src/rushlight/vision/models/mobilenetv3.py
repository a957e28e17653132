"""torchvision's name for MobileNet v3.  Level 14."""

from rushlight.vision.models.mobilenet import (
    InvertedResidualConfig,
    MobileNetV3,
    SElayer,
    mobilenet_v3_large,
    mobilenet_v3_small,
)

__all__ = [
    "InvertedResidualConfig",
    "MobileNetV3",
    "SElayer",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
]
