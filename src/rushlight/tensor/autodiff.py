"""Backward: walk the graph from roots to leaves, applying VJP rules to tensors.

Cotangents are tensors and the rules record primitives like any other code, with gradients only
under `create_graph`, so double backward needs nothing of its own.  No recursion: graphs may be
deep. Level 10.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from typing import Any

from rushlight.base.config import config
from rushlight.base.device import META, placing
from rushlight.base.hot import hot
from rushlight.primitives.elementwise import add, cast
from rushlight.primitives.movement import expand
from rushlight.tape.memo import where_recorded
from rushlight.tape.tape import local, materialise
from rushlight.tensor.backward_block import backward_call
from rushlight.tensor.graph import (
    RELEASED,
    AccumulateGrad,
    GradNode,
    GraphNode,
    OutputOf,
    Overwrite,
    PackedValue,
    target_of,
)
from rushlight.tensor.ordering import lying_as
from rushlight.tensor.placing import beside
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor
from rushlight.tensor.storage import alias_without_grad, current_edge, write
from rushlight.tensor.tensor import Tensor, meta_tensor, scalar_tensor, wrap
from rushlight.vjp.table import OUT


class AnomalyMode:
    """Whether backward checks for NaN and names the forward line of a failing node."""

    enabled = False
    check_nan = True


class CustomNode(GraphNode):
    """A node whose backward is the user's own (`autograd.Function`).

    apply: function of a list with one cotangent (or None) for each output, to a list with one for
        each edge.
    views: numbers of the outputs that show memory of an input, which must not be written in place.
    """

    __slots__ = ("edges", "apply", "label", "outputs", "extra", "owner", "views", "__weakref__")

    def __init__(self, label: str, edges: tuple, outputs: list, apply, owner=None) -> None:
        self.label = label
        self.edges = edges
        self.outputs = outputs
        self.apply = apply
        self.extra = None
        self.owner = owner
        self.views: set[int] = set()

    def name(self) -> str:
        return self.label


# ---- requires_grad -------------------------------------------------------------------------------


def require_gradient(tensor: Tensor, requires: bool) -> None:
    """Set `requires_grad` of a leaf.  Raises: RuntimeError as PyTorch."""
    edge = tensor._grad_fn
    if edge is not None and type(edge) is not AccumulateGrad:
        if not requires:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach()."
            )
        return
    if not requires:
        tensor._grad_fn = None
        return
    if not tensor._node.dtype.is_inexact:
        raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
    if edge is None:
        if local.tape.transforms is not None:
            local.tape.transforms.isolate(tensor)
        tensor._grad_fn = AccumulateGrad(tensor)
        # A view that becomes a leaf is where gradients end: it is nobody's view for autograd.
        tensor._base = None


class CurrentWalk(threading.local):
    """The thread's innermost backward, for hooks that ask.

    number: counts backwards from 1; 0 outside of them.  order, needed: as in `run_backward`.
    """

    number = 0
    order: list = []
    needed: set[int] | None = None

    def will_visit(self, node: GraphNode) -> bool:
        """Whether the walk passes the node."""
        if self.needed is not None:
            return id(node) in self.needed
        return any(node is other for other in self.order)


current_walk = CurrentWalk()
_walks = itertools.count(1)


# ---- the walk ------------------------------------------------------------------------------------


def graph_order(roots: list) -> list:
    """All nodes reachable from `roots`, each before the nodes its edges lead to."""
    order: list = []
    seen: set[int] = set()
    stack = [(root, False) for root in roots]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        for edge in node.edges:
            if edge is not None:
                target, _ = target_of(edge)
                if id(target) not in seen:
                    stack.append((target, False))
    order.reverse()
    return order


def _leading_to(order: list, targets: set[int]) -> set[int]:
    """Ids of the nodes from which one of `targets` can be reached (targets included)."""
    found: set[int] = set()
    for node in reversed(order):
        if id(node) in targets:
            found.add(id(node))
            continue
        for edge in node.edges:
            if edge is not None and id(target_of(edge)[0]) in found:
                found.add(id(node))
                break
    return found


def run_backward(
    roots: list[tuple],
    *,
    retain_graph: bool,
    create_graph: bool,
    inputs: list | None = None,
    accumulate: bool = True,
) -> list:
    """Propagate cotangents.

    roots: (edge, cotangent) pairs.
    inputs: edges whose cotangents are wanted; None for all leaves.
    accumulate: add to `.grad` of the wanted leaves; else return the wanted cotangents, in order.
    """
    tape = local.tape
    enabled = tape.grad_enabled
    order = graph_order([target_of(edge)[0] for edge, _ in roots])
    wanted: dict[int, dict[int, Tensor | None]] | None = None
    needed: set[int] | None = None
    if inputs is not None:
        wanted = {}
        for edge in inputs:
            node, index = target_of(edge)
            wanted.setdefault(id(node), {})[index] = None
        needed = _leading_to(order, set(wanted))
    pending: dict[int, dict[int, Tensor]] = {}
    walk = current_walk
    outer = (walk.number, walk.order, walk.needed)
    walk.number, walk.order, walk.needed = next(_walks), order, needed
    tape.grad_enabled = create_graph
    tape.training = True
    try:
        for edge, cotangent in roots:
            _deposit(pending, edge, cotangent)
        for node in order:
            given = pending.pop(id(node), None)
            if given is None or (needed is not None and id(node) not in needed):
                continue
            given = _run_pre_hooks(node, given)
            if wanted is not None and id(node) in wanted:
                for index in wanted[id(node)]:
                    wanted[id(node)][index] = given.get(index)
            _visit(node, given, pending, retain_graph, create_graph, accumulate, wanted, needed)
    finally:
        tape.grad_enabled = enabled
        walk.number, walk.order, walk.needed = outer
    tape.armed = True
    if inputs is None or accumulate or wanted is None:
        return []
    return [wanted[id(target_of(e)[0])][target_of(e)[1]] for e in inputs]


def _visit(node, given, pending, retain_graph, create_graph, accumulate, wanted, needed) -> None:
    kind = type(node)
    if kind is AccumulateGrad:
        if accumulate and (wanted is None or id(node) in wanted):
            _accumulate(node, given[0], create_graph)
            _run_post_hooks(node, (), given)
        return
    if kind is Overwrite:
        # What was overwritten has a gradient of zeros, which is not the same as none.
        cotangent = given[0]._node
        zeros = scalar_tensor(0, cotangent.dtype)
        if cotangent.shape:
            zeros = expand(zeros, cotangent.shape)
        _deposit(pending, node.edges[0], zeros)
        return
    if needed is not None and not any(
        edge is not None and id(target_of(edge)[0]) in needed for edge in node.edges
    ):
        return
    if kind is GradNode or isinstance(node, GradNode):
        found = _apply_vjp(node, given, needed)
        if not retain_graph and node.saved is not None:
            node.saved = RELEASED
    else:
        found = node.apply(given, retain_graph)
    if AnomalyMode.enabled and AnomalyMode.check_nan:
        _refuse_nan(node, found)
    found = _run_post_hooks(node, found, given)
    for edge, cotangent in zip(node.edges, found):
        if edge is not None and cotangent is not None:
            _deposit(pending, edge, cotangent)


def _deposit(pending, edge, cotangent) -> None:
    node, index = target_of(edge)
    slots = pending.get(id(node))
    if slots is None:
        pending[id(node)] = {index: cotangent}
    elif index in slots:
        slots[index] = _sum(slots[index], cotangent)
    else:
        slots[index] = cotangent


def _sum(x: Tensor, y: Tensor) -> Tensor:
    if type(x) is SparseTensor and type(y) is not SparseTensor:
        x, y = y, x  # a dense operand comes first
    if type(y) is SparseTensor:
        return FUNCTIONS["add"](x, y)
    return add(x, y)


def _apply_vjp(node: GradNode, given, needed) -> list:
    step = node.step
    saved = node.saved
    if saved is RELEASED:
        _refuse_released()
    edges = node.edges
    operands = list(step.operands)
    out = step
    if saved is not None:
        unchecked = step.vjp.unchecked
        for position, kept in enumerate(saved[: len(edges)]):
            if kept is not None:
                if position not in unchecked:
                    _check_version(kept, node)
                operands[position] = saved_tensor(kept, edges[position])
        results = saved[len(edges) :]
        if results[0] is not None:
            if OUT not in unchecked:
                for kept in results:
                    _check_version(kept, node)
            if step.primitive.multiple:
                out = [saved_tensor(k, OutputOf(node, i)) for i, k in enumerate(results)]
            else:
                out = saved_tensor(results[0], node)
    wanted = [
        edge is not None and (needed is None or id(target_of(edge)[0]) in needed) for edge in edges
    ]
    if step.primitive.multiple:
        cotangent = [given.get(index) for index in range(len(step.outputs))]
    else:
        cotangent = given[0]
    return step.vjp.cotangents(wanted, cotangent, out, operands, step.params)


def _refuse_released() -> None:
    raise RuntimeError(
        "Trying to backward through the graph a second time (or directly access saved tensors "
        "after they have already been freed). Saved intermediate values of the graph are freed "
        "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need "
        "to backward through the graph a second time or if you need to access saved tensors "
        "after calling backward."
    )


def saved_tensor(kept, edge) -> Tensor:
    """The tensor of a saved node, or of what a hook packed, with its history."""
    if type(kept) is PackedValue:
        given = kept.unpack(kept.value)
        if not isinstance(given, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(given)}"
            )
        tensor = alias_without_grad(given)
    else:
        tensor = wrap(kept)
    tensor._grad_fn = edge
    return tensor


def _check_version(node, owner: GradNode) -> None:
    """Raise PyTorch's error if memory that held a saved value was written to since."""
    if type(node) is PackedValue:
        return  # memory that a hook manages is the hook's affair
    home = node.home
    if home is not None and home[0].version != home[1]:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [{type_name(node.dtype)} {list(node.shape)}], which is an operand or the "
            f"result of {owner.name()}, is at version {home[0].version}; expected version "
            f"{home[1]} instead. Hint: {_recorded_at(owner)}; to see more, enable anomaly "
            "detection with torch.autograd.set_detect_anomaly(True)."
        )


