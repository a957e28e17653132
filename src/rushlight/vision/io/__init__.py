"""Reading and writing image files, by Pillow.

In: paths, or bytes as a 1-d tensor.  Out: tensors (C, H, W) of bytes.  Level 14.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.vision.pillow import Image, ImageOps, require
from rushlight.vision.transforms.conversion import pil_to_tensor, to_pil_image

__all__ = [
    "ImageReadMode", "decode_avif", "decode_gif", "decode_heic", "decode_image",
    "decode_jpeg", "decode_png", "decode_webp",
    "encode_jpeg", "encode_png", "read_file", "read_image", "write_file", "write_jpeg",
    "write_png",
]  # fmt: skip


class ImageReadMode(Enum):
    """Which channels an image is read with; RGB_ALPHA where four are wanted."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = 4  # noqa: PIE796  # another name of the same


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _mode(mode: Any) -> ImageReadMode:
    return ImageReadMode[mode.upper()] if isinstance(mode, str) else mode


def read_file(path: Any) -> Tensor:
    """The bytes of a file, 1-d uint8."""
    return rl.from_numpy(np.frombuffer(bytearray(Path(path).read_bytes()), dtype=np.uint8))


def write_file(filename: Any, data: Tensor) -> None:
    """Write a 1-d tensor of bytes to a file.  Raises: RuntimeError for other tensors."""
    if data.dtype != rl.uint8 or data.ndim != 1:
        raise RuntimeError(f"write_file: needs a 1-d uint8 tensor; got {data.ndim}-d {data.dtype}")
    Path(filename).write_bytes(data.numpy().tobytes())


