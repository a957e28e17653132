"""What all detectors share: from images and targets to the maps of a backbone.  Level 14."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight import Tensor, nn
from rushlight.vision.models.detection._utils import checked_boxes, checked_targets


class Detector(nn.Module):
    """A network from a list of images (C, H, W) to losses in training, else to detections."""

    transform: Any
    backbone: Any

    def eager_outputs(self, losses: dict[str, Tensor], detections: Any) -> Any:
        """What a call returns: losses in training, else detections."""
        return losses if self.training else detections

    def maps_of(self, images: list[Tensor], targets: Any) -> tuple[list[tuple], Any, Any, Any]:
        """(sizes of the images, images as one batch, targets for it, the backbone's maps by name).

        Raises: PyTorch's errors for targets that are missing or make no boxes.
        """
        if self.training:
            checked_targets(targets)
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        batch, targets = self.transform(images, targets)
        if targets is not None:
            checked_boxes(targets)
        features = self.backbone(batch.tensors)
        if isinstance(features, Tensor):
            features = OrderedDict([("0", features)])
        return sizes, batch, targets, features
