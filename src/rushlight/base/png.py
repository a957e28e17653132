"""Pictures as PNG files, by zlib alone.  Level 0."""

from __future__ import annotations

import struct
import zlib

import numpy as np

__all__ = ["as_pixels", "png"]

_GREY, _COLOUR = 0, 2


def as_pixels(values: np.ndarray) -> np.ndarray:
    """Bytes (H, W) or (H, W, 3) of a picture (H, W), (1, H, W), (3, H, W) or (H, W, 3).

    Black is the least of the numbers or 0, white the largest of them or 1, whichever lies further
    out.  What is not finite counts as 0; bytes stay as they are.
    Raises: ValueError for any other shape.
    """
    if values.ndim == 3 and values.shape[0] in (1, 3):
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3) or not values.size:
        raise ValueError(
            f"a picture is (H, W), (1, H, W), (3, H, W) or (H, W, 3) and not empty, got "
            f"{tuple(values.shape)}"
        )
    if values.dtype == np.uint8:
        return values
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = min(numbers.min(), 0.0), max(numbers.max(), 1.0)
    return np.round((numbers - low) / (high - low) * 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """The file of a picture of bytes, (H, W) or (H, W, 3)."""
    height, width = pixels.shape[:2]
    kind = _GREY if pixels.ndim == 2 else _COLOUR
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    # Each row begins with the number of its filter: none.
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, data)
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 6)), (b"IEND", b""))
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
