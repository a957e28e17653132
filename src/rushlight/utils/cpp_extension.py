"""The names by which programs build extensions in C++ or CUDA; here none can be built.  Level 12.

Programs that look for a compiler's folders find none, and go their way without; who builds one is
told what to write instead.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "CUDA_HOME", "BuildExtension", "CUDAExtension", "CppExtension", "ROCM_HOME", "include_paths",
    "is_ninja_available", "library_paths", "load", "load_inline",
]  # fmt: skip

# As where no toolkit is installed.
CUDA_HOME = None
ROCM_HOME = None


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"cpp_extension.{name}: extensions are compiled against PyTorch's own headers, which this"
        " library has not; write the operation in Python, whose loops are compiled when they run,"
        " and give it a gradient with torch.autograd.Function or torch.library.custom_op"
    )


def load(name: str, sources: Any, *args: Any, **options: Any) -> NoReturn:
    """Raises: RuntimeError."""
    _refuse("load")


def load_inline(name: str, cpp_sources: Any, *args: Any, **options: Any) -> NoReturn:
    """Raises: RuntimeError."""
    _refuse("load_inline")


def CppExtension(name: str, sources: Any, *args: Any, **options: Any) -> NoReturn:
    """Raises: RuntimeError."""
    _refuse("CppExtension")


def CUDAExtension(name: str, sources: Any, *args: Any, **options: Any) -> NoReturn:
    """Raises: RuntimeError."""
    _refuse("CUDAExtension")


class BuildExtension:
    """A command of setup scripts.  Raises: RuntimeError when it is made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        _refuse("BuildExtension")

    @classmethod
    def with_options(cls, **options: Any) -> type[BuildExtension]:
        """The class itself."""
        return cls


def include_paths(device_type: str = "cpu") -> list[str]:
    """Folders of headers: none."""
    return []


def library_paths(device_type: str = "cpu") -> list[str]:
    """Folders of libraries: none."""
    return []


def is_ninja_available() -> bool:
    """Whether extensions can be built with ninja: they cannot be built."""
    return False
