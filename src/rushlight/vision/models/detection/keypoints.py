"""Keypoints of regions: as maps of heat, and back.

In: keypoints (N, K, 3) in an image, or heat (N, K, S, S) of boxes.  Out: the other.  Source: He
et al. 2017.  Level 14.
"""

from __future__ import annotations

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor


def keypoints_to_heatmap(
    keypoints: Tensor, rois: Tensor, heatmap_size: int
) -> tuple[Tensor, Tensor]:
    """The pixel of each keypoint in its box's map, and whether it counts: (N, K) both."""
    places, boxes = keypoints.detach().numpy(), rois.detach().numpy()
    found, inside = [], []
    for axis in (0, 1):
        start, stop = boxes[:, axis, None], boxes[:, axis + 2, None]
        at = (places[..., axis] - start) * (heatmap_size / (stop - start))
        cell = np.floor(at).astype(np.int64)
        cell[places[..., axis] == stop] = heatmap_size - 1
        found.append(cell)
        inside.append((cell >= 0) & (cell < heatmap_size))
    valid = (inside[0] & inside[1] & (places[..., 2] > 0)).astype(np.int64)
    pixels = (found[1] * heatmap_size + found[0]) * valid
    return rl.from_numpy(pixels), rl.from_numpy(valid)


def heatmaps_to_keypoints(maps: Tensor, rois: Tensor) -> tuple[Tensor, Tensor]:
    """The hottest place of each map within its box: (N, K, 3), and its heat (N, K)."""
    boxes = rois.detach().numpy()
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], np.float32(1))
    whole = np.ceil(sizes).astype(np.int64)
    count = maps.shape[1]
    places = np.zeros((len(boxes), count, 3), np.float32)
    scores = np.zeros((len(boxes), count), np.float32)
    for i in range(len(boxes)):
        width, height = int(whole[i, 0]), int(whole[i, 1])
        heat = F.interpolate(
            maps[i][:, None], size=(height, width), mode="bicubic", align_corners=False
        )[:, 0].detach().numpy()  # fmt: skip
        flat = heat.reshape(count, -1)
        hottest = flat.argmax(1)
        y, x = np.divmod(hottest, width)
        step = sizes[i] / whole[i].astype(np.float32)
        places[i, :, 0] = (x.astype(np.float32) + np.float32(0.5)) * step[0] + boxes[i, 0]
        places[i, :, 1] = (y.astype(np.float32) + np.float32(0.5)) * step[1] + boxes[i, 1]
        places[i, :, 2] = 1
        scores[i] = flat[np.arange(count), hottest]
    return rl.from_numpy(places), rl.from_numpy(scores)


def keypointrcnn_loss(
    keypoint_logits: Tensor, proposals: list[Tensor], gt_keypoints: list[Tensor],
    keypoint_matched_idxs: list[Tensor],
) -> Tensor:  # fmt: skip
    """The cross-entropy of each visible keypoint's place within its box."""
    n, count, height, width = keypoint_logits.shape
    if height != width:
        raise ValueError(f"keypoint maps should be square; got {height} and {width}")
    pixels, valid = [], []
    for boxes, truth, matched in zip(proposals, gt_keypoints, keypoint_matched_idxs):
        at, counts = keypoints_to_heatmap(truth[matched], boxes, height)
        pixels.append(at.reshape(-1))
        valid.append(counts.reshape(-1))
    targets = rl.cat(pixels)
    rows = np.flatnonzero(rl.cat(valid).numpy())
    if len(rows) == 0:
        return keypoint_logits.sum() * 0
    chosen = rl.from_numpy(rows)
    logits = keypoint_logits.reshape(n * count, height * width)
    return F.cross_entropy(logits[chosen], targets[chosen])


def keypointrcnn_inference(x: Tensor, boxes: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """For each image, the keypoints of its boxes and their heat."""
    places, scores = [], []
    for maps, part in zip(x.split([len(b) for b in boxes], 0), boxes):
        found, heat = heatmaps_to_keypoints(maps, part)
        places.append(found)
        scores.append(heat)
    return places, scores
