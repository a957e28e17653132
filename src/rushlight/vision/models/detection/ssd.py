"""SSD: boxes from maps of several sizes.  Source: Liu et al. 2016.

In: a list of images (C, H, W).  Out: boxes, scores and labels, or losses in training.  Level 14.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.detection import _utils as det_utils
from rushlight.vision.models.detection.anchor_utils import DefaultBoxGenerator
from rushlight.vision.models.detection.rpn import permute_and_flatten
from rushlight.vision.models.detection.single_shot import SingleShotDetector, top_scores
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.models.vgg import vgg16
from rushlight.vision.ops import boxes as box_ops

__all__ = [
    "SSD", "SSD300_VGG16_Weights", "SSDClassificationHead", "SSDFeatureExtractorVGG", "SSDHead",
    "SSDRegressionHead", "SSDScoringHead", "ssd300_vgg16",
]  # fmt: skip
SSD300_VGG16_Weights = ENUMS["ssd300_vgg16"]
VGG: Any = ENUMS["vgg16"]["IMAGENET1K_FEATURES"]


def _xavier_init(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                init.constant_(layer.bias, 0.0)


class SSDScoringHead(nn.Module):
    """A module for each map, all results in one table of `num_columns`."""

    def __init__(self, module_list: nn.ModuleList, num_columns: int) -> None:
        super().__init__()
        self.module_list = module_list
        self.num_columns = num_columns

    def forward(self, x: list[Tensor]) -> Tensor:
        found = []
        for features, module in zip(x, self.module_list):
            results = module(features)
            n, wide, h, w = results.shape
            count = wide // self.num_columns
            found.append(permute_and_flatten(results, n, count, self.num_columns, h, w))
        return rl.cat(found, 1)


def _convolutions(in_channels: list[int], num_anchors: list[int], columns: int) -> nn.ModuleList:
    layers = nn.ModuleList()
    for channels, anchors in zip(in_channels, num_anchors):
        layers.append(nn.Conv2d(channels, columns * anchors, kernel_size=3, padding=1))
    _xavier_init(layers)
    return layers


class SSDClassificationHead(SSDScoringHead):
    """The classes of each default box."""

    def __init__(self, in_channels: list[int], num_anchors: list[int], num_classes: int) -> None:
        super().__init__(_convolutions(in_channels, num_anchors, num_classes), num_classes)


class SSDRegressionHead(SSDScoringHead):
    """How to move each default box."""

    def __init__(self, in_channels: list[int], num_anchors: list[int]) -> None:
        super().__init__(_convolutions(in_channels, num_anchors, 4), 4)


class SSDHead(nn.Module):
    """Classes and moves of each default box."""

    def __init__(self, in_channels: list[int], num_anchors: list[int], num_classes: int) -> None:
        super().__init__()
        self.classification_head = SSDClassificationHead(in_channels, num_anchors, num_classes)
        self.regression_head = SSDRegressionHead(in_channels, num_anchors)

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSD(SingleShotDetector):
    """Default boxes on maps of several sizes.

    size: (width, height) that images are given.  num_classes: with the background.
    """

    def __init__(
        self, backbone: Any, anchor_generator: DefaultBoxGenerator, size: tuple[int, int],
        num_classes: int, image_mean: Any = None, image_std: Any = None, head: Any = None,
        score_thresh: float = 0.01, nms_thresh: float = 0.45, detections_per_img: int = 200,
        iou_thresh: float = 0.5, topk_candidates: int = 400, positive_fraction: float = 0.25,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.anchor_generator = anchor_generator
        self.box_coder = det_utils.BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
        if head is None:
            widths = getattr(backbone, "out_channels", None)
            if widths is None:
                widths = det_utils.retrieve_out_channels(backbone, size)
            anchors = anchor_generator.num_anchors_per_location()
            if len(widths) != len(anchors):
                raise ValueError(
                    f"The length of the output channels from the backbone ({len(widths)}) do not"
                    f" match the length of the anchor generator aspect ratios ({len(anchors)})"
                )
            head = SSDHead(widths, anchors, num_classes)
        self.head = head
        self.proposal_matcher = det_utils.SSDMatcher(iou_thresh)
        self.transform = GeneralizedRCNNTransform(
            min(size), max(size), image_mean or [0.485, 0.456, 0.406],
            image_std or [0.229, 0.224, 0.225], size_divisible=1, fixed_size=size, **kwargs,
        )  # fmt: skip
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.topk_candidates = topk_candidates
        self.neg_to_pos_ratio = (1.0 - positive_fraction) / positive_fraction

    def _matches_and_loss(
        self, targets: Any, outputs: dict[str, Tensor], anchors: list[Tensor], counts: list[int]
    ) -> dict[str, Tensor]:
        matched = self.matched_by_overlap(targets, anchors)
        return self.compute_loss(targets, outputs, anchors, matched)

    def compute_loss(
        self, targets: Any, head_outputs: dict[str, Tensor], anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:  # type: ignore[override]  # fmt: skip
        """The losses of boxes and of classes; of the negatives only the hardest count."""
        logits, moves = head_outputs["cls_logits"], head_outputs["bbox_regression"]
        box_losses, answers, count = [], [], 0
        for i, (target, matches) in enumerate(zip(targets, matched_idxs)):
            rows = matches.numpy()
            positive = np.flatnonzero(rows >= 0)
            count += len(positive)
            chosen, truth = rl.from_numpy(positive), rl.from_numpy(rows[positive])
            wanted = self.box_coder.encode_single(target["boxes"][truth], anchors[i][chosen])
            box_losses.append(F.smooth_l1_loss(moves[i][chosen], wanted, reduction="sum"))
            labels = np.zeros(len(rows), np.int64)
            labels[positive] = target["labels"].numpy()[rows[positive]]
            answers.append(labels)
        classes = np.stack(answers)
        losses = F.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), rl.from_numpy(classes.reshape(-1)),
            reduction="none",
        ).reshape(classes.shape)  # fmt: skip
        counted = self._counted(losses.detach().numpy(), classes)
        every = max(1, count)
        return {
            "bbox_regression": rl.stack(box_losses).sum() / every,
            "classification": (losses * rl.from_numpy(counted)).sum() / every,
        }

    def _counted(self, losses: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """1 for each positive and for the hardest negatives, a multiple of them."""
        positive = classes > 0
        hardness = np.where(positive, -np.inf, losses)
        rank = np.argsort(np.argsort(-hardness, 1, kind="stable"), 1, kind="stable")
        negative = rank < self.neg_to_pos_ratio * positive.sum(1, keepdims=True)
        return (positive | negative).astype(losses.dtype)

    def _by_level(
        self, outputs: dict[str, Tensor], anchors: list[Tensor], counts: list[int]
    ) -> tuple[Any, Any]:
        return outputs, anchors

    def postprocess_detections(
        self, head_outputs: Any, image_anchors: Any, image_shapes: Any
    ) -> list[dict[str, Tensor]]:  # type: ignore[override]
        """The best boxes of each class, and what `nms` leaves of all."""
        probabilities = F.softmax(head_outputs["cls_logits"], -1).detach().numpy()
        found = []
        for image, shape in enumerate(image_shapes):
            moves = head_outputs["bbox_regression"][image]
            corners = self.box_coder.decode_single(moves, image_anchors[image])
            corners = box_ops.clip_boxes_to_image(corners, shape)
            rows, scores, labels = [], [], []
            for label in range(1, probabilities.shape[-1]):
                places, values = top_scores(
                    probabilities[image, :, label], self.score_thresh, self.topk_candidates
                )
                rows.append(places)
                scores.append(values)
                labels.append(np.full(len(places), label, np.int64))
            chosen = rl.from_numpy(np.concatenate(rows))
            found.append(self.best_of([corners[chosen]], scores, labels))
        return found


class SSDFeatureExtractorVGG(nn.Module):
    """VGG's features at two depths, and four more maps."""

    def __init__(self, backbone: Any, highres: bool) -> None:
        super().__init__()
        pools = [i for i, layer in enumerate(backbone) if isinstance(layer, nn.MaxPool2d)]
        third, fourth = pools[2], pools[3]
        # The third pooling rounds up: 75 pixels become 38.
        backbone[third].ceil_mode = True
        self.scale_weight = nn.Parameter(rl.ones(512) * 20)
        self.features = nn.Sequential(*backbone[:fourth])

        def narrow(channels: int, inner: int, outer: int, **last: Any) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(channels, inner, 1), nn.ReLU(inplace=True),
                nn.Conv2d(inner, outer, **last), nn.ReLU(inplace=True),
            )  # fmt: skip

        extra = nn.ModuleList(
            [
                narrow(1024, 256, 512, kernel_size=3, padding=1, stride=2),
                narrow(512, 128, 256, kernel_size=3, padding=1, stride=2),
                narrow(256, 128, 256, kernel_size=3), narrow(256, 128, 256, kernel_size=3),
            ]
        )  # fmt: skip
        if highres:
            extra.append(narrow(256, 128, 256, kernel_size=4))
        _xavier_init(extra)
        dense = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=False),
            nn.Conv2d(512, 1024, kernel_size=3, padding=6, dilation=6), nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, kernel_size=1), nn.ReLU(inplace=True),
        )  # fmt: skip
        _xavier_init(dense)
        extra.insert(0, nn.Sequential(*backbone[fourth:-1], dense))
        self.extra = extra

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.features(x)
        maps = [self.scale_weight.reshape(1, -1, 1, 1) * F.normalize(x)]
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return OrderedDict((str(i), value) for i, value in enumerate(maps))


