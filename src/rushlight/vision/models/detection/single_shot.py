"""What detectors of one step share: a call from images to losses or detections.

In: a list of images (C, H, W), and targets in training.  Out: a dict of losses, or a dict of
boxes, scores and labels for each image.  Level 14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.vision.models.detection.detector import Detector
from rushlight.vision.ops import boxes as box_ops


class SingleShotDetector(Detector):
    """A backbone, a head over its maps, anchors, and the choice among them.

    A subclass says how to match and learn (`compute_loss`) and how to choose
    (`postprocess_detections`).
    """

    head: Any
    anchor_generator: Any
    proposal_matcher: Any
    box_coder: Any
    score_thresh: float
    nms_thresh: float
    detections_per_img: int
    topk_candidates: int

    def compute_loss(self, *args: Any) -> dict[str, Tensor]:
        raise NotImplementedError

    def postprocess_detections(self, *args: Any) -> list[dict[str, Tensor]]:
        raise NotImplementedError

    def _matches_and_loss(
        self, targets: Any, outputs: dict[str, Tensor], anchors: list[Tensor], counts: list[int]
    ) -> dict[str, Tensor]:
        return self.compute_loss(targets, outputs, anchors)

    def _by_level(
        self, outputs: dict[str, Tensor], anchors: list[Tensor], counts: list[int]
    ) -> tuple[Any, Any]:
        """Outputs and anchors, cut into the maps that they come from."""
        parts = {name: list(value.split(counts, dim=1)) for name, value in outputs.items()}
        return parts, [list(a.split(counts)) for a in anchors]

    def forward(self, images: list[Tensor], targets: Any = None) -> Any:
        sizes, batch, targets, features = self.maps_of(images, targets)
        maps = list(features.values())
        outputs = self.head(maps)
        anchors = self.anchor_generator(batch, maps)
        places = [m.shape[2] * m.shape[3] for m in maps]
        per_place = len(anchors[0]) // sum(places)
        counts = [n * per_place for n in places]
        losses: dict[str, Tensor] = {}
        detections: list[dict[str, Tensor]] = []
        if self.training:
            losses = self._matches_and_loss(targets, outputs, anchors, counts)
        else:
            parts, split = self._by_level(outputs, anchors, counts)
            detections = self.postprocess_detections(parts, split, batch.image_sizes)
            detections = self.transform.postprocess(detections, batch.image_sizes, sizes)
        return self.eager_outputs(losses, detections)

    def matched_by_overlap(self, targets: Any, anchors: list[Tensor]) -> list[Tensor]:
        """Of each image, the box that each anchor belongs to, by how much they overlap."""
        matched = []
        for boxes, target in zip(anchors, targets):
            if target["boxes"].numel() == 0:
                matched.append(rl.full((boxes.shape[0],), -1, dtype=rl.int64))
                continue
            matched.append(self.proposal_matcher(box_ops.box_iou(target["boxes"], boxes)))
        return matched

    def best_of(
        self, boxes: list[Tensor], scores: list[np.ndarray], labels: list[np.ndarray]
    ) -> dict[str, Tensor]:
        """What `nms` leaves of one image's boxes."""
        corners = rl.cat(boxes)
        score, label = (rl.from_numpy(np.concatenate(part)) for part in (scores, labels))
        kept = box_ops.batched_nms(corners, score, label, self.nms_thresh)
        kept = kept[: self.detections_per_img]
        return {"boxes": corners[kept], "scores": score[kept], "labels": label[kept]}


class PyramidDetector(SingleShotDetector):
    """Detections map by map, of boxes that move anchors and of scores by class."""

    def certainty(self, outputs: dict[str, Any], level: int, image: int) -> Tensor:
        """The scores (anchors, classes) of one map of an image."""
        return rl.sigmoid(outputs["cls_logits"][level][image])

    def moved(self, moves: Tensor, anchors: Tensor) -> Tensor:
        """The boxes that anchors become."""
        return self.box_coder.decode_single(moves, anchors)

    def postprocess_detections(  # type: ignore[override]
        self, head_outputs: Any, anchors: Any, image_shapes: Any
    ) -> list[dict[str, Tensor]]:
        """The best boxes of each map, and what `nms` leaves of all."""
        found = []
        for image, shape in enumerate(image_shapes):
            boxes, scores, labels = [], [], []
            for level, base in enumerate(anchors[image]):
                certain = self.certainty(head_outputs, level, image)
                places, values = top_scores(
                    certain.detach().numpy(), self.score_thresh, self.topk_candidates
                )
                rows, label = np.divmod(places, certain.shape[-1])
                chosen = rl.from_numpy(rows)
                moves = head_outputs["bbox_regression"][level][image]
                part = self.moved(moves[chosen], base[chosen])
                boxes.append(box_ops.clip_boxes_to_image(part, shape))
                scores.append(values)
                labels.append(label)
            found.append(self.best_of(boxes, scores, labels))
        return found


def top_scores(
    scores: np.ndarray, threshold: float, candidates: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places (of the flat array) of the best scores above the threshold, and those scores."""
    flat = scores.reshape(-1)
    rows = np.flatnonzero(flat > np.float32(threshold))
    values = flat[rows]
    order = np.argsort(-values, kind="stable")[: min(len(rows), candidates)]
    return rows[order], values[order]
