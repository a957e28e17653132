"""`__torch_dispatch__`: classes and modes that answer PyTorch's operators.

In: calls of functions that `interception.py` sees, and primitives that meet a wrapper, a tensor
without data of its own.  Out: what the class or mode answers for the operator (`aten.py`), with the
gradients that autograd, which stands above, gives it.  Backward is seen as the primitives that it
records, by the operators of their names.  Level 12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import DType
from rushlight.ops.registry import OperatorOverload, OperatorPacket
from rushlight.overrides import aten
from rushlight.overrides.aten import Done, operator
from rushlight.tape.memo import BUFFER, leaf_spec
from rushlight.tape.node import Node
from rushlight.tape.primitive import Primitive
from rushlight.tape.tape import current_tape, local
from rushlight.tensor.apply import _gradient_node
from rushlight.tensor.autodiff import CustomNode, run_backward
from rushlight.tensor.grad_mode import enable_grad, no_grad
from rushlight.tensor.graph import InputGrad, OutputOf
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor, scalar_spec, wrap
from rushlight.tensor.torch_function import disabled_torch_dispatch, state
from rushlight.transform.interception import Transforms, current_node
from rushlight.transform.mapped import step_of

# ---- tensors without data of their own -----------------------------------------------------------


class WrapperNode(Node):
    """The value of a tensor whose class answers for it: a shape and a dtype.

    wrapper: the tensor, which also answers where autograd shows its value through another handle.
    """

    __slots__ = ("wrapper",)

    def __init__(self, wrapper: Any, shape: tuple[int, ...], dtype: DType, device: Any) -> None:
        self.wrapper = wrapper
        self.describe(leaf_spec(BUFFER, shape, dtype, device), shape, dtype)

    def take_over(self, tape: Any) -> bool:
        """An operation that meets the value is not recorded, but asked of the class."""
        if tape.transforms is None:
            _Wrappers(tape).activate()
        return True

    def take_write(self, tensor: Tensor, new: Tensor) -> bool:
        """A value that is written to a wrapper is copied by its class.

        Raises: RuntimeError for a target that has data.
        """
        target = tensor._node
        if target.__class__ is not WrapperNode:
            name = type(self.wrapper).__name__
            raise RuntimeError(f"copy_: a {name} without data is written to a plain tensor")
        with no_grad():
            ask_for(operator("copy_"), (target.wrapper, self.wrapper))  # type: ignore[attr-defined]
        return True

    def check_alive(self) -> None:
        """It lives as long as its tensor."""

    def read(self) -> None:
        """Raises: RuntimeError: there is no data."""
        name = type(self.wrapper).__name__
        raise RuntimeError(
            f"{name} has no data of its own: what was called reads values and is no operator that"
            f" {name}.__torch_dispatch__ is asked for; unwrap the tensor first"
        )


class _Wrappers(Transforms):
    """Takes the one operation that met a wrapper."""

    __slots__ = ()

    def intercept(self, primitive: Primitive, operands: tuple, params: tuple) -> Any:
        self.deactivate()
        return _of_wrappers(primitive, operands, params)


def shown(value: Any) -> Any:
    """What a program sees of a value: the wrapper itself where autograd keeps a handle to it."""
    if type(value) is Tensor and value._node.__class__ is WrapperNode:
        return value._node.wrapper  # type: ignore[attr-defined]
    return value


def _of_wrappers(primitive: Primitive, operands: tuple, params: tuple) -> Any:
    """A primitive as its operator, asked of the operands' classes; its gradient is noted."""
    given = [
        x._node.wrapper if x._node.__class__ is WrapperNode else wrap(current_node(x))
        for x in operands
    ]
    with no_grad():
        found = _ask_primitive(primitive, given, params)
    step = step_of(primitive, operands, params)
    inputs = tuple([x._node for x in operands])
    several = primitive.multiple
    results = [_handle(one, given) for one in (found if several else [found])]
    holder = Node() if several else results[0]._node
    grad = _gradient_node(local.tape, step, operands, inputs, holder)
    for place, result in enumerate(results):
        if grad is not None and result._node.dtype.is_inexact:
            result._grad_fn = OutputOf(grad, place) if several else grad
    if grad is not None and grad.saved is not None and grad.saved[-1] is holder and several:
        grad.saved = (*grad.saved[:-1], *[result._node for result in results])
    return results if several else results[0]


def _handle(result: Any, given: list) -> Any:
    """A result that may get a history: an operand that was returned as it is keeps its own."""
    return wrap(result._node) if any(result is x for x in given) else result


# ---- asking --------------------------------------------------------------------------------------


def _dispatches(kind: type) -> bool:
    rule = getattr(kind, "__torch_dispatch__", None)
    return rule is not None and rule is not disabled_torch_dispatch


