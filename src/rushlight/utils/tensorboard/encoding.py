"""Pixels, sound and figures as bytes that TensorBoard shows.  Level 12.

In: NumPy arrays. Out: PNG, GIF and WAV files in memory. PNG and WAV need the standard library only.
"""

from __future__ import annotations

import importlib
import io
import struct
import wave
import zlib
from typing import Any

import numpy as np

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels to PNG's colour types


def as_array(value: Any) -> np.ndarray:
    """A tensor, number, list or array as a NumPy array on the CPU."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        return value.numpy()
    return np.asarray(value)


def channels_last(image: np.ndarray, dataformats: str) -> np.ndarray:
    """One image as (height, width, channels); several ("N" among the formats) as a grid.

    Raises: AssertionError if the formats do not name the axes.
    """
    dataformats = dataformats.upper()
    if len(dataformats) != image.ndim or len(set(dataformats)) != len(dataformats):
        raise AssertionError(
            f"size of input tensor and input format are different. tensor shape: {image.shape}, "
            f"input_format: {dataformats}"
        )
    if "N" in dataformats:
        order = [dataformats.index(axis) for axis in "NCHW"]
        return _grid(image.transpose(order))
    if "C" not in dataformats:
        plain = image.transpose([dataformats.index(axis) for axis in "HW"])
        return np.stack([plain] * 3, 2)
    image = image.transpose([dataformats.index(axis) for axis in "HWC"])
    return np.concatenate([image] * 3, 2) if image.shape[2] == 1 else image


def _grid(images: np.ndarray, columns: int = 8) -> np.ndarray:
    """(N, C, H, W) side by side, up to eight in a row."""
    if images.shape[1] == 1:
        images = np.concatenate([images] * 3, 1)
    number, channels, height, width = images.shape
    columns = min(number, columns)
    rows = -(-number // columns)
    canvas = np.zeros((channels, height * rows, width * columns), images.dtype)
    for place, image in enumerate(images):
        y, x = divmod(place, columns)
        canvas[:, y * height : (y + 1) * height, x * width : (x + 1) * width] = image
    return canvas.transpose(1, 2, 0)


def as_bytes(image: np.ndarray) -> np.ndarray:
    """Floats from 0 to 1 as 0 to 255; bytes as they are."""
    scale = 1 if image.dtype == np.uint8 else 255
    return (image.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    """A PNG file of (height, width, channels) bytes."""
    height, width, channels = image.shape
    if channels not in _COLOR_TYPES:
        raise ValueError(f"add_image: an image has 1 to 4 channels, this one has {channels}")
    rows = np.zeros((height, width * channels + 1), np.uint8)  # no filter: a zero before each row
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, content in chunks:
        check = zlib.crc32(name + content)
        parts.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", check))
    return b"".join(parts)


def gif(frames: np.ndarray, fps: float) -> bytes:
    """A GIF of (time, height, width, channels) bytes, by Pillow.

    Raises: ImportError if Pillow is missing.
    """
    images = optional("PIL.Image", "add_video", "pillow")
    pictures = [
        images.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames
    ]
    stream = io.BytesIO()
    pictures[0].save(
        stream,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=1000.0 / fps,
        loop=0,
    )
    return stream.getvalue()


def wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of one channel in 16 bits, from floats between -1 and 1."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * np.iinfo(np.int16).max).astype("<i2").tobytes())
    return stream.getvalue()


def figure_pixels(figure: Any, close: bool) -> np.ndarray:
    """Matplotlib figures as (channels, height, width), or several as (number, ...)."""
    if isinstance(figure, (list, tuple)):
        return np.stack([figure_pixels(one, close) for one in figure])
    canvas = optional("matplotlib.backends.backend_agg", "add_figure", "matplotlib")
    drawn = canvas.FigureCanvasAgg(figure)
    drawn.draw()
    pixels = np.frombuffer(drawn.buffer_rgba(), np.uint8)
    width, height = figure.canvas.get_width_height()
    image = pixels.reshape(height, width, 4)[:, :, :3].transpose(2, 0, 1).copy()
    if close:
        optional("matplotlib.pyplot", "add_figure", "matplotlib").close(figure)
    return image


def optional(module: str, user: str, package: str) -> Any:
    """A module of an optional package.  Raises: ImportError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{user} needs the package {package}: pip install {package}") from error
