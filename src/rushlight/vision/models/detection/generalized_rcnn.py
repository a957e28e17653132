"""Detection in two steps: proposals, then a look at each.

In: a list of images (C, H, W), and targets in training.  Out: a dict of losses in training, else
a dict of results for each image.  Level 14.
"""

from __future__ import annotations

from typing import Any

from rushlight import Tensor, nn
from rushlight.vision.models.detection.detector import Detector


class GeneralizedRCNN(Detector):
    """A backbone, a network that proposes regions, and heads that look at them."""

    def __init__(
        self, backbone: nn.Module, rpn: nn.Module, roi_heads: nn.Module, transform: nn.Module
    ) -> None:
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads

    def forward(self, images: list[Tensor], targets: Any = None) -> Any:
        sizes, batch, targets, features = self.maps_of(images, targets)
        proposals, proposal_losses = self.rpn(batch, features, targets)
        detections, losses = self.roi_heads(features, proposals, batch.image_sizes, targets)
        if not self.training:
            detections = self.transform.postprocess(detections, batch.image_sizes, sizes)
        return self.eager_outputs({**losses, **proposal_losses}, detections)