def _recorded_at(owner: GraphNode) -> str:
    if isinstance(owner, GradNode):
        return where_recorded(owner.step)
    line = None if owner.extra is None else owner.extra.line
    return f"recorded at {line[0]}:{line[1]}" if line else "recorded at an unknown line"


_TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16",
    "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "uint8": "Byte",
    "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    "complex32": "ComplexHalf", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip


def type_name(dtype) -> str:
    """PyTorch's class-like name of a CPU tensor type, such as torch.FloatTensor."""
    return f"torch.{_TYPE_NAMES.get(dtype.name, dtype.name.capitalize())}Tensor"


def _accumulate(node: AccumulateGrad, cotangent: Tensor, create_graph: bool) -> None:
    tensor = node.tensor()
    if tensor is None:
        return
    if placing.begun:
        cotangent = beside(cotangent, tensor)
    if tensor._grad is None:
        if not create_graph:
            # A handle of its own: the same cotangent may go to several leaves.
            if type(cotangent) is SparseTensor:
                cotangent = cotangent.with_elements(wrap(cotangent.elements._node))
            else:
                cotangent = wrap(cotangent._node)
        order = cotangent._node.step.order
        if order is not tensor._node.step.order or tensor._layout is not None:
            if type(cotangent) is not SparseTensor:
                cotangent = lying_as(cotangent, tensor)
        tensor._grad = cotangent
    elif create_graph or type(tensor._grad) is SparseTensor:
        tensor._grad = _sum(tensor._grad, cotangent)
    elif type(cotangent) is SparseTensor:
        write(tensor._grad, _sum(tensor._grad, cotangent))
    else:
        write(tensor._grad, add(tensor._grad, cotangent))
    if node.extra is not None:
        for hook in list(node.extra.accumulate_hooks.values()):
            hook(tensor)


