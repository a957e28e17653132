"""`TransformGetItemToIndex`: indexing by batched indices inside of `vmap`.  Level 12.

PyTorch needs the mode because its `vmap` cannot take the number out of an index that is a batch of
numbers; here such an index is one like any other, and the mode changes nothing.
"""

from __future__ import annotations

from rushlight.overrides import TorchFunctionMode

__all__ = ["TransformGetItemToIndex"]


class TransformGetItemToIndex(TorchFunctionMode):
    """A stretch in which `mask[i, j]` inside of `vmap` takes batches of indices."""

    def __enter__(self) -> TransformGetItemToIndex:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was changed."""
