"""The same transform of torchvision and of rushlight, on the same image, with the same seed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import rushlight


def photo(height: int = 33, width: int = 40, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Bytes (H, W, C) with slopes, edges and noise, as photographs have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        120
        + 60 * np.sin(x / (5.0 + c))
        + 50 * np.cos(y / (4.0 + 2 * c))
        + 8 * rng.normal(size=x.shape)
        for c in range(channels)
    ]
    image = np.stack(planes, -1).clip(0, 255).astype(np.uint8)
    image[5:12, 8:20] = 200
    image[20:26, 3:9] = [10, 240, 90][:channels]
    return image


def seed_both(torch: Any, seed: int) -> None:
    """One seed for both generators and Python's."""
    torch.manual_seed(seed)
    rushlight.manual_seed(seed)
    random.seed(seed)


def as_array(value: Any) -> Any:
    """An image, tensor, box list or nest of them as arrays."""
    if isinstance(value, (tuple, list)):
        return [as_array(v) for v in value]
    if isinstance(value, dict):
        return {key: as_array(v) for key, v in value.items()}
    if hasattr(value, "detach"):
        return value.detach().numpy()
    return np.asarray(value)


def difference(ours: Any, theirs: Any) -> float:
    """The greatest difference; infinite where shape or dtype differ."""
    if isinstance(ours, dict):
        if set(ours) != set(theirs):
            return float("inf")
        return max((difference(ours[k], theirs[k]) for k in ours), default=0.0)
    if isinstance(ours, list):
        if len(ours) != len(theirs):
            return float("inf")
        return max((difference(a, b) for a, b in zip(ours, theirs)), default=0.0)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return float("inf")
    if ours.size == 0 or ours.dtype.kind in "OU":
        return 0.0 if ours.size == 0 or ours == theirs else float("inf")
    gap = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    both_nan = np.isnan(ours.astype(np.float64)) & np.isnan(theirs.astype(np.float64))
    return float(np.where(both_nan, 0, gap).max())
