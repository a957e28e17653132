"""Errors of PyTorch's tracer, to be named in `except`; nothing raises them.  Level 12."""

from __future__ import annotations

from rushlight.replay.marking import InvalidBackend

__all__ = [
    "BackendCompilerFailed",
    "InvalidBackend",
    "RecompileError",
    "TorchDynamoException",
    "Unsupported",
]


class TorchDynamoException(RuntimeError):
    """The base of the others."""


class Unsupported(TorchDynamoException):
    """Python that cannot be traced."""


class BackendCompilerFailed(TorchDynamoException):
    """A compiler that failed."""


class RecompileError(TorchDynamoException):
    """Traced again where that was forbidden."""
