"""Draw small gray images with characters.

In: arrays of numbers between 0 and 1.  Out: lines of text.  Level 14.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# From paper to ink.  Two characters a pixel make it about square in a terminal.
SHADES = " .:-=+*#%@"
GAP = "   "


def draw(image: np.ndarray) -> list[str]:
    """One line of text for each row of pixels.  Shapes: (height, width)."""
    levels = np.clip(np.round(image * (len(SHADES) - 1)), 0, len(SHADES) - 1).astype(int)
    return ["".join(SHADES[level] * 2 for level in row) for row in levels]


def draw_side_by_side(images: Sequence[np.ndarray], captions: Sequence[str]) -> str:
    """Several images in a row, each with a caption under it."""
    drawings = [[*draw(image), caption] for image, caption in zip(images, captions)]
    widths = [max(map(len, lines)) for lines in drawings]
    rows = zip(*drawings)
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )
