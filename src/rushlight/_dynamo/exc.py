"""Errors of PyTorch's tracer, to be named in `except`; export alone raises one.  Level 12."""

from __future__ import annotations

from rushlight.replay.marking import InvalidBackend

__all__ = [
    "BackendCompilerFailed",
    "InvalidBackend",
    "RecompileError",
    "TorchDynamoException",
    "Unsupported",
    "UserError",
]


class TorchDynamoException(RuntimeError):
    """The base of the others."""


class Unsupported(TorchDynamoException):
    """Python that cannot be traced."""


class UserError(Unsupported):
    """A program that says what does not hold."""


class BackendCompilerFailed(TorchDynamoException):
    """A compiler that failed."""


class RecompileError(TorchDynamoException):
    """Traced again where that was forbidden."""
