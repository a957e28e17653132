"""torchvision's name for LRASPP and its parts.  Level 14."""

from rushlight.vision.models.segmentation.networks import (
    LRASPP,
    LRASPPHead,
    lraspp_mobilenet_v3_large,
)

__all__ = [
    "LRASPP",
    "LRASPPHead",
    "lraspp_mobilenet_v3_large",
]
