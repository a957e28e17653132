"""Operations of detection and layers of networks equal torchvision's."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import rushlight
import rushlight.vision.ops as ours
from tests.vision.compare import as_array, difference, seed_both

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torchvision.ops")


def boxes(count: int, seed: int = 0, size: float = 40.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, size * 0.7, (count, 2))
    return np.concatenate([start, start + rng.uniform(1, size * 0.4, (count, 2))], 1).astype(
        "float32"
    )


CLOSE = boxes(60, 1, 30.0)
TURNED = np.concatenate([CLOSE[:9], np.linspace(-170, 170, 9, dtype="float32")[:, None]], 1)
SCORES = np.random.default_rng(2).uniform(size=60).astype("float32")
CLASSES = np.random.default_rng(3).integers(0, 4, 60)
FEATURES = np.random.default_rng(4).normal(size=(2, 12, 20, 25)).astype("float32")
ROIS = np.concatenate([np.random.default_rng(5).integers(0, 2, (30, 1)), boxes(30, 6, 50.0)], 1)
ROIS = ROIS.astype("float32")
CHOICES = (np.random.default_rng(6).uniform(size=(10, 4)) > 0.5).astype("float32")

# `o` is the module of operations, `t` the tensors' module, `x` makes a tensor of an array.
CASES = {
    "nms": lambda o, t, x: o.nms(x(CLOSE), x(SCORES), 0.3),
    "batched_nms": lambda o, t, x: o.batched_nms(x(CLOSE), x(SCORES), x(CLASSES), 0.3),
    "remove_small_boxes": lambda o, t, x: o.remove_small_boxes(x(CLOSE), 5.0),
    "clip_boxes": lambda o, t, x: o.clip_boxes_to_image(x(CLOSE * 2 - 9), (30, 25)),
    "box_convert": lambda o, t, x: [
        o.box_convert(x(CLOSE), a, b)
        for a in ("xyxy", "xywh", "cxcywh")
        for b in ("xyxy", "xywh", "cxcywh")
    ],
    "box_convert turned": lambda o, t, x: [
        o.box_convert(o.box_convert(x(TURNED), "cxcywhr", a), a, b)
        for a in ("xywhr", "cxcywhr", "xyxyxyxy")
        for b in ("xywhr", "cxcywhr", "xyxyxyxy")
    ],
    "box_area": lambda o, t, x: o.box_area(x(CLOSE)),
    "box_iou": lambda o, t, x: o.box_iou(x(CLOSE), x(CLOSE[:9])),
    "generalized_box_iou": lambda o, t, x: o.generalized_box_iou(x(CLOSE), x(CLOSE[:9])),
    "distance_box_iou": lambda o, t, x: o.distance_box_iou(x(CLOSE), x(CLOSE[:9])),
    "complete_box_iou": lambda o, t, x: o.complete_box_iou(x(CLOSE), x(CLOSE[:9])),
    "masks_to_boxes": lambda o, t, x: o.masks_to_boxes(x(FEATURES[0] > 1.5)),
    "focal_loss": lambda o, t, x: [
        o.sigmoid_focal_loss(x(FEATURES[0, 0, :10, :4]), x(CHOICES), reduction=r)
        for r in ("none", "mean", "sum")
    ],
    "generalized_box_iou_loss": lambda o, t, x: o.generalized_box_iou_loss(
        x(CLOSE[:9]), x(CLOSE[1:10]), "mean"
    ),
    "distance_box_iou_loss": lambda o, t, x: o.distance_box_iou_loss(
        x(CLOSE[:9]), x(CLOSE[1:10]), "sum"
    ),
    "complete_box_iou_loss": lambda o, t, x: o.complete_box_iou_loss(x(CLOSE[:9]), x(CLOSE[1:10])),
    "roi_align": lambda o, t, x: o.roi_align(x(FEATURES), x(ROIS), (7, 5), 0.5, 2),
    "roi_align aligned": lambda o, t, x: o.roi_align(x(FEATURES), x(ROIS), 7, 0.5, -1, True),
    "roi_align of lists": lambda o, t, x: o.roi_align(
        x(FEATURES), [x(CLOSE[:5]), x(CLOSE[5:8])], 4
    ),
    "roi_pool": lambda o, t, x: o.roi_pool(x(FEATURES), x(ROIS), (7, 5), 0.5),
    "ps_roi_align": lambda o, t, x: o.ps_roi_align(x(FEATURES), x(ROIS), (3, 2), 0.5, 2),
    "ps_roi_pool": lambda o, t, x: o.ps_roi_pool(x(FEATURES), x(ROIS), (3, 2), 0.5),
    "stochastic_depth": lambda o, t, x: [
        o.stochastic_depth(x(FEATURES), 0.4, m) for m in ("row", "batch")
    ],
    "drop_block": lambda o, t, x: [
        o.drop_block2d(x(FEATURES), 0.2, 3),
        o.drop_block3d(x(FEATURES[None]), 0.2, 3),
    ],
    "FrozenBatchNorm2d": lambda o, t, x: o.FrozenBatchNorm2d(12)(x(FEATURES)),
    "SqueezeExcitation": lambda o, t, x: o.SqueezeExcitation(12, 4)(x(FEATURES)),
    "Conv2dNormActivation": lambda o, t, x: o.Conv2dNormActivation(12, 5, stride=2)(x(FEATURES)),
    "MLP": lambda o, t, x: o.MLP(25, [30, 7], dropout=0.3)(x(FEATURES)),
    "deform_conv2d": lambda o, t, x: o.deform_conv2d(
        x(FEATURES[:, :4]),
        x(np.tile(FEATURES[:, :9], (1, 4, 1, 1))),
        x(FEATURES[0, :6, :6, :9].reshape(6, 6, 9)[:, :2].reshape(6, 2, 3, 3)),
        None,
        1,
        1,
        mask=x(np.tile(np.abs(FEATURES[:, :9]), (1, 2, 1, 1))),
    ),
    "DeformConv2d": lambda o, t, x: o.DeformConv2d(12, 6, 3, padding=1, stride=2)(
        x(FEATURES), x(np.tile(FEATURES[:, :9, ::2, ::2], (1, 2, 1, 1)))
    ),
    "FeaturePyramidNetwork": lambda o, t, x: o.FeaturePyramidNetwork([12, 12], 8)(
        OrderedDict(a=x(FEATURES), b=x(FEATURES[:, :, ::2, ::2]))
    ),
    "MultiScaleRoIAlign": lambda o, t, x: o.MultiScaleRoIAlign(["a", "b"], 3, 2)(
        OrderedDict(a=x(FEATURES), b=x(np.ascontiguousarray(FEATURES[:, :, ::2, ::2]))),
        [x(CLOSE[:9] * 9), x(CLOSE[9:12])],
        [(160, 200), (150, 180)],
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_an_operation_equals_torchvision(name: str) -> None:
    seed_both(torch, 3)
    expected = as_array(
        CASES[name](theirs, torch, lambda a: torch.from_numpy(np.ascontiguousarray(a)))
    )
    found = as_array(
        CASES[name](ours, rushlight, lambda a: rushlight.from_numpy(np.ascontiguousarray(a)))
    )
    assert difference(found, expected) <= 1e-4
    assert torch.rand(1).item() == rushlight.rand(1).item()


@pytest.mark.parametrize("name", ["roi_align", "roi_pool", "ps_roi_align"])
def test_gradients_of_regions_equal_torchvision(name: str) -> None:
    found = []
    for o, t in ((theirs, torch), (ours, rushlight)):
        features = t.from_numpy(FEATURES.copy()).requires_grad_()
        result = getattr(o, name)(features, t.from_numpy(ROIS), (3, 2), 0.5)
        (result * result).sum().backward()
        found.append(features.grad.numpy())
    assert np.abs(found[0] - found[1]).max() <= 1e-4
