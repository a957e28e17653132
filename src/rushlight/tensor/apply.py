"""The one door from tensors to the tape: apply a primitive, record it, note its gradient.

The four functions are the hot path and are written out on purpose: on a hit of the memo an
operation costs one tuple compare and the creation of its node, its tensor and, where needed, its
GradNode.  Everything else (shapes, checks, lines) happened when the memo step was made.  Level 10.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.tape.node import NO_ADDRESS, SEGMENT_RANGE, Node
from rushlight.tape.primitive import Primitive
from rushlight.tape.tape import local
from rushlight.tensor.graph import AccumulateGrad, GradNode, OutputOf
from rushlight.tensor.storage import refresh
from rushlight.tensor.tensor import Tensor, scalar_node, wrap

_new_node = Node.__new__
_new_tensor = object.__new__
_new_grad = GradNode.__new__

# Which values a GradNode keeps, as bits of a step's `saves`.
SAVE_FIRST, SAVE_SECOND, SAVE_OUT = 1, 2, 4


@hot
def apply1(primitive: Primitive, x: Tensor, params: tuple = ()) -> Tensor:
    """Record a primitive of one operand."""
    tape = local.tape
    storage = x._storage
    if storage is not None and storage.stamp != x._seen:
        refresh(x)
    nx = x._node
    base: int = tape.base
    sx: int = nx.address - base
    if not 0 <= sx < SEGMENT_RANGE:
        sx = tape.leaf(nx)
    step = tape.step.next
    if step.key != (primitive, sx, params):
        if tape.transforms is not None:
            return tape.transforms.intercept(primitive, (x,), params)
        key = (primitive, sx, params)
        step = tape.miss(primitive, (nx,), key, params, reads_pending_leaf(tape, (x,)))
        if step is None:
            return apply1(primitive, x, params)
    tape.step = step
    node = _new_node(Node)
    node.step = step
    node.inputs = (nx,)
    node.shape = step.shape
    node.dtype = step.dtype
    node.value = None
    node.home = None
    nodes = tape.nodes
    node.address = base + len(nodes)
    nodes.append(node)
    out = _new_tensor(Tensor)
    out._node = node
    out._storage = None
    out._layout = None
    out._base = None
    out._grad = None
    edge = x._grad_fn
    if edge is not None and tape.grad_enabled and step.vjp is not None and node.dtype.is_inexact:
        grad = _new_grad(GradNode)
        grad.step = step
        grad.edges = (edge,)
        saves: int = step.saves[1]
        if saves:
            grad.saved = (nx if saves & SAVE_FIRST else None, node if saves & SAVE_OUT else None)
        else:
            grad.saved = None
        grad.extra = None
        out._grad_fn = grad
    else:
        out._grad_fn = None
    if step.cut is not None:
        tape.flush(step.cut)
    return out


@hot
def apply2(primitive: Primitive, x: Tensor, y: Tensor, params: tuple = ()) -> Tensor:
    """Record a primitive of two operands."""
    tape = local.tape
    storage = x._storage
    if storage is not None and storage.stamp != x._seen:
        refresh(x)
    storage = y._storage
    if storage is not None and storage.stamp != y._seen:
        refresh(y)
    nx = x._node
    ny = y._node
    base: int = tape.base
    sx: int = nx.address - base
    if not 0 <= sx < SEGMENT_RANGE:
        sx = tape.leaf(nx)
    sy: int = ny.address - base
    if not 0 <= sy < SEGMENT_RANGE:
        sy = tape.leaf(ny)
    step = tape.step.next
    if step.key != (primitive, sx, sy, params):
        if tape.transforms is not None:
            return tape.transforms.intercept(primitive, (x, y), params)
        key = (primitive, sx, sy, params)
        step = tape.miss(primitive, (nx, ny), key, params, reads_pending_leaf(tape, (x, y)))
        if step is None:
            return apply2(primitive, x, y, params)
    tape.step = step
    node = _new_node(Node)
    node.step = step
    node.inputs = (nx, ny)
    node.shape = step.shape
    node.dtype = step.dtype
    node.value = None
    node.home = None
    nodes = tape.nodes
    node.address = base + len(nodes)
    nodes.append(node)
    out = _new_tensor(Tensor)
    out._node = node
    out._storage = None
    out._layout = None
    out._base = None
    out._grad = None
    edge_x = x._grad_fn
    edge_y = y._grad_fn
    if (
        (edge_x is not None or edge_y is not None)
        and tape.grad_enabled
        and step.vjp is not None
        and node.dtype.is_inexact
    ):
        grad = _new_grad(GradNode)
        grad.step = step
        grad.edges = (edge_x, edge_y)
        saves: int = step.saves[(edge_x is not None) + 2 * (edge_y is not None)]
        if saves:
            grad.saved = (
                nx if saves & SAVE_FIRST else None,
                ny if saves & SAVE_SECOND else None,
                node if saves & SAVE_OUT else None,
            )
        else:
            grad.saved = None
        grad.extra = None
        out._grad_fn = grad
    else:
        out._grad_fn = None
    if step.cut is not None:
        tape.flush(step.cut)
    return out


@hot
def apply_number(primitive: Primitive, x: Tensor, number, reflected: bool = False) -> Tensor:
    """Record `x op number`, or `number op x`; the number takes x's dtype, and is no tensor."""
    tape = local.tape
    storage = x._storage
    if storage is not None and storage.stamp != x._seen:
        refresh(x)
    nx = x._node
    ny = scalar_node(number, nx.dtype)
    base: int = tape.base
    # The leaves in the order of the operands, as `apply2` puts them on the tape.
    if reflected:
        nx, ny = ny, nx
    sx: int = nx.address - base
    if not 0 <= sx < SEGMENT_RANGE:
        sx = tape.leaf(nx)
    sy: int = ny.address - base
    if not 0 <= sy < SEGMENT_RANGE:
        sy = tape.leaf(ny)
    step = tape.step.next
    if step.key != (primitive, sx, sy, ()):
        if tape.transforms is not None:
            other = wrap(scalar_node(number, x._node.dtype))
            return tape.transforms.intercept(primitive, (other, x) if reflected else (x, other), ())
        key = (primitive, sx, sy, ())
        step = tape.miss(primitive, (nx, ny), key, (), reads_pending_leaf(tape, (x,)))
        if step is None:
            return apply_number(primitive, x, number, reflected)
    tape.step = step
    node = _new_node(Node)
    node.step = step
    node.inputs = (nx, ny)
    node.shape = step.shape
    node.dtype = step.dtype
    node.value = None
    node.home = None
    nodes = tape.nodes
    node.address = base + len(nodes)
    nodes.append(node)
    out = _new_tensor(Tensor)
    out._node = node
    out._storage = None
    out._layout = None
    out._base = None
    out._grad = None
    edge = x._grad_fn
    if edge is not None and tape.grad_enabled and step.vjp is not None and node.dtype.is_inexact:
        grad = _new_grad(GradNode)
        grad.step = step
        grad.edges = (None, edge) if reflected else (edge, None)
        saves: int = step.saves[2 if reflected else 1]
        if saves:
            grad.saved = (
                nx if saves & SAVE_FIRST else None,
                ny if saves & SAVE_SECOND else None,
                node if saves & SAVE_OUT else None,
            )
        else:
            grad.saved = None
        grad.extra = None
        out._grad_fn = grad
    else:
        out._grad_fn = None
    if step.cut is not None:
        tape.flush(step.cut)
    return out


