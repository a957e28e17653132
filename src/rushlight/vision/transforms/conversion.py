"""Between Pillow's images, arrays and tensors.

In: PIL images, ndarrays of (H, W, C) or (H, W), tensors of (C, H, W).  Out: the other kind.
Shared by both versions of the transforms; the first step of every data loader, so it is NumPy in
one pass, not recorded operations.  Level 14.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor
from rushlight.base.dtypes import dtype_of_numpy
from rushlight.tensor.tensor import tensor_from_numpy
from rushlight.vision.pillow import Image, is_pil_image

# Array types of the modes that `np.array` would not read as bytes.
_WIDE_MODES = {"I": np.int32, "I;16": np.int16, "I;16B": np.int16, "F": np.float32}


def array_of(pic: Any) -> np.ndarray:
    """(C, H, W) of a PIL image, copied, in memory order (H, W, C)."""
    array = np.array(pic, dtype=_WIDE_MODES.get(pic.mode), copy=True)
    if pic.mode == "1":
        array = array.astype(np.uint8)
    if array.ndim == 2:
        array = array[:, :, None]
    return array.transpose(2, 0, 1)


def pil_to_tensor(pic: Any) -> Tensor:
    """(C, H, W) of the image's own numbers; bytes for most modes.

    Raises: TypeError for anything but a PIL image.
    """
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array = np.array(pic, copy=True)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype == np.uint16:
        array = array.astype(np.int32)
    return tensor_from_numpy(
        np.ascontiguousarray(array.transpose(2, 0, 1)), dtype_of_numpy(array.dtype)
    )


def _scaled(array: np.ndarray) -> Tensor:
    """Bytes as 0 … 1 in the default floating dtype."""
    dtype = rl.get_default_dtype()
    if dtype is rl.float32:
        # Each of the 256 quotients once; looking them up is faster than dividing.
        return tensor_from_numpy(_QUOTIENTS.take(array), rl.float32)
    return rl.from_numpy(array.copy()).to(dtype).div(255)


_QUOTIENTS = np.arange(256, dtype=np.float32) / np.float32(255)


def to_tensor(pic: Any) -> Tensor:
    """(C, H, W); bytes are divided by 255, other numbers stay.

    Raises: TypeError for anything but a PIL image or an ndarray; ValueError for other than 2 or 3
    axes.
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
        array = np.ascontiguousarray(array.transpose(2, 0, 1))
        return _scaled(array) if array.dtype == np.uint8 else rl.from_numpy(array)
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if pic.mode == "1":
        pic = np.asarray(pic, dtype=np.uint8) * 255
        return _scaled(pic[None])
    array = np.asarray(pic, dtype=_WIDE_MODES.get(pic.mode))
    array = array[:, :, None] if array.ndim == 2 else array
    array = np.ascontiguousarray(array.transpose(2, 0, 1))
    return _scaled(array) if array.dtype == np.uint8 else rl.from_numpy(array)


_EXPECTED = {
    1: ("L", "I", "I;16", "F"),
    2: ("LA",),
    3: ("RGB", "YCbCr", "HSV"),
    4: ("RGBA", "CMYK", "RGBX"),
}
_TYPICAL = {2: "LA", 3: "RGB", 4: "RGBA"}
_GRAY_MODES = {"uint8": "L", "int16": "I;16", "uint16": "I;16", "int32": "I", "float32": "F"}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A PIL image of a tensor (C, H, W) or an array (H, W, C); floats are taken as 0 … 1.

    Raises: TypeError for other objects and dtypes; ValueError for other shapes and modes.
    """
    if isinstance(pic, Tensor):
        if pic.ndim == 3:
            array = pic.detach().cpu().numpy().transpose(1, 2, 0)
        elif pic.ndim == 2:
            array = pic.detach().cpu().numpy()[:, :, None]
        else:
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        if np.issubdtype(array.dtype, np.floating) and mode != "F":
            array = (array * 255).astype(np.uint8)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    channels = array.shape[2]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if channels == 1:
        array = array[:, :, 0]
        expected = _GRAY_MODES.get(array.dtype.name)
        if expected is None and mode is None:
            raise TypeError(f"Input type {array.dtype} is not supported")
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input"
                f" type {array.dtype}. Should be {expected}"
            )
        mode = expected
    else:
        if mode is not None and mode not in _EXPECTED[channels]:
            raise ValueError(
                f"Only modes {list(_EXPECTED[channels])} are supported for {channels}D inputs"
            )
        if mode is None and array.dtype == np.uint8:
            mode = _TYPICAL[channels]
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    image = Image.fromarray(np.ascontiguousarray(array))
    if image.mode != mode:
        # The same numbers under another name (RGB bytes that are HSV), not a conversion.
        image = Image.frombytes(mode, image.size, image.tobytes())
    return image
