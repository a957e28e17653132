"""The heads that look at each proposed region: classes and boxes, masks, keypoints.

In: feature maps, proposals and image sizes.  Out: for each image a dict of boxes, labels, scores
and perhaps masks and keypoints; in training losses.  Sources: Girshick 2015; He et al. 2017.
Level 14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.vision.models.detection import _utils as det_utils
from rushlight.vision.models.detection.keypoints import (
    heatmaps_to_keypoints,
    keypointrcnn_inference,
    keypointrcnn_loss,
    keypoints_to_heatmap,
)
from rushlight.vision.models.detection.masks import (
    expand_boxes,
    expand_masks,
    paste_mask_in_image,
    paste_masks_in_image,
    project_masks_on_boxes,
)
from rushlight.vision.ops import boxes as box_ops

__all__ = [
    "RoIHeads", "expand_boxes", "expand_masks", "fastrcnn_loss", "heatmaps_to_keypoints",
    "keypointrcnn_inference", "keypointrcnn_loss", "keypoints_to_heatmap", "maskrcnn_inference",
    "maskrcnn_loss", "paste_mask_in_image", "paste_masks_in_image", "project_masks_on_boxes",
]  # fmt: skip


def fastrcnn_loss(
    class_logits: Tensor, box_regression: Tensor, labels: list[Tensor],
    regression_targets: list[Tensor],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The losses of classes (N, C) and of boxes (N, 4 C)."""
    classes, targets = rl.cat(labels), rl.cat(regression_targets)
    class_loss = F.cross_entropy(class_logits, classes)
    rows = np.flatnonzero(classes.numpy() > 0)
    positive = rl.from_numpy(rows)
    moves = box_regression.reshape(class_logits.shape[0], -1, 4)[positive, classes[positive]]
    box_loss = F.smooth_l1_loss(moves, targets[positive], beta=1 / 9, reduction="sum")
    return class_loss, box_loss / classes.numel()


def maskrcnn_inference(x: Tensor, labels: list[Tensor]) -> list[Tensor]:
    """For each image, the masks (N, 1, M, M) of the classes found."""
    masks = x.sigmoid()
    rows = rl.arange(masks.shape[0])
    chosen = masks[rows, rl.cat(labels)][:, None]
    return list(chosen.split([label.shape[0] for label in labels], 0))


def maskrcnn_loss(
    mask_logits: Tensor, proposals: list[Tensor], gt_masks: list[Tensor], gt_labels: list[Tensor],
    mask_matched_idxs: list[Tensor],
) -> Tensor:  # fmt: skip
    """The loss of each positive region's mask of its class."""
    side = mask_logits.shape[-1]
    labels = rl.cat([label[idxs] for label, idxs in zip(gt_labels, mask_matched_idxs)])
    targets = rl.cat(
        [
            project_masks_on_boxes(masks, boxes, idxs, side)
            for masks, boxes, idxs in zip(gt_masks, proposals, mask_matched_idxs)
        ]
    )
    if targets.numel() == 0:
        return mask_logits.sum() * 0
    rows = rl.arange(labels.shape[0])
    return F.binary_cross_entropy_with_logits(mask_logits[rows, labels], targets)


