"""Forward differentiation as a level: values stay what they are, and some have a tangent.

Tangents belong to nodes, so that whatever records primitives carries them: views, in-place writes,
backward.  They are forgotten with their node, or with the level.  Level: transform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from rushlight.jvp.table import TRANSPOSED, spread
from rushlight.primitives.movement import copy
from rushlight.tape.node import Node
from rushlight.tape.primitive import Primitive
from rushlight.tape.tape import local
from rushlight.tensor.autodiff import run_backward
from rushlight.tensor.storage import alias_without_grad, current_edge
from rushlight.tensor.tensor import Tensor
from rushlight.transform.interception import (
    Below,
    Level,
    Transforms,
    current_node,
    differentiate_by,
    frozen,
    release_graphs,
)
from rushlight.vjp.broadcast import filled


class ForwardLevel(Level):
    """One level of forward differentiation.

    tangents: of the nodes that have one; tensors of the nodes' shape and dtype.
    """

    def __init__(self) -> None:
        self.tangents: WeakKeyDictionary[Node, Tensor] = WeakKeyDictionary()

    def knows(self, node: Node) -> bool:
        return node in self.tangents

    def dual(self, transforms: Transforms, primal: Tensor, tangent: Tensor) -> Tensor:
        """`primal` with a tangent, as a value of its own."""
        with Below(transforms, self):
            made = copy(primal)
        self.tangents[made._node] = tangent
        return made

    def tangent_of(self, tensor: Tensor) -> Tensor | None:
        """The tangent, or None."""
        return self.tangents.get(current_node(tensor))

    def primal_of(self, transforms: Transforms, tensor: Tensor) -> Tensor:
        """The value without its tangent."""
        if self.tangent_of(tensor) is None:
            return tensor
        with Below(transforms, self):
            return copy(tensor)

    def detached(self, transforms: Transforms, tensor: Tensor) -> Tensor:
        with Below(transforms, self):
            return alias_without_grad(copy(tensor))

    def replaced(self, former: Node, node: Node) -> None:
        tangent = self.tangents.get(former)
        if tangent is not None:
            self.tangents[node] = tangent

    def released(self, tensor: Tensor, keeps: Callable[[Tensor], bool]) -> None:
        tangent = frozen(self.tangents[tensor._node])
        release_graphs(tangent, keeps)
        self.tangents[tensor._node] = tangent

    def process(
        self, transforms: Transforms, primitive: Primitive, operands: tuple, params: tuple
    ) -> Any:
        limit = transforms.limit
        transforms.limit = self.depth - 1
        try:
            out = transforms.intercept(primitive, operands, params)
        finally:
            transforms.limit = limit
        rule = primitive.jvp
        if rule is None:
            return out
        tangents = [self.tangents.get(x._node) for x in operands]
        with Below(transforms, self):
            found: Any = TRANSPOSED
            if rule is not TRANSPOSED:
                found = rule(tangents, out, operands, *params)
            if found is TRANSPOSED:
                found = _transposed(primitive, tangents, out, operands, params)
        if primitive.multiple:
            for result, tangent in zip(out, found):
                self._note(transforms, result, tangent)
        else:
            self._note(transforms, out, found)
        return out

    def set_tangent(self, transforms: Transforms, tensor: Tensor, tangent: Tensor) -> None:
        """Give a value of our own its tangent.  Raises: RuntimeError for another shape."""
        if tangent._node.shape != tensor._node.shape:
            raise RuntimeError(
                f"jvp of a custom Function returned a tangent of shape "
                f"{list(tangent._node.shape)} for an output of shape {list(tensor._node.shape)}"
            )
        self._note(transforms, tensor, tangent)

    def _note(self, transforms: Transforms, out: Tensor, tangent: Tensor | None) -> None:
        if tangent is None or not out._node.dtype.is_inexact:
            return
        if tuple(tangent.shape) != out._node.shape:
            with Below(transforms, self):
                tangent = spread(tangent, out)
        self.tangents[out._node] = tangent


def check_tangent(primal: Tensor, tangent: Tensor) -> None:
    """Raise PyTorch's errors for a tangent that does not fit its primal."""
    if not primal._node.dtype.is_inexact:
        raise ValueError(
            f"Expected primal to be floating point or complex, but got: {primal._node.dtype}"
        )
    if not tangent._node.dtype.is_inexact:
        raise ValueError(
            f"Expected tangent to be floating point or complex, but got: {tangent._node.dtype}"
        )
    if tangent._node.shape != primal._node.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(primal._node.shape)} while "
            f"the given forward gradient is of size {list(tangent._node.shape)}."
        )


def _transposed(primitive, tangents, out, operands, params) -> Any:
    """The tangent as the transpose of the VJP, which is a linear function of its cotangent."""
    outs = list(out) if primitive.multiple else [out]
    cotangents: list[Tensor | None] = []
    for result in outs:
        probe = None
        if result._node.dtype.is_inexact:
            probe = filled(result, 0.0, result.shape)
            differentiate_by(probe)
        cotangents.append(probe)
    wanted = [tangent is not None for tangent in tangents]
    tape = local.tape
    enabled = tape.grad_enabled
    tape.grad_enabled = True
    try:
        given = cotangents if primitive.multiple else cotangents[0]
        pulled = primitive.vjp.cotangents(wanted, given, out, list(operands), params)
    finally:
        tape.grad_enabled = enabled
    roots = []
    for value, tangent in zip(pulled, tangents):
        if value is not None and tangent is not None and current_edge(value) is not None:
            roots.append((current_edge(value), spread(tangent, value)))
    probes = [probe for probe in cotangents if probe is not None]
    found: list = [None] * len(probes)
    if roots:
        found = run_backward(
            roots,
            retain_graph=False,
            create_graph=tape.grad_enabled,
            inputs=[current_edge(probe) for probe in probes],
            accumulate=False,
        )
    parts = iter(found)
    result = [None if probe is None else next(parts) for probe in cotangents]
    return result if primitive.multiple else result[0]
