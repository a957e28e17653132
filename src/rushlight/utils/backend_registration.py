"""Backends of others, whose kernels would be C++: none can be registered.  Level 12.

Source: torch.utils.backend_registration.
"""

from __future__ import annotations

from typing import Any

__all__ = ["generate_methods_for_privateuse1_backend", "rename_privateuse1_backend"]


def rename_privateuse1_backend(backend_name: str) -> None:
    """Name a backend of another's library.  Raises: RuntimeError: no such library is loaded here,
    so its tensors could not be made."""
    raise RuntimeError(
        f"rename_privateuse1_backend: {backend_name!r} would be a device whose kernels a C++ "
        "library brings, and none is loaded here; devices are cpu, cuda, xpu, mps and meta"
    )


def generate_methods_for_privateuse1_backend(*args: Any, **kwargs: Any) -> None:
    """Give tensors the methods of such a backend.  Raises: RuntimeError, as above."""
    raise RuntimeError(
        "generate_methods_for_privateuse1_backend: no backend of another's library is there; "
        "Tensor.to(device) moves tensors to cpu, cuda, xpu, mps and meta"
    )
