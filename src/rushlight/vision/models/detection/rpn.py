"""The network that proposes regions.

In: a batch of images and its feature maps.  Out: for each image boxes (N, 4) that may hold an
object, and in training two losses.  Source: Ren et al. 2015.  Level 14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models.detection import _utils as det_utils
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
from rushlight.vision.models.detection.image_list import ImageList
from rushlight.vision.ops import boxes as box_ops
from rushlight.vision.ops.layers import Conv2dNormActivation

__all__ = ["AnchorGenerator", "RPNHead", "RegionProposalNetwork", "concat_box_prediction_layers"]


class RPNHead(nn.Module):
    """For each anchor, whether it holds an object and how to move it."""

    _version = 2

    def __init__(self, in_channels: int, num_anchors: int, conv_depth: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(
                Conv2dNormActivation(in_channels, in_channels, kernel_size=3, norm_layer=None)
                for _ in range(conv_depth)
            )
        )
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, kernel_size=1, stride=1)
        self.bbox_pred = nn.Conv2d(in_channels, num_anchors * 4, kernel_size=1, stride=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    init.constant_(module.bias, 0)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *args: Any
    ) -> None:
        version = (local_metadata or {}).get("version", None)
        if version is None or version < 2:
            # Older files have no block around the convolution.
            for kind in ("weight", "bias"):
                old, new = f"{prefix}conv.{kind}", f"{prefix}conv.0.0.{kind}"
                if old in state_dict:
                    state_dict[new] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        hidden = [self.conv(feature) for feature in x]
        return [self.cls_logits(h) for h in hidden], [self.bbox_pred(h) for h in hidden]


def permute_and_flatten(layer: Tensor, N: int, A: int, C: int, H: int, W: int) -> Tensor:
    """(N, A C, H, W) to (N, H W A, C)."""
    return layer.reshape(N, -1, C, H, W).permute(0, 3, 4, 1, 2).reshape(N, -1, C)


def concat_box_prediction_layers(
    box_cls: list[Tensor], box_regression: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """What all maps say of all anchors: (all anchors, classes) and (all anchors, 4)."""
    classes, moves = [], []
    for scores, deltas in zip(box_cls, box_regression):
        n, wide, h, w = scores.shape
        anchors = deltas.shape[1] // 4
        classes.append(permute_and_flatten(scores, n, anchors, wide // anchors, h, w))
        moves.append(permute_and_flatten(deltas, n, anchors, 4, h, w))
    return rl.cat(classes, 1).flatten(0, -2), rl.cat(moves, 1).reshape(-1, 4)


class RegionProposalNetwork(nn.Module):
    """Scores and moves anchors; the best of them are the proposals.

    pre_nms_top_n, post_nms_top_n: how many are kept before and after `nms`, for "training" and
    "testing".
    """

    def __init__(
        self, anchor_generator: AnchorGenerator, head: nn.Module, fg_iou_thresh: float,
        bg_iou_thresh: float, batch_size_per_image: int, positive_fraction: float,
        pre_nms_top_n: dict[str, int], post_nms_top_n: dict[str, int], nms_thresh: float,
        score_thresh: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.anchor_generator = anchor_generator
        self.head = head
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.box_similarity = box_ops.box_iou
        self.proposal_matcher = det_utils.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.fg_bg_sampler = det_utils.BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self._pre_nms_top_n = pre_nms_top_n
        self._post_nms_top_n = post_nms_top_n
        self.nms_thresh = nms_thresh
        self.score_thresh = score_thresh
        self.min_size = 1e-3

    def pre_nms_top_n(self) -> int:
        """How many proposals of a map are kept before `nms`."""
        return self._pre_nms_top_n["training" if self.training else "testing"]

    def post_nms_top_n(self) -> int:
        """How many proposals of an image are kept."""
        return self._post_nms_top_n["training" if self.training else "testing"]

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each image: 1, 0 or -1 (neither) for each anchor, and its true box."""
        labels, matched = [], []
        for boxes, target in zip(anchors, targets):
            truth = target["boxes"]
            if truth.numel() == 0:
                matched.append(rl.zeros(boxes.shape, dtype=rl.float32))
                labels.append(rl.zeros((boxes.shape[0],), dtype=rl.float32))
                continue
            idxs = self.proposal_matcher(self.box_similarity(truth, boxes)).numpy()
            matched.append(truth[rl.from_numpy(idxs.clip(min=0))])
            label = (idxs >= 0).astype(np.float32)
            label[idxs == self.proposal_matcher.BETWEEN_THRESHOLDS] = -1.0
            labels.append(rl.from_numpy(label))
        return labels, matched

    def filter_proposals(
        self, proposals: Tensor, objectness: Tensor, image_shapes: Any,
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
        """The best proposals (N, A, 4) of each image, and their scores."""
        count = proposals.shape[0]
        logits = objectness.detach().reshape(count, -1)
        best, levels, start = [], [], 0
        for level, anchors in enumerate(num_anchors_per_level):
            part = logits[:, start : start + anchors]
            rows = part.topk(min(self.pre_nms_top_n(), anchors), dim=1)[1]
            best.append(rows + start)
            levels.append(np.full(rows.shape[1], level, np.int64))
            start += anchors
        rows = rl.cat(best, 1)
        scores = rl.sigmoid(logits.gather(1, rows))
        boxes = proposals.gather(1, rows[..., None].expand(-1, -1, 4))
        level_of = rl.from_numpy(np.concatenate(levels))
        found, certain = [], []
        for image, shape in enumerate(image_shapes):
            inside = box_ops.clip_boxes_to_image(boxes[image], shape)
            corners, score = inside.numpy(), scores[image].numpy()
            sides = corners[:, 2:] - corners[:, :2]
            large = (sides >= np.float32(self.min_size)).all(1)
            keep = rl.from_numpy(np.flatnonzero(large & (score >= np.float32(self.score_thresh))))
            inside, good = inside[keep], scores[image][keep]
            kept = box_ops.batched_nms(inside, good, level_of[keep], self.nms_thresh)
            kept = kept[: self.post_nms_top_n()]
            found.append(inside[kept])
            certain.append(good[kept])
        return found, certain

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor],
        regression_targets: list[Tensor],
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The losses of whether there is an object and of where, of a sample of anchors."""
        positives, negatives = self.fg_bg_sampler(labels)
        positive = np.flatnonzero(rl.cat(positives).numpy())
        negative = np.flatnonzero(rl.cat(negatives).numpy())
        sampled = rl.from_numpy(np.concatenate([positive, negative]))
        chosen = rl.from_numpy(positive)
        targets = rl.cat(regression_targets)
        box_loss = F.smooth_l1_loss(
            pred_bbox_deltas[chosen], targets[chosen], beta=1 / 9, reduction="sum"
        ) / sampled.numel()  # fmt: skip
        loss = F.binary_cross_entropy_with_logits(
            objectness.flatten()[sampled], rl.cat(labels)[sampled]
        )
        return loss, box_loss

    def forward(
        self, images: ImageList, features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:  # fmt: skip
        objectness, moves = self.head(list(features.values()))
        anchors = self.anchor_generator(images, list(features.values()))
        per_level = [o.shape[1] * o.shape[2] * o.shape[3] for o in objectness]
        logits, deltas = concat_box_prediction_layers(objectness, moves)
        proposals = self.box_coder.decode(deltas.detach(), anchors)
        proposals = proposals.reshape(len(anchors), -1, 4)
        boxes, _ = self.filter_proposals(proposals, logits, images.image_sizes, per_level)
        if not self.training:
            return boxes, {}
        if targets is None:
            raise ValueError("targets should not be None")
        labels, matched = self.assign_targets_to_anchors(anchors, targets)
        wanted = self.box_coder.encode(matched, anchors)
        object_loss, box_loss = self.compute_loss(logits, deltas, labels, list(wanted))
        return boxes, {"loss_objectness": object_loss, "loss_rpn_box_reg": box_loss}