# ---- hooks and checks ----------------------------------------------------------------------------


def _run_pre_hooks(node, given):
    extra = node.extra
    if extra is None:
        return given
    if extra.pre_hooks:
        for hook, index in list(extra.pre_hooks.values()):
            given = _run_pre_hook(hook, index, given)
    for index, reference in extra.retained.items():
        tensor = reference()
        if tensor is not None and index in given:
            _retain(tensor, given[index])
    return given


def _run_pre_hook(hook, index, given):
    """index: the output a tensor hook watches; None: a node hook, which sees all outputs."""
    if index is None:
        count = max(given) + 1
        changed = hook(tuple(given.get(i) for i in range(count)))
        if changed is None:
            return given
        return {i: c for i, c in enumerate(changed) if c is not None}
    if index not in given:
        return given
    changed = hook(given[index])
    if changed is None:
        return given
    _check_hook_result(changed, given[index])
    return {**given, index: changed}


def _check_hook_result(changed, former: Tensor) -> None:
    if not isinstance(changed, Tensor):
        raise RuntimeError(f"hook returned a {type(changed).__name__}; expected a Tensor or None")
    if changed._node.shape != former._node.shape:
        raise RuntimeError(
            f"hook has changed the size of value: from {list(former._node.shape)} to "
            f"{list(changed._node.shape)}"
        )


