"""Masks of regions: pasted into images, and cut out of them.

In: masks (N, 1, M, M) of boxes, or masks of whole images.  Out: the other.  Source: He et al.
2017.  Level 14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor
from rushlight.vision.ops.roi import roi_align


def expand_boxes(boxes: Tensor, scale: float) -> Tensor:
    """Boxes (N, 4) grown around their centres."""
    x, y = (boxes[:, 2] + boxes[:, 0]) * 0.5, (boxes[:, 3] + boxes[:, 1]) * 0.5
    width = (boxes[:, 2] - boxes[:, 0]) * 0.5 * scale
    height = (boxes[:, 3] - boxes[:, 1]) * 0.5 * scale
    return rl.stack((x - width, y - height, x + width, y + height), 1)


def expand_masks(mask: Tensor, padding: int) -> tuple[Tensor, float]:
    """Masks with a border of zeros, and how much wider they are."""
    side = mask.shape[-1]
    return F.pad(mask, (padding,) * 4), float(side + 2 * padding) / side


def paste_mask_in_image(mask: Tensor, box: Any, im_h: int, im_w: int) -> Tensor:
    """One mask (M, M) stretched over a box of whole pixels: (im_h, im_w)."""
    x1, y1, x2, y2 = (int(v) for v in box)
    width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    stretched = F.interpolate(
        mask[None, None], size=(height, width), mode="bilinear", align_corners=False
    )[0][0]
    left, right = max(x1, 0), min(x2 + 1, im_w)
    top, bottom = max(y1, 0), min(y2 + 1, im_h)
    image = rl.zeros((im_h, im_w), dtype=mask.dtype)
    if right > left and bottom > top:
        image[top:bottom, left:right] = stretched[top - y1 : bottom - y1, left - x1 : right - x1]
    return image


def paste_masks_in_image(
    masks: Tensor, boxes: Tensor, img_shape: tuple[int, int], padding: int = 1
) -> Tensor:
    """Masks (N, 1, M, M) of boxes (N, 4) in an image: (N, 1, H, W)."""
    masks, scale = expand_masks(masks, padding)
    height, width = img_shape
    corners = expand_boxes(boxes, scale).detach().numpy().astype(np.int64)
    pasted = [paste_mask_in_image(mask[0], box, height, width) for mask, box in zip(masks, corners)]
    if not pasted:
        return masks.new_empty((0, 1, height, width))
    return rl.stack(pasted)[:, None]


def project_masks_on_boxes(gt_masks: Tensor, boxes: Tensor, matched_idxs: Tensor, M: int) -> Tensor:
    """The part of each box's true mask within it: (N, M, M)."""
    rois = rl.cat([matched_idxs.to(boxes.dtype)[:, None], boxes], 1)
    return roi_align(gt_masks[:, None].to(rois.dtype), rois, (M, M), 1.0)[:, 0]