def operands_of(values: Any, found: list | None = None) -> list[Any]:
    """One of each class with a `__torch_dispatch__`, subclasses first; lists are looked into."""
    found = [] if found is None else found
    for value in values:
        kind = type(value)
        if kind is tuple or kind is list:
            operands_of(value, found)
        elif kind is not Tensor and isinstance(value, Tensor) and _dispatches(kind):
            insert_kind(value, kind, found)
    return found


def insert_kind(value: Any, kind: type, found: list[Any]) -> None:
    """Add a value of a class that is not there yet, before those of its bases."""
    for place, other in enumerate(found):
        if type(other) is kind:
            return
        if issubclass(kind, type(other)):
            found.insert(place, value)
            return
    found.append(value)


def call(original: Callable, name: str, args: tuple, kwargs: dict) -> Any:
    """A call of a public function while there are modes or classes to be asked."""
    modes = state.dispatch_modes
    if not state.dispatch or not (modes or operands_of((*args, *kwargs.values()))):
        return shown(original(*args, **kwargs))
    found = aten.rewritten(name, args, kwargs)
    if found is None:
        return shown(original(*args, **kwargs))
    if isinstance(found, Done):
        return found.value
    return ask_for(*found)


def ask_for(op: OperatorOverload, args: tuple, kwargs: dict | None = None) -> Any:
    """An operator's answer: the innermost mode's, or the operands' classes', or its own."""
    kwargs = kwargs or {}
    operands = operands_of((*args, *kwargs.values()))
    if state.dispatch_modes:
        return _ask_mode(op, operands, args, kwargs)
    if not operands:
        return op(*args, **kwargs)
    if op._opname in ("detach", "_local_scalar_dense") or not current_tape().grad_enabled:
        with no_grad():
            return _ask_classes(op, operands, args, kwargs)
    return _with_history(op, operands, args, kwargs)


aten.answers.ask = ask_for  # type: ignore[method-assign]


def _ask_mode(op: OperatorOverload, operands: list, args: tuple, kwargs: dict) -> Any:
    modes = state.dispatch_modes
    state.dispatch_modes = modes[:-1]
    try:
        types = tuple(type(operand) for operand in operands)
        result = modes[-1].__torch_dispatch__(op, types, args, kwargs)
        return ask_for(op, args, kwargs) if result is NotImplemented else result
    finally:
        state.dispatch_modes = modes


def _ask_classes(op: OperatorOverload, operands: list, args: tuple, kwargs: dict) -> Any:
    types = tuple(type(operand) for operand in operands)
    for operand in operands:
        result = type(operand).__torch_dispatch__(op, types, args, kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(
        f"Multiple dispatch failed for '{op}'; all __torch_dispatch__ handlers returned"
        f" NotImplemented: {[kind.__name__ for kind in types]}"
    )


# ---- history -------------------------------------------------------------------------------------


def _leaves(values: Any, found: list) -> list:
    for value in values:
        if isinstance(value, (tuple, list)):
            _leaves(value, found)
        elif isinstance(value, Tensor) and not any(value is x for x in found):
            found.append(value)
    return found


def _replaced(value: Any, handles: dict[int, Any]) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_replaced(x, handles) for x in value)
    return handles.get(id(value), value)


def _with_history(op: OperatorOverload, operands: list, args: tuple, kwargs: dict) -> Any:
    """The classes' answer; backward follows the operator's own primitives on the operands."""
    leaves = _leaves((*args, *kwargs.values()), [])
    edges = tuple([current_edge(x) for x in leaves])
    with no_grad():
        result = _ask_classes(op, operands, args, kwargs)
    outputs = result if isinstance(result, (tuple, list)) else [result]
    fresh = [x for x in outputs if isinstance(x, Tensor) and x._node.dtype.is_inexact]
    if not any(edge is not None for edge in edges) or op._schema.is_mutable or not fresh:
        return result

    def apply(given: dict[int, Tensor], retain_graph: bool) -> list:
        handles = {}
        for leaf, edge in zip(leaves, edges):
            handle = wrap(current_node(leaf))
            handle._grad_fn = None if edge is None else InputGrad()
            handles[id(leaf)] = handle
        again_args = _replaced(args, handles)
        again = {key: _replaced(value, handles) for key, value in kwargs.items()}
        with enable_grad():
            found = op(*again_args, **again)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        roots = [
            (current_edge(x), cotangent)
            for x, cotangent in zip(found, [given.get(place) for place in range(len(found))])
            if cotangent is not None and current_edge(x) is not None
        ]
        wanted = [handles[id(x)]._grad_fn for x, edge in zip(leaves, edges) if edge is not None]
        create_graph = current_tape().grad_enabled
        found = run_backward(
            roots, retain_graph=False, create_graph=create_graph, inputs=wanted, accumulate=False
        )
        pulled = iter(found)
        return [None if edge is None else next(pulled) for edge in edges]

    label = op._opname.strip("_").title().replace("_", "") + "Backward0"
    facts = [(x._node.shape, x._node.dtype) if isinstance(x, Tensor) else None for x in outputs]
    node = CustomNode(label, edges, facts, apply)
    for place, output in enumerate(outputs):
        if isinstance(output, Tensor) and output._node.dtype.is_inexact:
            output._grad_fn = OutputOf(node, place) if len(outputs) > 1 else node
    return result


