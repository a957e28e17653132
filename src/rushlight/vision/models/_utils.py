"""torchvision's name for what its networks share.  Level 14."""

from rushlight.vision.models.features import IntermediateLayerGetter
from rushlight.vision.models.mobilenet import _make_divisible

__all__ = ["IntermediateLayerGetter", "_make_divisible"]
