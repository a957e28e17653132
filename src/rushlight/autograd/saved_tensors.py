"""Hooks on what backward saves, as a level of the stack that sees each operation recorded.

In: an operation that was just recorded.  Out: its node of the graph, in which packed values stand
for those that it saves.  Programs without hooks never load this file.  Level: autograd (12).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.tape.memo import SCALAR
from rushlight.tape.node import Node
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.graph import GradNode, OutputOf, PackedValue
from rushlight.tensor.storage import alias_without_grad
from rushlight.tensor.tensor import Tensor
from rushlight.transform.interception import Level, active_levels


def packed(tensor: Tensor, pack: Callable[[Tensor], Any], unpack: Callable) -> PackedValue:
    """What `pack` gives for a tensor.  Raises: RuntimeError if it wrote to the tensor."""
    version = tensor._version
    with no_grad():
        value = pack(tensor)
    if tensor._version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input "
            "to pack hook can not be modified by in-place operations as this can lead to "
            "unexpected side-effects. Please open an issue if you need to perform in-place "
            "operations on the input to a pack hook."
        )
    return PackedValue(value, unpack)


class SavingLevel(Level):
    """One pair of hooks, while its context is entered; only the innermost one packs."""

    is_function = False

    def __init__(self, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> None:
        self.pack = pack
        self.unpack = unpack

    def knows(self, node: Node) -> bool:
        return False

    def tangent_of(self, tensor: Tensor) -> None:
        """No tensor has a tangent here."""
        return None

    def recorded(self, made: Any, operands: tuple) -> None:
        results = made if type(made) is list else [made]
        edge = next((x._grad_fn for x in results if x._grad_fn is not None), None)
        node = edge.node if type(edge) is OutputOf else edge
        if not isinstance(node, GradNode) or not node.saved or not self._is_innermost():
            return
        sources = [*operands, *[_with_history(x) for x in results]]
        saved = []
        for kept, source in zip(node.saved, sources):
            if type(kept) is Node and kept.step.primitive is not SCALAR:
                kept = packed(source, self.pack, self.unpack)
            saved.append(kept)
        node.saved = tuple(saved)
        node.with_extra()

    def _is_innermost(self) -> bool:
        hooks = [level for level in active_levels() if type(level) is SavingLevel]
        return bool(hooks) and hooks[-1] is self


def _with_history(result: Tensor) -> Tensor:
    """Another tensor of the result's value: what is done to this one later concerns nobody."""
    other = alias_without_grad(result)
    other._grad_fn = result._grad_fn
    return other


def innermost() -> SavingLevel | None:
    """The hooks that pack what is saved now."""
    hooks = [level for level in active_levels() if type(level) is SavingLevel]
    return hooks[-1] if hooks else None
