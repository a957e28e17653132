"""Errors of the compiler of scripted code, under PyTorch's names.  Level: jit (12)."""

from __future__ import annotations

__all__ = ["FrontendError", "NotSupportedError", "UnsupportedNodeError"]


class FrontendError(RuntimeError):
    """Source that TorchScript's compiler does not take."""


class NotSupportedError(FrontendError):
    """A construct of Python that TorchScript does not have."""


class UnsupportedNodeError(NotSupportedError):
    """A kind of statement or expression that TorchScript does not have."""
