"""How a tensor shows itself in a notebook: as text, with a few facts, and as the picture it may be.

In: a tensor.  Out: HTML.  Importing this module attaches the method to `Tensor`.  Level 10.
"""

from __future__ import annotations

import base64
import html

import numpy as np

from rushlight.base.dtypes import widen
from rushlight.base.png import as_pixels, png
from rushlight.tensor.interop import read_array
from rushlight.tensor.tensor import Tensor

LEAST_SIDE, MOST_SIDE = 4, 512  # of a picture, in elements
MOST_PICTURES = 32  # of a batch
SHOWN_SIDE = 160  # pixels


def tensor_html(self: Tensor) -> str | None:
    """Text, facts, and a picture of (H, W), (1 or 3, H, W) or (N, 1 or 3, H, W) real numbers.

    Subclasses with a text of their own show that: None asks the notebook for it.
    """
    if not type(self)._prints_as_tensor:
        return None
    text = f"<pre>{html.escape(repr(self))}</pre>"
    if self.device.type == "meta" or self.is_sparse:
        return text
    values = widen(read_array(self), self._node.dtype)
    return text + _facts(values, self) + _pictures(values)


def _facts(values: np.ndarray, tensor: Tensor) -> str:
    words = [" × ".join(map(str, values.shape)) or "one number", str(tensor.dtype)]
    if values.dtype.kind == "f" and values.size:
        finite = values[np.isfinite(values)].astype(np.float64)
        if finite.size:
            words.append(f"{finite.min():.4g} to {finite.max():.4g}, mean {finite.mean():.4g}")
        if finite.size < values.size:
            words.append(f"{values.size - finite.size} not finite")
    return f"<div>{html.escape(', '.join(words))}</div>"


def _pictures(values: np.ndarray) -> str:
    if values.dtype.kind not in "fiub":
        return ""
    if values.ndim == 2 or (values.ndim == 3 and values.shape[0] in (1, 3)):
        rows = [values]
    elif values.ndim == 4 and values.shape[1] in (1, 3):
        rows = list(values[:MOST_PICTURES])
    else:
        return ""
    height, width = values.shape[-2:]
    if not (min(height, width) >= LEAST_SIDE and max(height, width) <= MOST_SIDE and rows):
        return ""
    scale = max(1, SHOWN_SIDE // (max(height, width) * (1 if len(rows) == 1 else 2)))
    return "".join(
        f'<img src="data:image/png;base64,{base64.b64encode(png(as_pixels(_lit(row)))).decode()}" '
        f'width="{width * scale}" height="{height * scale}" alt="" '
        'style="image-rendering:pixelated;display:inline;margin:1px">'
        for row in rows
    )


def _lit(values: np.ndarray) -> np.ndarray:
    """Numbers from 0 to 1 as they are, others stretched so that the least is black."""
    if values.dtype == np.uint8:
        return values
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return numbers
    return (np.clip(numbers, low, high) - low) / (high - low or 1.0)


Tensor._repr_html_ = tensor_html
