"""How pixels between pixels are found: the names shared by both versions of the transforms.

Level 14.
"""

from __future__ import annotations

from enum import Enum


class InterpolationMode(Enum):
    """Interpolation modes; `box`, `hamming` and `lanczos` are Pillow's alone."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers for them.
pil_modes_mapping = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
    InterpolationMode.LANCZOS: 1,
}
_MODES_OF_PIL = {
    0: InterpolationMode.NEAREST,
    1: InterpolationMode.LANCZOS,
    2: InterpolationMode.BILINEAR,
    3: InterpolationMode.BICUBIC,
    4: InterpolationMode.BOX,
    5: InterpolationMode.HAMMING,
}


def mode_of(interpolation: InterpolationMode | int) -> InterpolationMode:
    """The mode, also where Pillow's number stands for it.

    Raises: TypeError for anything else.
    """
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    if isinstance(interpolation, int) and interpolation in _MODES_OF_PIL:
        return _MODES_OF_PIL[interpolation]
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer"
        f" constant; got {interpolation!r}"
    )
