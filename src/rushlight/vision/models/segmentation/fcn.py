"""torchvision's name for FCN and its parts.  Level 14."""

from rushlight.vision.models.segmentation.networks import (
    FCN,
    FCNHead,
    fcn_resnet50,
    fcn_resnet101,
)

__all__ = [
    "FCN",
    "FCNHead",
    "fcn_resnet101",
    "fcn_resnet50",
]
