"""What packages take from PyTorch's vmap to map classes of their own.  Level 12.

Source: torch._functorch.vmap.
"""

from __future__ import annotations

from typing import Any

from rushlight._C._functorch import _add_batch_dim, _remove_batch_dim, is_batchedtensor
from rushlight.func import vmap
from rushlight.tensor.tensor import Tensor
from rushlight.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_unflatten

__all__ = [
    "Tensor",
    "_add_batch_dim",
    "_broadcast_to_and_flatten",
    "_remove_batch_dim",
    "is_batchedtensor",
    "tree_flatten",
    "tree_unflatten",
    "vmap",
]


def _get_name(func: Any) -> str:
    """A function's name, for messages."""
    return getattr(func, "__name__", repr(func))


def _maybe_remove_batch_dim(
    name: str, batched_output: Any, vmap_level: int, batch_size: int, out_dim: int | None
) -> Any:
    """The batch behind what a mapped function returned; as it is where `out_dim` is None.

    Raises: ValueError for what is no tensor, or for a batch without an axis in the result.
    """
    if out_dim is None:
        if isinstance(batched_output, Tensor) and is_batchedtensor(batched_output):
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return batched_output
    if not isinstance(batched_output, Tensor):
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type "
            f"{type(batched_output)}. Did you mean to set out_dims= to None for output?"
        )
    return _remove_batch_dim(batched_output, vmap_level, batch_size, out_dim)