def _run_post_hooks(node, found, given):
    extra = node.extra
    if extra is None or not extra.post_hooks:
        return found
    count = max(given) + 1
    outputs = tuple(given.get(i) for i in range(count))
    for hook in list(extra.post_hooks.values()):
        changed = hook(tuple(found), outputs)
        if changed is not None:
            found = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    return found


def _retain(tensor: Tensor, cotangent: Tensor) -> None:
    if tensor._grad is None:
        tensor._grad = cotangent
    else:
        tensor._grad = add(tensor._grad, cotangent)


def retain_gradient(tensor: Tensor) -> None:
    """Keep `.grad` of a tensor that is not a leaf."""
    node, index = target_of(tensor._grad_fn)
    if type(node) is not AccumulateGrad:
        node.with_extra().retained[index] = weakref.ref(tensor)


def _refuse_nan(node, found) -> None:
    for position, cotangent in enumerate(found):
        if cotangent is None or not cotangent._node.dtype.is_inexact:
            continue
        if type(cotangent) is SparseTensor:
            cotangent = cotangent.elements
        value = materialise(cotangent._node, "anomaly check")
        if cotangent._node.dtype.name == "bfloat16":
            has_nan = bool(((value & 0x7FFF) > 0x7F80).any())
        else:
            has_nan = bool((value != value).any())
        if has_nan:
            where = f" Its forward operation was {_recorded_at(node)}."
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {position}th output.{where}"
            )


# ---- entry points --------------------------------------------------------------------------------


def starting_cotangent(tensor: Tensor, gradient, create_graph: bool) -> Tensor:
    """The cotangent backward begins with at `tensor`.  Raises: RuntimeError as PyTorch."""
    node = tensor._node
    if gradient is None:
        if len(node.shape) and any(n != 1 for n in node.shape):
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if node.dtype.is_complex:
            raise RuntimeError(
                f"grad can be implicitly created only for real scalar outputs but got {node.dtype}"
            )
        if node.step.device is META:
            return meta_tensor(node.shape, node.dtype)
        one = scalar_tensor(1, node.dtype)
        return expand(one, node.shape) if node.shape else one
    if not isinstance(gradient, Tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    if gradient._node.shape != node.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has "
            f"a shape of {tensor.shape}."
        )
    if gradient._node.dtype is not node.dtype:
        if gradient._node.dtype.is_complex and not node.dtype.is_complex:
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the same "
                f"dtype; got {gradient._node.dtype} and {node.dtype}"
            )
        gradient = cast(gradient, node.dtype)
    return gradient


@hot
def backward(
    tensors: list[Tensor],
    gradients: list,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: list[Tensor] | None = None,
) -> None:
    """Accumulate gradients of `tensors` into the leaves (or into `inputs`)."""
    if retain_graph is None:
        retain_graph = create_graph
    if len(tensors) == 1 and gradients[0] is None and inputs is None and not create_graph:
        if not AnomalyMode.enabled and _backward_from_scalar(tensors[0], retain_graph):
            return
    roots: list[Any] = []
    for tensor, gradient in zip(tensors, gradients):
        edge = current_edge(tensor)
        if edge is None:
            raise RuntimeError(
                f"element {len(roots)} of tensors does not require grad and does not have a grad_fn"
            )
        roots.append((edge, starting_cotangent(tensor, gradient, create_graph)))
    edges = None
    if inputs is not None:
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for tensor in inputs:
            if current_edge(tensor) is None:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            if type(tensor._grad_fn) is not AccumulateGrad:
                retain_gradient(tensor)
        edges = [tensor._grad_fn for tensor in inputs]
    run_backward(roots, retain_graph=retain_graph, create_graph=create_graph, inputs=edges)


@hot
def _backward_from_scalar(tensor: Tensor, retain_graph: bool) -> bool:
    """Backward by the block of this graph, which is made at the first time.

    False: nothing was done, and the ordinary way must be taken.
    """
    tape = local.tape
    if tape.in_block or config.eager or not config.blocks:
        return False
    call = backward_call(tape, current_edge(tensor), tensor)
    if call is None:
        return False
    block = call.known(tape)
    if block is not None:
        call.replay(block, tape, retain_graph)
        if block.end.cut is not None:
            tape.flush(block.end.cut)
        return True
    root = (current_edge(tensor), starting_cotangent(tensor, None, False))
    tape.in_block = True
    try:
        run_backward([root], retain_graph=retain_graph, create_graph=False)
    finally:
        tape.in_block = False
    call.remember(tape)
    return True
