"""Images: datasets, transforms, networks and operations, with torchvision's names.

`import torchvision` means this package under `rushlight run`.  Its parts are imported when a
program first names them.  Pillow, which reads and writes image files, is the optional extra
`vision`; what needs it says so.  Level 14.
"""

from __future__ import annotations

import importlib as _importlib
from types import ModuleType

from rushlight.vision import pillow as _pillow

__version__ = "0.29.1"

_PARTS = ("datasets", "io", "models", "ops", "transforms", "tv_tensors", "utils")
_image_backend = "PIL"
_video_backend = "pyav"


def __getattr__(name: str) -> ModuleType:
    if name in _PARTS:
        return _importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'torchvision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})


def set_image_backend(backend: str) -> None:
    """The library that loads images; only "PIL" is there.

    Raises: ValueError for an unknown name, ImportError for "accimage", which rushlight lacks.
    """
    if backend not in ("PIL", "accimage"):
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL' and 'accimage'")
    if backend == "accimage":
        raise ImportError("set_image_backend: rushlight loads images by Pillow only; use 'PIL'")
    global _image_backend
    _image_backend = backend


def get_image_backend() -> str:
    """The library that loads images."""
    return _image_backend


def set_video_backend(backend: str) -> None:
    """The library that reads videos; only "pyav" is named, and video files are not read yet.

    Raises: ValueError for an unknown name, RuntimeError for one that is not there.
    """
    if backend not in ("pyav", "video_reader", "cuda"):
        raise ValueError(
            f"Invalid video backend '{backend}'. Options are 'pyav', 'video_reader' and 'cuda'"
        )
    if backend != "pyav":
        raise RuntimeError(f"set_video_backend: {backend!r} is not available; use 'pyav'")


def get_video_backend() -> str:
    """The library that reads videos."""
    return _video_backend


def disable_beta_transforms_warning() -> None:
    """Does nothing: the second version of the transforms is no trial any more."""


def pillow_is_installed() -> bool:
    """Whether image files can be read and written."""
    return _pillow.AVAILABLE
