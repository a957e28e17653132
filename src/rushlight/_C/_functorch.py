"""What vmap and forward differentiation know of a tensor.  Level 12.

A member of a batch is a tensor behind which the batch stands, its axis in front.
Source: torch._C._functorch.
"""

from __future__ import annotations

from typing import Any

from rushlight.ops.shaping import movedim
from rushlight.tensor.tensor import Tensor
from rushlight.transform.interception import active_levels, current_node
from rushlight.transform.mapped import MappedNode

__all__ = [
    "get_unwrapped",
    "is_batchedtensor",
    "is_functorch_wrapped_tensor",
    "is_gradtrackingtensor",
    "maybe_get_bdim",
    "maybe_get_level",
]


def _mapped(tensor: Tensor) -> Any:
    """The node of a member of a batch, or None."""
    node: Any = current_node(tensor)
    return node if node.__class__ is MappedNode and node.mapped else None


def is_batchedtensor(tensor: Tensor) -> bool:
    """Whether a vmap that is active, or was, shows a member of a batch."""
    return _mapped(tensor) is not None


def is_gradtrackingtensor(tensor: Tensor) -> bool:
    """Whether the tensor has a tangent of an active forward differentiation."""
    node = current_node(tensor)
    return any(level.randomness() is None and level.knows(node) for level in active_levels())


def is_functorch_wrapped_tensor(tensor: Tensor) -> bool:
    """Either of the two."""
    return is_batchedtensor(tensor) or is_gradtrackingtensor(tensor)


def get_unwrapped(tensor: Tensor) -> Tensor:
    """The batch behind a member.  Raises: RuntimeError for other tensors."""
    node = _mapped(tensor)
    if node is None:
        raise RuntimeError("get_unwrapped: expected a member of a batch, got a plain tensor")
    return node.payload


def maybe_get_bdim(tensor: Tensor) -> int:
    """The axis of the batch behind a member; -1 for other tensors."""
    return -1 if _mapped(tensor) is None else 0


def maybe_get_level(tensor: Tensor) -> int:
    """Whose member it is, from 1 for the outermost transform; -1 for other tensors."""
    node = _mapped(tensor)
    return -1 if node is None else node.level.depth


def _level_at(depth: int) -> Any:
    levels = active_levels()
    if not 1 <= depth <= len(levels) or levels[depth - 1].randomness() is None:
        raise RuntimeError(f"vmap: no vmap is active at level {depth}; {len(levels)} are")
    return levels[depth - 1]


def _add_batch_dim(tensor: Tensor, batch_dim: int, level: int) -> Tensor:
    """A member of a batch, as the function that an active vmap maps sees it."""
    return _level_at(level).member(movedim(tensor, batch_dim, 0), True)


def _remove_batch_dim(tensor: Any, level: int, batch_size: int, out_dim: int) -> Tensor:
    """The batch behind a member of an active vmap; what all members share is repeated."""
    node: Any = current_node(tensor)
    if node.__class__ is MappedNode and node.level is _level_at(level):
        if node.mapped:
            return movedim(node.payload, 0, out_dim)
        tensor = node.payload
    return movedim(tensor.expand(batch_size, *tensor.shape), 0, out_dim)
