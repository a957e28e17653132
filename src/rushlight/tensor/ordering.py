"""Giving a tensor's value the order of axes that its strides say.

The value stays what it is; what changes is what is known of it (`base/orders.py`), by a copy that
the compiler takes away again.  Level 10.
"""

from __future__ import annotations

from rushlight.base.orders import Order, order_of, strides_in
from rushlight.primitives.movement import copy
from rushlight.tape.node import Node
from rushlight.tape.tape import local
from rushlight.tensor.memory import order_in_memory
from rushlight.tensor.tensor import Tensor


def checked(tensor: Tensor, strides: tuple[int, ...]) -> Tensor:
    """The tensor with its axes in the order of `strides`, which its step then knows."""
    node = tensor._node
    order = order_of(node.shape, strides)
    if lies_otherwise(node, order):
        return laid_out(tensor, order)
    node.step.shown = strides
    return tensor


def lies_otherwise(node: Node, order: Order | None) -> bool:
    """Whether a value's axes lie in memory in another order; gaps make no difference."""
    own = node.step.order
    if own is None or order is None:
        known = own if order is None else order
        return known is not None and known.axes != tuple(range(len(node.shape)))
    return own.axes != order.axes


def laid_out(tensor: Tensor, order: Order | None) -> Tensor:
    """The same value with the same history, its axes in this order."""
    axes = tuple(range(len(tensor._node.shape))) if order is None else order.axes
    tape = local.tape
    enabled = tape.grad_enabled
    tape.grad_enabled = False
    try:
        made = copy(tensor, axes)
    finally:
        tape.grad_enabled = enabled
    made._grad_fn = tensor._grad_fn
    return made


def lying_as(gradient: Tensor, tensor: Tensor) -> Tensor:
    """A gradient whose axes lie as those of its tensor; row-major for a tensor with gaps."""
    order = order_in_memory(tensor)
    if order is not None and not order.dense:
        order = None
    shape = gradient._node.shape
    own, wanted = strides_in(shape, gradient._node.step.order), strides_in(shape, order)
    known = all(n < 2 or s == w for n, s, w in zip(shape, own, wanted))
    return gradient if known else laid_out(gradient, order)