class RoIHeads(nn.Module):
    """Classes and boxes of proposals, and masks and keypoints where there are heads for them."""

    def __init__(
        self, box_roi_pool: nn.Module, box_head: nn.Module, box_predictor: nn.Module,
        fg_iou_thresh: float, bg_iou_thresh: float, batch_size_per_image: int,
        positive_fraction: float, bbox_reg_weights: Any, score_thresh: float, nms_thresh: float,
        detections_per_img: int, mask_roi_pool: nn.Module | None = None,
        mask_head: nn.Module | None = None, mask_predictor: nn.Module | None = None,
        keypoint_roi_pool: nn.Module | None = None, keypoint_head: nn.Module | None = None,
        keypoint_predictor: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.box_similarity = box_ops.box_iou
        self.proposal_matcher = det_utils.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=False
        )
        self.fg_bg_sampler = det_utils.BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self.box_coder = det_utils.BoxCoder(bbox_reg_weights or (10.0, 10.0, 5.0, 5.0))
        self.box_roi_pool = box_roi_pool
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.mask_roi_pool = mask_roi_pool
        self.mask_head = mask_head
        self.mask_predictor = mask_predictor
        self.keypoint_roi_pool = keypoint_roi_pool
        self.keypoint_head = keypoint_head
        self.keypoint_predictor = keypoint_predictor

    def has_mask(self) -> bool:
        """Whether there are heads for masks."""
        parts = (self.mask_roi_pool, self.mask_head, self.mask_predictor)
        return all(part is not None for part in parts)

    def has_keypoint(self) -> bool:
        """Whether there are heads for keypoints."""
        parts = (self.keypoint_roi_pool, self.keypoint_head, self.keypoint_predictor)
        return all(part is not None for part in parts)

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each image, the truth of each proposal and its class (0 none, -1 between)."""
        matched, labels = [], []
        for boxes, truth, classes in zip(proposals, gt_boxes, gt_labels):
            if truth.numel() == 0:
                matched.append(rl.zeros((boxes.shape[0],), dtype=rl.int64))
                labels.append(rl.zeros((boxes.shape[0],), dtype=rl.int64))
                continue
            idxs = self.proposal_matcher(self.box_similarity(truth, boxes)).numpy()
            label = classes.detach().numpy()[idxs.clip(min=0)].astype(np.int64)
            label[idxs == self.proposal_matcher.BELOW_LOW_THRESHOLD] = 0
            label[idxs == self.proposal_matcher.BETWEEN_THRESHOLDS] = -1
            matched.append(rl.from_numpy(idxs.clip(min=0)))
            labels.append(rl.from_numpy(label))
        return matched, labels

    def subsample(self, labels: list[Tensor]) -> list[Tensor]:
        """For each image, the proposals to learn from."""
        positives, negatives = self.fg_bg_sampler(labels)
        return [
            rl.from_numpy(np.flatnonzero(positive.numpy() | negative.numpy()))
            for positive, negative in zip(positives, negatives)
        ]

    def add_gt_proposals(self, proposals: list[Tensor], gt_boxes: list[Tensor]) -> list[Tensor]:
        """The proposals and the true boxes."""
        return [rl.cat((boxes, truth)) for boxes, truth in zip(proposals, gt_boxes)]

    def check_targets(self, targets: list[dict[str, Tensor]] | None) -> None:
        """Raises: ValueError where something that the heads learn from is missing."""
        if targets is None:
            raise ValueError("targets should not be None")
        names = ["boxes", "labels"] + (["masks"] if self.has_mask() else [])
        for name in names:
            if not all(name in target for target in targets):
                raise ValueError(f"Every element of targets should have a {name} key")

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Proposals to learn from; their truths, classes and moves."""
        self.check_targets(targets)
        truths = targets or []
        dtype = proposals[0].dtype
        boxes = [target["boxes"].to(dtype) for target in truths]
        proposals = self.add_gt_proposals(proposals, boxes)
        matched, labels = self.assign_targets_to_proposals(
            proposals, boxes, [target["labels"] for target in truths]
        )
        wanted = []
        for i, sample in enumerate(self.subsample(labels)):
            proposals[i] = proposals[i][sample]
            labels[i] = labels[i][sample]
            matched[i] = matched[i][sample]
            truth = boxes[i] if boxes[i].numel() else rl.zeros((1, 4), dtype=dtype)
            wanted.append(truth[matched[i]])
        moves = self.box_coder.encode(wanted, proposals)
        return proposals, matched, labels, list(moves)

    def postprocess_detections(
        self, class_logits: Tensor, box_regression: Tensor, proposals: list[Tensor],
        image_shapes: Any,
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:  # fmt: skip
        """For each image, the boxes that `nms` leaves, their scores and classes."""
        counts = [boxes.shape[0] for boxes in proposals]
        boxes = self.box_coder.decode(box_regression, proposals).split(counts, 0)
        scores = F.softmax(class_logits, -1).split(counts, 0)
        found: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        for part, certain, shape in zip(boxes, scores, image_shapes):
            inside = box_ops.clip_boxes_to_image(part, shape)
            classes = certain.shape[-1]
            # Class 0 is the background.
            inside, score = inside[:, 1:].reshape(-1, 4), certain[:, 1:].reshape(-1)
            labels = np.tile(np.arange(1, classes, dtype=np.int64), len(certain))
            corners, values = inside.detach().numpy(), score.detach().numpy()
            large = (corners[:, 2:] - corners[:, :2] >= np.float32(1e-2)).all(1)
            rows = np.flatnonzero((values > np.float32(self.score_thresh)) & large)
            keep, label = rl.from_numpy(rows), rl.from_numpy(labels[rows])
            inside, score = inside[keep], score[keep]
            kept = box_ops.batched_nms(inside, score, label, self.nms_thresh)
            kept = kept[: self.detections_per_img]
            for store, value in zip(found, (inside[kept], score[kept], label[kept])):
                store.append(value)
        return found

    def forward(
        self, features: dict[str, Tensor], proposals: list[Tensor], image_shapes: Any,
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:  # fmt: skip
        self._check_types(targets)
        matched: list[Tensor] = []
        labels: list[Tensor] = []
        moves: list[Tensor] = []
        if self.training:
            proposals, matched, labels, moves = self.select_training_samples(proposals, targets)
        pooled = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        class_logits, box_regression = self.box_predictor(pooled)
        results: list[dict[str, Tensor]] = []
        losses: dict[str, Tensor] = {}
        if self.training:
            class_loss, box_loss = fastrcnn_loss(class_logits, box_regression, labels, moves)
            losses = {"loss_classifier": class_loss, "loss_box_reg": box_loss}
        else:
            found = self.postprocess_detections(
                class_logits, box_regression, proposals, image_shapes
            )
            for boxes, scores, classes in zip(*found):
                results.append({"boxes": boxes, "labels": classes, "scores": scores})
        at = proposals, matched, labels, image_shapes, targets
        if self.has_mask():
            self._masks(features, at, results, losses)
        if self.has_keypoint():
            self._keypoints(features, at, results, losses)
        return results, losses

    def _check_types(self, targets: list[dict[str, Tensor]] | None) -> None:
        floats = (rl.float32, rl.float64, rl.float16)
        for target in targets or []:
            if target["boxes"].dtype not in floats:
                raise TypeError(
                    f"target boxes must of float type, instead got {target['boxes'].dtype}"
                )
            if target["labels"].dtype != rl.int64:
                raise TypeError(
                    f"target labels must of int64 type, instead got {target['labels'].dtype}"
                )
            if self.has_keypoint() and target["keypoints"].dtype != rl.float32:
                raise TypeError(
                    f"target keypoints must of float type, instead got {target['keypoints'].dtype}"
                )

    def _positives(
        self, at: Any, results: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The boxes that masks and keypoints are made for, and in training their truths."""
        proposals, matched, labels, _, _ = at
        if not self.training:
            return [result["boxes"] for result in results], []
        rows = [rl.from_numpy(np.flatnonzero(label.numpy() > 0)) for label in labels]
        return (
            [boxes[row] for boxes, row in zip(proposals, rows)],
            [idxs[row] for idxs, row in zip(matched, rows)],
        )

    def _masks(
        self, features: dict[str, Tensor], at: Any, results: list[dict[str, Tensor]],
        losses: dict[str, Tensor],
    ) -> None:  # fmt: skip
        boxes, matched = self._positives(at, results)
        assert self.mask_roi_pool is not None and self.mask_head is not None
        assert self.mask_predictor is not None
        pooled = self.mask_head(self.mask_roi_pool(features, boxes, at[3]))
        logits = self.mask_predictor(pooled)
        if self.training:
            masks = [target["masks"] for target in at[4]]
            labels = [target["labels"] for target in at[4]]
            losses["loss_mask"] = maskrcnn_loss(logits, boxes, masks, labels, matched)
            return
        found = maskrcnn_inference(logits, [result["labels"] for result in results])
        for mask, result in zip(found, results):
            result["masks"] = mask

    def _keypoints(
        self, features: dict[str, Tensor], at: Any, results: list[dict[str, Tensor]],
        losses: dict[str, Tensor],
    ) -> None:  # fmt: skip
        boxes, matched = self._positives(at, results)
        assert self.keypoint_roi_pool is not None and self.keypoint_head is not None
        assert self.keypoint_predictor is not None
        pooled = self.keypoint_head(self.keypoint_roi_pool(features, boxes, at[3]))
        logits = self.keypoint_predictor(pooled)
        if self.training:
            truth = [target["keypoints"] for target in at[4]]
            losses["loss_keypoint"] = keypointrcnn_loss(logits, boxes, truth, matched)
            return
        places, scores = keypointrcnn_inference(logits, boxes)
        for place, score, result in zip(places, scores, results):
            result["keypoints"] = place
            result["keypoints_scores"] = score