def _opened(data: Any, what: str, formats: tuple[str, ...] | None) -> Any:
    require(what)
    if isinstance(data, Tensor):
        if data.dtype != rl.uint8 or data.ndim != 1 or data.numel() == 0:
            raise RuntimeError(f"{what}: needs a non-empty 1-d uint8 tensor of a file's bytes")
        data = io.BytesIO(data.numpy().tobytes())
    try:
        return Image.open(data, formats=formats)
    except (OSError, SyntaxError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise RuntimeError(
            f"{what}: the bytes are no {' or '.join(formats or ('image',))}"
        ) from error


def _decoded(
    data: Any, mode: Any, turn: bool, what: str, formats: tuple[str, ...] | None = None
) -> Tensor:
    image = _opened(data, what, formats)
    deep = _is_deep(image)
    try:
        if deep:
            return _deep_channels(image, lambda: _opened(data, what, formats), mode)
        image.load()
    except (OSError, SyntaxError) as error:
        raise RuntimeError(f"{what}: the image is damaged ({error})") from error
    if turn:
        image = ImageOps.exif_transpose(image)
    mode = _mode(mode)
    if mode is not ImageReadMode.UNCHANGED:
        image = image.convert(_MODES[mode.value])
    elif image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return pil_to_tensor(image)


# What Pillow calls samples of 16 bits of which it keeps the upper halves, and the lower ones.
_UPPER, _LOWER = ";16B", ";16L"


def _is_deep(image: Any) -> bool:
    """Whether an image has several channels of 16 bits, which Pillow reads as bytes."""
    tile = getattr(image, "tile", None)
    rawmode = tile[0][3] if tile and image.format == "PNG" else ""
    return rawmode in ("RGB" + _UPPER, "RGBA" + _UPPER)


def _deep_channels(upper: Any, again: Callable[[], Any], mode: Any) -> Tensor:
    """The channels in all their bits: the file is decoded once for each half of a sample."""
    lower = again()
    lower.tile = [(*part[:3], part[3].replace(_UPPER, _LOWER)) for part in lower.tile]
    both = [np.asarray(image, dtype=np.uint16) for image in (upper, lower)]
    made = np.ascontiguousarray((both[0] * 256 + both[1]).transpose(2, 0, 1))
    mode = _mode(mode)
    if mode is ImageReadMode.RGB:
        made = made[:3]
    elif mode is ImageReadMode.RGBA and len(made) == 3:
        made = np.concatenate([made, np.full_like(made[:1], 65535)])
    elif mode not in (ImageReadMode.UNCHANGED, ImageReadMode.RGBA):
        raise RuntimeError(f"an image of 16 bits in colors is not read as {mode.name}")
    return rl.from_numpy(made)


def decode_image(
    input: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image of a path or of a file's bytes: (C, H, W); animated GIFs are (N, 3, H, W).

    mode: which channels.  apply_exif_orientation: turn it as its camera was held.
    Raises: RuntimeError for bytes that are no image, ImportError without Pillow.
    """
    if not isinstance(input, Tensor):
        input = read_file(input)
    if input.numel() >= 4 and bytes(input[:4].tolist()) == b"GIF8":
        return decode_gif(input)
    return _decoded(input, mode, apply_exif_orientation, "decode_image")


def read_image(
    path: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image of a file; see `decode_image`."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


def decode_png(
    input: Tensor, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image of a PNG file's bytes."""
    return _decoded(input, mode, apply_exif_orientation, "decode_png", ("PNG",))


def decode_jpeg(
    input: Any, mode: Any = ImageReadMode.UNCHANGED, device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Any:  # fmt: skip
    """The image of a JPEG file's bytes, or the images of a list of them."""
    if isinstance(input, list):
        return [decode_jpeg(one, mode, device, apply_exif_orientation) for one in input]
    return _decoded(input, mode, apply_exif_orientation, "decode_jpeg", ("JPEG", "MPO"))


def decode_webp(input: Tensor, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image of a WebP file's bytes."""
    return _decoded(input, mode, False, "decode_webp", ("WEBP",))


def decode_avif(input: Tensor, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image of an AVIF file's bytes."""
    return _decoded(input, mode, False, "decode_avif", ("AVIF",))


def decode_heic(input: Tensor, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image of an HEIC file's bytes.

    Raises: RuntimeError without the package `pillow-heif`, which adds the format to Pillow.
    """
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise RuntimeError(
            "decode_heic: Pillow reads no HEIC files by itself: pip install pillow-heif"
        ) from error
    return _decoded(input, mode, False, "decode_heic", ("HEIF",))


def decode_gif(input: Tensor) -> Tensor:
    """The images of a GIF file's bytes: (3, H, W), or (N, 3, H, W) for several."""
    image = _opened(input, "decode_gif", ("GIF",))
    frames = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        frames.append(pil_to_tensor(image.convert("RGB")))
    return frames[0] if len(frames) == 1 else rl.stack(frames)


def _encoded(input: Tensor, what: str, **options: Any) -> Tensor:
    require(what)
    if input.dtype != rl.uint8:
        raise RuntimeError(f"{what}: needs bytes; got {input.dtype}")
    if input.ndim != 3 or input.shape[0] not in (1, 3):
        raise RuntimeError(
            f"{what}: needs (1 or 3, H, W); got {tuple(input.shape)}"
        )  # fmt: skip
    stream = io.BytesIO()
    to_pil_image(input).save(stream, **options)
    return rl.from_numpy(np.frombuffer(bytearray(stream.getvalue()), dtype=np.uint8))


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file of (1 or 3, H, W)."""
    return _encoded(input, "encode_png", format="PNG", compress_level=compression_level)


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """The bytes of a JPEG file of (1 or 3, H, W), or of a list of images.  Raises: ValueError."""
    if quality < 1 or quality > 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, list):
        return [encode_jpeg(one, quality) for one in input]
    return _encoded(input, "encode_jpeg", format="JPEG", quality=quality)


def write_png(input: Tensor, filename: Any, compression_level: int = 6) -> None:
    """Write (1 or 3, H, W) as PNG."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: Any, quality: int = 75) -> None:
    """Write (1 or 3, H, W) as JPEG."""
    write_file(filename, encode_jpeg(input, quality))
