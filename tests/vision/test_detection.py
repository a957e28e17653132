"""Detectors: their parts, what they return in training and otherwise, what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.vision.models import detection
from rushlight.vision.models.detection import _utils as det_utils
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from rushlight.vision.models.detection.faster_rcnn import FastRCNNPredictor
from rushlight.vision.models.detection.image_list import ImageList
from rushlight.vision.models.detection.keypoints import heatmaps_to_keypoints
from rushlight.vision.models.detection.masks import paste_masks_in_image
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.ops.boxes import box_convert
from rushlight.vision.ops.feature_pyramid_network import MultiScaleRoIAlign


class _Tiny(nn.Module):
    """A backbone of one map, an eighth of the size."""

    out_channels = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=8, padding=1)

    def forward(self, x: rl.Tensor) -> rl.Tensor:
        return self.conv(x)


ANCHORS = AnchorGenerator(((16,),), ((0.5, 1.0),))
SMALL = {"min_size": 64, "max_size": 96}
IMAGES = [np.random.default_rng(i).uniform(size=(3, 48, 64)).astype("float32") for i in (0, 1)]


def _rcnn(**options: Any) -> Any:
    pool = MultiScaleRoIAlign(["0"], 4, 2)
    head = detection.faster_rcnn.TwoMLPHead(8 * 16, 1024)
    return detection.FasterRCNN(
        _Tiny(), 3, rpn_anchor_generator=ANCHORS, box_roi_pool=pool, box_head=head, **SMALL,
        **options,
    )  # fmt: skip


def _retina() -> Any:
    return detection.RetinaNet(_Tiny(), 3, anchor_generator=ANCHORS, score_thresh=0.0, **SMALL)


def _fcos() -> Any:
    anchors = AnchorGenerator(((8,),), ((1.0,),))
    body = _Tiny()
    body.out_channels = 32
    body.conv = nn.Conv2d(3, 32, 3, stride=8, padding=1)
    return detection.FCOS(body, 3, anchor_generator=anchors, score_thresh=0.0, **SMALL)


def _targets(boxes: Any) -> list[dict[str, rl.Tensor]]:
    labels = np.arange(len(boxes)) % 2 + 1
    target = {
        "boxes": rl.tensor(boxes, dtype=rl.float32).reshape(-1, 4), "labels": rl.tensor(labels)
    }  # fmt: skip
    return [target, dict(target)]


NAMES = {
    "rcnn": {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"},
    "retina": {"classification", "bbox_regression"},
    "fcos": {"classification", "bbox_regression", "bbox_ctrness"},
}
MAKERS = {"rcnn": _rcnn, "retina": _retina, "fcos": _fcos}


@pytest.mark.parametrize("kind", MAKERS)
def test_training_gives_losses_that_reach_the_backbone(kind: str) -> None:
    rl.manual_seed(0)
    model = MAKERS[kind]()
    images = [rl.from_numpy(image) for image in IMAGES]
    losses = model(images, _targets([[4, 4, 30, 30], [20, 10, 60, 44]]))
    assert set(losses) == NAMES[kind]
    sum(losses.values()).backward()
    assert all(np.isfinite(loss.item()) for loss in losses.values())
    assert model.backbone.conv.weight.grad.abs().sum().item() > 0


@pytest.mark.parametrize("kind", MAKERS)
def test_an_image_without_objects_is_learned_from(kind: str) -> None:
    model = MAKERS[kind]()
    losses = model([rl.from_numpy(image) for image in IMAGES], _targets([]))
    assert all(np.isfinite(loss.item()) for loss in losses.values())


@pytest.mark.parametrize("kind", MAKERS)
def test_results_lie_within_their_images(kind: str) -> None:
    model = MAKERS[kind]().eval()
    images = [rl.from_numpy(IMAGES[0]), rl.from_numpy(IMAGES[1][:, :40, :40])]
    with rl.no_grad():
        results = model(images)
    for result, (height, width) in zip(results, ((48, 64), (40, 40))):
        boxes = result["boxes"].numpy()
        assert boxes.shape[0] == len(result["labels"]) == len(result["scores"])
        assert (boxes[:, 2] <= width + 1e-3).all() and (boxes[:, 3] <= height + 1e-3).all()
        assert (np.diff(result["scores"].numpy()) <= 0).all()
        assert result["labels"].dtype == rl.int64


def test_training_without_targets_is_an_error() -> None:
    images = [rl.from_numpy(IMAGES[0])]
    with pytest.raises(ValueError, match="targets should not be none"):
        _retina()(images)
    with pytest.raises(ValueError, match=r"shape \[N, 4\]"):
        _retina()(images, [{"boxes": rl.zeros(3), "labels": rl.zeros(3)}])
    with pytest.raises(ValueError, match="positive height and width"):
        _retina()(images, _targets([[5, 5, 5, 9]])[:1])


def test_images_of_bytes_are_refused() -> None:
    with pytest.raises(TypeError, match="floating type"):
        _retina().eval()([rl.zeros(3, 8, 8, dtype=rl.uint8)])


def test_a_new_head_is_put_on_a_detector() -> None:
    model = _rcnn()
    model.roi_heads.box_predictor = FastRCNNPredictor(1024, 5)
    logits, moves = model.roi_heads.box_predictor(rl.zeros(2, 1024))
    assert logits.shape == (2, 5) and moves.shape == (2, 20)


def test_boxes_come_back_from_their_code() -> None:
    coder = det_utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    boxes = rl.tensor([[1.0, 2.0, 11.0, 22.0], [3.0, 4.0, 9.0, 8.0]])
    bases = rl.tensor([[0.0, 0.0, 10.0, 10.0], [2.0, 2.0, 12.0, 12.0]])
    code = coder.encode([boxes], [bases])[0]
    assert np.allclose(coder.decode(code, [bases])[:, 0].numpy(), boxes.numpy(), atol=1e-4)
    linear = det_utils.BoxLinearCoder()
    back = linear.decode(linear.encode(bases, boxes), bases)
    assert np.allclose(back.numpy(), boxes.numpy(), atol=1e-4)


def test_a_matcher_keeps_the_best_of_each_truth() -> None:
    quality = rl.tensor([[0.9, 0.5, 0.2], [0.1, 0.5, 0.3]])
    strict = det_utils.Matcher(0.7, 0.4)
    assert strict(quality).tolist() == [0, -2, -1]
    kind = det_utils.Matcher(0.7, 0.4, allow_low_quality_matches=True)
    # The second truth's best is 0.5, which it shares with the first.
    assert kind(quality).tolist() == [0, 0, -1]
    assert det_utils.SSDMatcher(0.7)(quality).tolist() == [0, 1, -1]
    with pytest.raises(ValueError, match="No ground-truth boxes"):
        strict(rl.zeros(0, 3))


def test_a_sampler_balances_and_never_takes_the_rest() -> None:
    rl.manual_seed(0)
    sampler = det_utils.BalancedPositiveNegativeSampler(8, 0.25)
    labels = rl.tensor([1.0] * 5 + [0.0] * 20 + [-1.0] * 5)
    positives, negatives = sampler([labels])
    assert positives[0].sum().item() == 2 and negatives[0].sum().item() == 6
    assert (positives[0][5:].sum() + negatives[0][25:].sum()).item() == 0


def test_anchors_stand_around_each_place() -> None:
    images = ImageList(rl.zeros(1, 3, 32, 48), [(32, 48)])
    boxes = ANCHORS(images, [rl.zeros(1, 8, 4, 6)])[0]
    assert boxes.shape == (48, 4)
    assert boxes[1].tolist() == [-8, -8, 8, 8]
    assert (boxes[2:4] - boxes[0:2]).tolist() == [[8, 0, 8, 0]] * 2
    default = DefaultBoxGenerator([[2]], scales=[0.5, 1.0], clip=True)
    found = default(images, [rl.zeros(1, 8, 1, 1)])[0]
    assert found.shape == (4, 4)
    assert found[0].tolist() == [12, 8, 36, 24]


def test_masks_are_pasted_where_their_boxes_are() -> None:
    masks = rl.ones(1, 1, 4, 4)
    pasted = paste_masks_in_image(masks, rl.tensor([[2.0, 1.0, 6.0, 5.0]]), (8, 10))
    assert pasted.shape == (1, 1, 8, 10)
    assert pasted[0, 0, 3, 4].item() == 1 and pasted[0, 0, 7, 9].item() == 0
    empty = paste_masks_in_image(rl.ones(0, 1, 4, 4), rl.zeros(0, 4), (8, 10))
    assert empty.shape == (0, 1, 8, 10)


def test_the_hottest_place_is_the_keypoint() -> None:
    maps = rl.zeros(1, 1, 4, 4)
    maps[0, 0, 1, 2] = 5.0
    places, heat = heatmaps_to_keypoints(maps, rl.tensor([[10.0, 20.0, 14.0, 24.0]]))
    assert places[0, 0].tolist() == [12.5, 21.5, 1.0]
    assert heat[0, 0].item() == 5.0


def test_sides_are_bounded_by_both_sizes() -> None:
    transform = GeneralizedRCNNTransform(64, 80, [0.0] * 3, [1.0] * 3).eval()
    batch, _ = transform([rl.zeros(3, 32, 64), rl.zeros(3, 32, 32)])
    assert batch.image_sizes == [(40, 80), (64, 64)]
    assert batch.tensors.shape == (2, 3, 64, 96)


@pytest.mark.parametrize("trainable", [-1, 7])
def test_a_wrong_number_of_layers_is_an_error(trainable: int) -> None:
    with pytest.raises(ValueError, match=r"range \[0,6\]"):
        det_utils._validate_trainable_layers(True, trainable, 6, 3)


def test_turned_boxes_come_back_from_their_corners() -> None:
    # A quarter turn around the centre: the width stands upright, the first corner is below left.
    boxes = rl.tensor([[10.0, 20.0, 6.0, 4.0, 90.0], [3.0, 4.0, 5.0, 2.0, -75.0]])
    corners = box_convert(boxes, "cxcywhr", "xyxyxyxy")
    assert np.allclose(corners[0].numpy(), [8, 23, 8, 17, 12, 17, 12, 23], atol=1e-4)
    assert np.allclose(
        box_convert(corners, "xyxyxyxy", "cxcywhr").numpy(), boxes.numpy(), atol=1e-3
    )
    with pytest.raises(NotImplementedError, match="Unsupported"):
        box_convert(boxes, "xywhr", "xyxy")
