"""Errors that are ours, and one way to describe operands in a message.  Level 0."""

from __future__ import annotations


class InternalError(RuntimeError):
    """A broken invariant inside rushlight: never the user's mistake."""

    def __init__(self, message: str) -> None:
        super().__init__(f"rushlight internal error: {message}; please report it with the program")


class CompilerWarning(RuntimeWarning):
    """No machine code could be made; the reference rules compute instead."""


class OutOfBounds(IndexError, RuntimeError):
    """An index tensor names a place that is not there.

    PyTorch raises IndexError in some operations (embedding, nll_loss) and RuntimeError in others
    (gather, index_add); this is both.  index, size: what was asked for, and how many there are.
    position: where the index stands in its tensor.
    """

    index = size = 0
    position: tuple[int, ...] | None = None

    @classmethod
    def at(cls, index: int, size: int, axis: int, position: tuple[int, ...]) -> OutOfBounds:
        """The error of the element of an index tensor at `position`."""
        where = f" (at position {list(position)} of the index)" if position else ""
        error = cls(f"index {index} is out of bounds for dimension {axis} with size {size}{where}")
        error.index, error.size, error.position = index, size, position
        return error


class FlushFailed:
    """Stands in a node's value after its flush failed; every later read raises the same cause."""

    __slots__ = ("cause",)

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause


class LinAlgError(RuntimeError):
    """A matrix that an algorithm cannot take: singular, not positive definite, not converging."""


class OutOfMemoryError(RuntimeError):
    """A device has not enough memory left.  What was recorded stands: free some, and read again."""
