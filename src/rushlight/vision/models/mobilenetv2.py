"""torchvision's name for MobileNet v2.  Level 14."""

from rushlight.vision.models.mobilenet import (
    InvertedResidual,
    MobileNetV2,
    mobilenet_v2,
)

__all__ = [
    "InvertedResidual",
    "MobileNetV2",
    "mobilenet_v2",
]