def _vgg_extractor(backbone: Any, highres: bool, trainable_layers: int) -> SSDFeatureExtractorVGG:
    body = backbone.features
    stages = [0, *(i for i, b in enumerate(body) if isinstance(b, nn.MaxPool2d))][:-1]
    count = len(stages)
    if not 0 <= trainable_layers <= count:
        raise ValueError(
            f"trainable_layers should be in the range [0, {count}]. Instead got {trainable_layers}"
        )
    frozen = len(body) if trainable_layers == 0 else stages[count - trainable_layers]
    for block in body[:frozen]:
        for parameter in block.parameters():
            parameter.requires_grad_(False)
    return SSDFeatureExtractorVGG(body, highres)


def fixed_size(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The options without a size, which these networks do not take."""
    if "size" in kwargs:
        warnings.warn(
            "The size of the model is already fixed; ignoring the parameter.", stacklevel=3
        )
    return {name: value for name, value in kwargs.items() if name != "size"}


def _build(
    num_classes: int = 91, weights_backbone: Any = VGG,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    options = fixed_size(kwargs)
    backbone = None if _weights is not None else weights_backbone
    layers = det_utils._validate_trainable_layers(
        _weights is not None or backbone is not None, trainable_backbone_layers, 5, 4
    )
    body = _vgg_extractor(vgg16(weights=backbone), False, layers)
    boxes = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05], steps=[8, 16, 32, 64, 100, 300],
    )  # fmt: skip
    # Pixels of 0 … 255 less the mean: the weights of VGG come from Caffe.
    norm = {
        "image_mean": [0.48235, 0.45882, 0.40784], "image_std": [1.0 / 255.0] * 3,
    }  # fmt: skip
    return SSD(body, boxes, (300, 300), num_classes, **{**norm, **options})


ssd300_vgg16 = network("ssd300_vgg16", _build)