# ---- primitives as operators ---------------------------------------------------------------------

_NAMES = {"absolute": "abs", "round_even": "round", "copy": "clone", "power": "pow"}
_UNARY = frozenset(
    "neg absolute sign logical_not reciprocal sqrt rsqrt exp log sin cos tan asin acos atan sinh"
    " cosh tanh asinh acosh atanh sigmoid erf erfc erfinv lgamma digamma floor ceil trunc"
    " round_even relu copy bitwise_not".split()
)
_BINARY = frozenset("add sub mul div eq ne lt le gt ge remainder fmod power".split())


def _number(x: Any) -> Any:
    """A scalar that entered the tape as a Python number, as one."""
    is_scalar = x._node.step is scalar_spec(x._node.dtype)
    return x._node.value.item() if is_scalar else x


def _ask_primitive(primitive: Primitive, operands: list, params: tuple) -> Any:
    name = primitive.name
    short = _NAMES.get(name, name)
    if name in _UNARY:
        return ask_for(operator(short), tuple(operands))
    if name in _BINARY:
        x, y = operands[0], _number(operands[1])
        overload = "Tensor" if isinstance(y, Tensor) or name in ("add", "sub", "mul", "div") else ""
        overload = overload or "Scalar"
        if name == "power":
            overload = f"Tensor_{overload}"
        return ask_for(operator(short, overload), (x, y))
    if name == "matmul":
        return _ask_product(operands, params)
    steps: dict[str, Callable[[], tuple]] = {
        "cast": lambda: (operator("_to_copy"), (operands[0],), {"dtype": params[0]}),
        "reshape": lambda: (operator("view"), (operands[0], list(params[0]))),
        "permute": lambda: (operator("permute"), (operands[0], list(params[0]))),
        "expand": lambda: (operator("expand"), (operands[0], list(params[0]))),
        "where": lambda: (operator("where", "self"), tuple(operands)),
        "concatenate": lambda: (operator("cat"), (operands, params[0])),
        "reduce_sum": lambda: (operator("sum", "dim_IntList"), (operands[0], *_axes(params))),
        "reduce_max": lambda: (operator("amax"), (operands[0], *_axes(params))),
        "reduce_min": lambda: (operator("amin"), (operands[0], *_axes(params))),
    }
    if name in steps:
        return ask_for(*steps[name]())
    return ask_for(_own(primitive), (*operands, *params))


def _axes(params: tuple) -> tuple:
    return list(params[0]), params[1]


def _ask_product(operands: list, params: tuple) -> Any:
    x, y = operands
    if params[0]:
        x = _turned(x)
    if params[1]:
        y = _turned(y)
    if x.dim() == y.dim() == 2:
        return ask_for(operator("mm"), (x, y))
    if x.dim() == y.dim() == 3 and x.shape[0] == y.shape[0]:
        return ask_for(operator("bmm"), (x, y))
    return ask_for(operator("matmul"), (x, y))


def _turned(x: Any) -> Any:
    if x.dim() == 2:
        return ask_for(operator("t"), (x,))
    return ask_for(operator("transpose", "int"), (x, -2, -1))


_own_operators: dict[str, OperatorOverload] = {}


def _own(primitive: Primitive) -> OperatorOverload:
    """The operator of a primitive that is none of PyTorch's: `prims::<its name>`."""
    known = _own_operators.get(primitive.name)
    if known is None:
        count = primitive.arity

        def run(*values: Any) -> Any:
            tensors = [x for x in values if isinstance(x, Tensor)]
            rest = values[len(tensors) :]
            return primitive(tuple(tensors), *rest) if count < 0 else primitive(*tensors, *rest)

        known = OperatorPacket(f"prims::{primitive.name}", run).default
        _own_operators[primitive.name] = known
    return known


class ModeTransforms(Transforms):
    """Shows what is recorded while modes are on: backward, and functions that are no operators."""

    __slots__ = ()

    def intercept(self, primitive: Primitive, operands: tuple, params: tuple) -> Any:
        if not state.dispatch_modes or not state.dispatch:
            return super().intercept(primitive, operands, params)
        return _ask_primitive(primitive, list(operands), params)