@hot
def apply_many(primitive: Primitive, operands: tuple[Tensor, ...], params: tuple = ()):
    """Record a primitive of any number of operands; a list of tensors for several outputs."""
    tape = local.tape
    for x in operands:
        if x._storage is not None and x._storage.stamp != x._seen:
            refresh(x)
    inputs = tuple([x._node for x in operands])
    base = tape.base
    slots = []
    for node in inputs:
        slot = node.address - base
        if not 0 <= slot < SEGMENT_RANGE:
            slot = tape.leaf(node)
        slots.append(slot)
    key = (primitive, tuple(slots), params)
    step = tape.step.next
    if step.key != key:
        if tape.transforms is not None:
            return tape.transforms.intercept(primitive, operands, params)
        step = tape.miss(primitive, inputs, key, params, reads_pending_leaf(tape, operands))
        if step is None:
            return apply_many(primitive, operands, params)
    tape.step = step
    node = _record(tape, step, inputs)
    grad = _gradient_node(tape, step, operands, inputs, node)
    result: Any
    if primitive.multiple:
        result = []
        for index, output_step in enumerate(step.outputs):
            output = wrap(_record(tape, output_step, (node,)))
            if grad is not None and output_step.dtype.is_inexact:
                output._grad_fn = OutputOf(grad, index)
            result.append(output)
        if grad is not None and grad.saved is not None and grad.saved[-1] is node:
            # What the derivative reads is the results, not the operation that gives them.
            grad.saved = (*grad.saved[:-1], *[output._node for output in result])
        # Its outputs are values; the operation itself is none that a cut would have to keep.
        node = None
    else:
        result = wrap(node)
        result._grad_fn = grad if node.dtype.is_inexact else None
    if step.cut is not None:
        tape.flush(step.cut)
    return result


def reads_pending_leaf(tape, operands) -> bool:
    """Whether a new operation is differentiable in a leaf that is still to be computed."""
    if not tape.grad_enabled:
        return False
    return any([x._node.value is None and x._grad_fn.__class__ is AccumulateGrad for x in operands])


@hot
def _record(tape, step, inputs) -> Node:
    node = _new_node(Node)
    node.step = step
    node.inputs = inputs
    node.shape = step.shape
    node.dtype = step.dtype
    node.value = None
    node.home = None
    node.address = tape.base + len(tape.nodes)
    tape.nodes.append(node)
    return node


@hot
def _gradient_node(tape, step, operands, inputs, node) -> GradNode | None:
    if not tape.grad_enabled or step.vjp is None:
        return None
    edges = tuple([x._grad_fn for x in operands])
    # A list: on the hot path, for few operands, it is faster than a generator.
    if not any([edge is not None for edge in edges]):
        return None
    grad = _new_grad(GradNode)
    grad.step = step
    grad.edges = edges
    grad.saved = step.vjp.saved_values(edges, inputs, node, step.params)
    grad.extra = None
    return grad


def apply_source(primitive: Primitive, params: tuple) -> Tensor:
    """Record a primitive without operands."""
    return apply_many(primitive, (), params)


def _apply(self: Tensor, primitive: Primitive, operands: tuple, params: tuple):
    """How calling a primitive on many tensors, or one with several results, records it."""
    return apply_many(primitive, operands, params)


Tensor._apply1 = staticmethod(apply1)  # type: ignore[attr-defined]
Tensor._apply2 = staticmethod(apply2)  # type: ignore[attr-defined]
Tensor._apply = _apply

assert NO_ADDRESS < 0  # an unrecorded node must look foreign to every segment
