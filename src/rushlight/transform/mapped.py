"""vmap as a level: a value that the program sees is one member of a batch.

A `MappedNode` has the member's shape; behind it stands a tensor for the whole batch, with the
batch's axis in front.  An operation on it records the primitive's batching rule.  Two graphs of
autograd are kept: what the program sees, for derivatives taken inside the mapped function, and that
of the batches, for those taken outside.  Level: transform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.base.orders import order_of, strides_in
from rushlight.tape.making import make_step
from rushlight.tape.memo import BUFFER, Step, leaf_spec, new_root, user_line
from rushlight.tape.node import Node
from rushlight.tape.primitive import Primitive
from rushlight.tape.tape import materialise
from rushlight.tensor.apply import _gradient_node
from rushlight.tensor.graph import OutputOf
from rushlight.tensor.storage import alias_without_grad, storage_of
from rushlight.tensor.tensor import Tensor, wrap
from rushlight.transform.interception import (
    Below,
    Level,
    Transforms,
    current_node,
    frozen,
    release_graphs,
)

RANDOMNESS = ("error", "different", "same")

# Steps outside the memo: (primitive, operands, parameters) -> what a graph node knows of it.
_steps: dict[Any, Step] = {}
_MOST_STEPS = 4096
_ROOT = new_root()


class MappedLevel(Level):
    """One vmap.  size: of the batch; mode: what random operations do, one of RANDOMNESS."""

    def __init__(self, size: int, mode: str) -> None:
        self.size = size
        self.mode = mode

    def knows(self, node: Node) -> bool:
        return node.__class__ is MappedNode and node.level is self  # type: ignore[attr-defined]

    def randomness(self) -> tuple[int, str] | None:
        return self.size, self.mode

    def member(self, payload: Tensor, mapped: bool = True) -> Tensor:
        step = current_node(payload).step
        if mapped and step.order is not None:
            shape = payload._node.shape
            strides = strides_in(shape, step.order)
            order = order_of(shape[1:], strides[1:])
            step = leaf_spec(BUFFER, shape[1:], step.dtype, step.device, order)
        return wrap(MappedNode(self, step, payload, mapped))

    def detached(self, transforms: Transforms, tensor: Tensor) -> Tensor:
        node: Any = tensor._node
        with Below(transforms, self):
            payload = alias_without_grad(node.payload)
        return self.member(payload, node.mapped)

    def released(self, tensor: Tensor, keeps: Callable[[Tensor], bool]) -> None:
        node: Any = tensor._node
        node.payload = frozen(node.payload)
        release_graphs(node.payload, keeps)

    def process(
        self, transforms: Transforms, primitive: Primitive, operands: tuple, params: tuple
    ) -> Any:
        step = step_of(primitive, operands, params)
        payloads, mapped = [], []
        for x in operands:
            node = x._node
            known = self.knows(node)
            payloads.append(node.payload if known else x)
            mapped.append(known and node.mapped)
        with Below(transforms, self):
            if any(mapped):
                found = primitive.batching(self.size, tuple(mapped), tuple(payloads), *params)
            else:
                found = _call(primitive, payloads, params)
        several = any(mapped)
        inputs = tuple([x._node for x in operands])
        if not primitive.multiple:
            node = MappedNode(self, step, found, several)
            out = wrap(node)
            grad = _gradient_node(transforms.tape, step, operands, inputs, node)
            out._grad_fn = grad if node.dtype.is_inexact else None
            return out
        holder = Node()  # stands for the results together, as in `apply_many`
        grad = _gradient_node(transforms.tape, step, operands, inputs, holder)
        outs = []
        for index, (output, part) in enumerate(zip(step.outputs, found)):
            out = wrap(MappedNode(self, output, part, several))
            if grad is not None and output.dtype.is_inexact:
                out._grad_fn = OutputOf(grad, index)
            outs.append(out)
        if grad is not None and grad.saved is not None and grad.saved[-1] is holder:
            grad.saved = (*grad.saved[:-1], *[out._node for out in outs])
        return outs


def _call(primitive: Primitive, operands: Sequence[Tensor], params: tuple) -> Any:
    if primitive.arity < 0:
        return primitive(tuple(operands), *params)
    return primitive(*operands, *params)


def step_of(primitive: Primitive, operands: tuple, params: tuple) -> Step:
    """Shapes, checks and the gradient rule of an operation on members.  Raises: user errors."""
    nodes = [x._node for x in operands]
    key = (primitive, tuple([(n.shape, n.dtype, n.step.order) for n in nodes]), params)
    step = _steps.get(key)
    if step is None:
        step = make_step(_ROOT, None, primitive, nodes, params)
        step.cut = None
        step.line = None
        if len(_steps) >= _MOST_STEPS:
            _steps.clear()
        _steps[key] = step
    return step


class MappedNode(Node):
    """One member of a batch, as the mapped function sees it.

    level: whose batch.
    payload: the whole batch, its axis in front; or, if not `mapped`, a value all members share,
        which autograd inside the function and outside of it know as different ones.
    """

    __slots__ = ("level", "payload", "mapped")

    def __init__(self, level: MappedLevel, step: Any, payload: Tensor, mapped: bool) -> None:
        shape = payload._node.shape
        self.level = level
        self.payload = payload
        self.mapped = mapped
        self.describe(step, shape[1:] if mapped else shape, payload._node.dtype)

    def check_alive(self) -> None:
        """Raise an error if the vmap that made the value has ended."""
        if not self.level.alive:
            raise RuntimeError(
                "vmap: a tensor of a mapped function was used after the vmap had ended; return it "
                "from the function instead of storing it outside"
            )

    def take_over(self, tape: Any) -> bool:
        """Whether operations on the value are not recorded: the transform sees them before."""
        return False

    def read(self) -> None:
        """Give the node its value.  Raises: RuntimeError, as PyTorch, if members differ."""
        self.check_alive()
        if not self.mapped:
            self.value = materialise(current_node(self.payload))
            return
        raise RuntimeError(_refusal())

    def take_write(self, tensor: Tensor, new: Tensor) -> bool:
        """Whether the write is done here: it is not.

        Raises: PyTorch's error where a member would be written into memory that all share.
        """
        if self.mapped and not _is_mapped_by(storage_of(tensor).value, self.level):
            raise RuntimeError(
                "vmap: in-place arithmetic is not possible because the tensor being written has "
                "no member for each element of the batch, while what is written has; it was made "
                "outside the mapped function or by a creation function inside it. Use an "
                "operation that gives a new tensor (add instead of add_), or make the tensor from "
                "a mapped one, as by x.new_zeros(shape) + 0 * x.sum()"
            )
        return False

    def __repr__(self) -> str:
        return f"<MappedNode {self.dtype} {list(self.shape)} of {self.level.size}>"


def _is_mapped_by(node: Node, level: MappedLevel) -> bool:
    while node.__class__ is MappedNode:
        if node.level is level:  # type: ignore[attr-defined]
            return node.mapped  # type: ignore[attr-defined]
        node = current_node(node.payload)  # type: ignore[attr-defined]
    return False


_DYNAMIC = {
    "argwhere", "bincount", "masked_select", "nonzero", "nonzero_static", "repeat_interleave",
    "unique", "unique_consecutive", "getitem", "histc",
}  # fmt: skip


def _refusal() -> str:
    line = user_line()
    name = "" if line is None else line.spelling
    where = "" if line is None else f" (at {line.file}:{line.number})"
    if name == "item":
        return (
            "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over "
            f"calling .item() on a Tensor, please use operations on tensors instead{where}"
        )
    if name in _DYNAMIC:
        return (
            "vmap: We do not support batching operators that can output dynamic shape. Attempted "
            f"to vmap over {name}, whose result depends on each member's values{where}"
        )
    return (
        "vmap: It looks like you're attempting to use a Tensor in some data-dependent control "
        "flow. We don't support that yet: members of the batch may differ; use where() or another "
        f"operation on tensors{where}"
    )
