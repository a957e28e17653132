"""The one place that imports Pillow, which is optional.

Out: Pillow's modules, or stand-ins whose use raises ImportError with the repair; `is_pil_image`.
Level 14.
"""

from __future__ import annotations

from typing import Any

MESSAGE = "{} needs Pillow, which is not installed: pip install 'rushlight[vision]'"


class _Absent:
    """Stands for a module of Pillow; every use says what to install."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        raise ImportError(MESSAGE.format(f"PIL.{self.name}.{attribute}"), name="PIL")


try:
    from PIL import Image, ImageColor, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps
except ImportError:
    AVAILABLE = False
    Image: Any = _Absent("Image")  # type: ignore[no-redef]
    ImageColor: Any = _Absent("ImageColor")  # type: ignore[no-redef]
    ImageDraw: Any = _Absent("ImageDraw")  # type: ignore[no-redef]
    ImageEnhance: Any = _Absent("ImageEnhance")  # type: ignore[no-redef]
    ImageFilter: Any = _Absent("ImageFilter")  # type: ignore[no-redef]
    ImageFont: Any = _Absent("ImageFont")  # type: ignore[no-redef]
    ImageOps: Any = _Absent("ImageOps")  # type: ignore[no-redef]
    PIL_IMAGE: tuple[type, ...] = ()
else:
    AVAILABLE = True
    PIL_IMAGE = (Image.Image,)

__all__ = [
    "AVAILABLE", "Image", "ImageColor", "ImageDraw", "ImageEnhance", "ImageFilter", "ImageFont",
    "ImageOps", "PIL_IMAGE", "is_pil_image", "require",
]  # fmt: skip


def is_pil_image(value: object) -> bool:
    """Whether `value` is an image of Pillow's; False where Pillow is not installed."""
    return isinstance(value, PIL_IMAGE)


def require(what: str) -> None:
    """Raises ImportError that says that `what` needs Pillow, where it is not installed."""
    if not AVAILABLE:
        raise ImportError(MESSAGE.format(what), name="PIL")
