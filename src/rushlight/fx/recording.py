"""A graph of what a call did: the functions of PyTorch's that it called, in their order.

In: a module or function and example arguments.  Out: a graph without branches, in which sizes that
were read are numbers, and the parameters, buffers and constants that it used.  Unlike symbolic
tracing it follows any Python code, for these arguments.  Level: fx (12).
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, memory_format
from rushlight.fx.graph import Graph
from rushlight.fx.node import Node
from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.recurrence import DirectionWeights, run_layers
from rushlight.overrides import TorchFunctionMode
from rushlight.overrides.interception import interceptor_of, python_form
from rushlight.tape.tape import pending_ancestors
from rushlight.tensor.tensor import Tensor

_PLAIN = (int, float, complex, bool, str, bytes, type(None), DType, device, layout, memory_format)
_RANDOM = (
    "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "rand_like",
    "randn_like", "randint_like", "poisson",
)  # fmt: skip
# Calls that change nothing that the graph sees.
_SILENT = ("requires_grad_", "detach_", "retain_grad", "register_hook", "backward")


class Recording:
    """graph: see the module docstring; its get_attr nodes name entries of `values`.

    values: parameters, buffers and constants by their names.  names: those of the inputs.
    result: what the call gave, with nodes in the place of tensors.
    arguments: (args, kwargs) of the call, with nodes in the place of tensors.
    """

    def __init__(self, graph: Graph, values: dict[str, Tensor], names: list[str]) -> None:
        self.graph, self.values, self.names = graph, values, names
        self.result: Any = None
        self.given: Any = None
        self.arguments: Any = ((), {})
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}


def layers_of(flat: list, biased: bool, bidirectional: bool, projected: bool) -> list:
    """Weights in a flat list, by layer and direction."""
    each = 2 + 2 * biased + projected
    directions = []
    for start in range(0, len(flat), each):
        parts = flat[start : start + each]
        last = parts.pop() if projected else None
        input_bias, hidden_bias = parts[2:] if biased else (None, None)
        directions.append(DirectionWeights(parts[0], parts[1], input_bias, hidden_bias, last))
    count = 2 if bidirectional else 1
    return [directions[i : i + count] for i in range(0, len(directions), count)]


def recurrent_layers(
    mode: str, input: Tensor, sizes: Any, state: tuple, flat: list, biased: bool,
    bidirectional: bool, dropout: float, training: bool,
) -> Any:  # fmt: skip
    """The layers of a recurrent module, whose weights come as one flat list.

    Shapes: input (T, B, F).  Returns (output, *last states).
    """
    projected = mode == "LSTM" and state[0].shape[-1] != state[1].shape[-1]
    layers = layers_of(list(flat), biased, bidirectional, projected)
    output, last_state = run_layers(mode, input, sizes, tuple(state), layers, dropout, training)
    return (output, *last_state)


def _flat_weights(layers: list) -> list[Tensor]:
    return [
        part
        for directions in layers
        for w in directions
        for part in (w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, w.weight_hr)
        if part is not None
    ]


class _Recorder(TorchFunctionMode):
    """making: whether functions of numbers alone are nodes too, not constants."""

    def __init__(
        self, names: dict[int, str], values: dict[str, Tensor], making: bool = False
    ) -> None:
        self.graph = Graph()
        self.making = making
        self.names = names
        self.values = values
        self.used: dict[str, Tensor] = {}
        self.nodes: dict[int, Node] = {}
        # Tensors are told apart by their identity, so none may go.
        self.kept: list[Any] = []
        self.inputs: list[Any] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is run_layers:
            return self._recurrent(args, kwargs)
        name = func.__name__
        own = COMPOSED.get(name)
        if own is not None:
            with self:
                return own(*args, **kwargs)
        result = func(*args, **kwargs)
        self.kept.append((args, kwargs, result))
        found = tensors_in(result)
        if not found or name in _SILENT:
            return result
        if name == "__get__":
            return self._property(func, args[0], result)
        writes = name.endswith("_") and not name.endswith("__")
        known = [x for x in tensors_in((args, kwargs)) if self._is_known(x)]
        if not known and name not in _RANDOM and not (self.making and _is_of_numbers(args, kwargs)):
            return result  # a constant, which becomes an attribute where it is used
        if not writes and all(any(x is y for y in known) for x in found):
            return result  # the operand itself
        self._note(func, args, kwargs, result)
        return result

    def _is_known(self, tensor: Tensor) -> bool:
        return id(tensor) in self.nodes or id(tensor) in self.names

    def _property(self, func: Any, owner: Any, result: Any) -> Any:
        if not isinstance(owner, Tensor) or not self._is_known(owner) or result is owner:
            return result
        name = next((n for n, v in vars(Tensor).items() if v is func.__self__), None)
        if name in ("grad", "_grad", None):
            return result
        node = self.graph.call_function(getattr, (self.node_of(owner), name))
        self.nodes[id(result)] = node
        return result

    def _recurrent(self, args: tuple, kwargs: dict) -> Any:
        mode, input, sizes, state, layers, dropout, training = args
        output, last = interceptor_of(_RUN_LAYERS).original(*args, **kwargs)
        biased = layers[0][0].bias_hh is not None
        flat = _flat_weights(layers)
        call = (mode, input, sizes, tuple(state), flat, biased, len(layers[0]) == 2, dropout,
                bool(training))  # fmt: skip
        result = (output, *last)
        self.kept.append((args, result))
        self._note(recurrent_layers, call, {}, result)
        return output, last

    def _note(self, func: Any, args: tuple, kwargs: dict, result: Any) -> None:
        node = self.graph.call_function(func, self.as_nodes(args), self.as_nodes(kwargs))
        if isinstance(result, Tensor):
            node.meta["shape"], node.meta["dtype"] = tuple(result.shape), result.dtype
            self.nodes[id(result)] = node
            return
        node.meta["shapes"] = [tuple(x.shape) for x in result if isinstance(x, Tensor)]
        for place, part in enumerate(result):
            if isinstance(part, Tensor):
                piece = self.graph.call_function(operator.getitem, (node, place))
                piece.meta["shape"], piece.meta["dtype"] = tuple(part.shape), part.dtype
                self.nodes[id(part)] = piece

    def node_of(self, tensor: Tensor) -> Node:
        """The node that gives a tensor; parameters and constants become attributes."""
        found = self.nodes.get(id(tensor))
        if found is not None:
            return found
        name = self.names.get(id(tensor))
        if name is None:
            self._refuse_unseen(tensor)
            name = f"_tensor_constant{len(self.used)}"
            self.values[name] = tensor.detach()
        self.used[name] = self.values[name]
        node = self.graph.get_attr(name)
        node.meta["shape"], node.meta["dtype"] = tuple(tensor.shape), tensor.dtype
        self.nodes[id(tensor)] = node
        self.kept.append(tensor)
        return node

    def _refuse_unseen(self, tensor: Tensor) -> None:
        """A constant must not be a value that follows from the inputs by means that nobody saw."""
        if tensor._node.value is not None:
            return
        sources = pending_ancestors(tensor._node)
        if any(any(node is source for source in sources) for node in self.inputs):
            raise RuntimeError(
                f"recording a graph: a tensor of shape {tuple(tensor.shape)} was computed from the "
                "inputs by something that is none of PyTorch's functions, such as a custom "
                "autograd.Function"
            )

    def as_nodes(self, value: Any) -> Any:
        """A structure with nodes in the place of tensors.  Raises: RuntimeError for others."""
        if isinstance(value, Tensor):
            return self.node_of(value)
        if isinstance(value, _PLAIN) or value is Ellipsis:
            return value
        if isinstance(value, slice):
            return slice(*[self.as_nodes(x) for x in (value.start, value.stop, value.step)])
        if isinstance(value, dict):
            return {key: self.as_nodes(part) for key, part in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return tuple(self.as_nodes(part) for part in value)
        if isinstance(value, (list, tuple)):
            kind = list if isinstance(value, list) else tuple
            return kind(self.as_nodes(part) for part in value)
        if isinstance(value, type) or callable(value):
            return value
        raise RuntimeError(
            f"recording a graph: a {type(value).__name__} cannot be part of one; pass tensors, "
            "numbers, text, and lists, tuples and dictionaries of them"
        )


_RUN_LAYERS: FunctionType = run_layers  # type: ignore[assignment]


def called_name(target: Any) -> str:
    """PyTorch's name of a recorded function; of Python's operators that of the method."""
    name = getattr(target, "__name__", str(target))
    if name == "operator":
        form = python_form(target)
        named = (n for n, v in vars(Tensor).items() if python_form(v) is form)
        name = next(named, name)
    if name.startswith("_") and name.endswith("_method"):
        return name[1:-7]
    return name


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of a structure, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [x for part in value.values() for x in tensors_in(part)]
    if isinstance(value, (list, tuple)):
        return [x for part in value for x in tensors_in(part)]
    return []


def _is_of_numbers(args: tuple, kwargs: dict) -> bool:
    """Whether a call is one that makes a tensor from sizes and numbers."""
    values = [*args, *kwargs.values()]
    flat = [x for value in values for x in (value if isinstance(value, (tuple, list)) else [value])]
    return all(isinstance(x, _PLAIN) for x in flat)


def record(
    function: Callable[..., Any],
    args: tuple,
    kwargs: dict[str, Any] | None = None,
    root: Any = None,
    making: bool = False,
) -> Recording:
    """Call `function(*args, **kwargs)` and give the graph of what it did.

    root: the module whose parameters and buffers keep their names; by default `function`, if it is
        a module.  Inputs are the tensors in the arguments, in order.
    making: tensors that are made from sizes and numbers are nodes, and no constants.
    Raises: RuntimeError for arguments that a graph cannot hold; what the call raises.
    """
    kwargs = dict(kwargs or {})
    owner = root if root is not None else function
    values: dict[str, Tensor] = {}
    parameters: dict[str, Tensor] = {}
    buffers: dict[str, Tensor] = {}
    if isinstance(owner, Module):
        parameters.update(owner.named_parameters(remove_duplicate=False))
        buffers.update(owner.named_buffers(remove_duplicate=False))
        values.update({**parameters, **buffers})
    names: dict[int, str] = {}
    for name, value in values.items():
        names.setdefault(id(value), name)
    recorder = _Recorder(names, values, making)
    # Each input is a tensor of its own, whoever else holds it.
    inputs: list[str] = []

    def placed(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            made = value.detach()
            node = recorder.graph.placeholder(name)
            node.meta["shape"], node.meta["dtype"] = tuple(value.shape), value.dtype
            recorder.nodes[id(made)] = node
            recorder.kept.append(made)
            recorder.inputs.append(made._node)
            inputs.append(node.name)
            return made
        if isinstance(value, dict):
            return {k: placed(v, f"{name}_{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            return type(value)(placed(v, f"{name}_{i}") for i, v in enumerate(value))
        return value

    given = [placed(v, name) for v, name in zip(args, argument_names(function, len(args)))]
    named = {name: placed(value, name) for name, value in kwargs.items()}
    watched = interceptor_of(_RUN_LAYERS)
    watched.watch()
    try:
        with recorder, _plain_attributes(owner):
            result = function(*given, **named)
    finally:
        watched.leave()
    made = Recording(recorder.graph, recorder.used, inputs)
    made.given = result
    made.arguments = (
        tuple(recorder.as_nodes(value) for value in given),
        {name: recorder.as_nodes(value) for name, value in named.items()},
    )
    made.result = recorder.as_nodes(result)
    recorder.graph.output(made.result)
    made.parameters, made.buffers = parameters, buffers
    _drop_unused(recorder.graph)
    return made


@contextlib.contextmanager
def _plain_attributes(owner: Any) -> Iterator[None]:
    """Functions that modules hold as attributes are Python's, which can be watched, meanwhile."""
    changed = []
    for module in owner.modules() if isinstance(owner, Module) else ():
        for name, value in module.__dict__.items():
            form = python_form(value) if callable(value) else None
            if form is not None and form is not value:
                changed.append((module.__dict__, name, value))
                module.__dict__[name] = form
    try:
        yield
    finally:
        for attributes, name, value in changed:
            attributes[name] = value


def argument_names(function: Any, count: int) -> list[str]:
    """Names for positional arguments, those of the function where it tells them."""
    target = type(function).forward if isinstance(function, Module) else function
    code = getattr(target, "__code__", None)
    found: list[str] = []
    if code is not None:
        listed = code.co_varnames[: code.co_argcount]
        found = list(listed[1:] if isinstance(function, Module) else listed)
    return [found[i] if i < len(found) else f"input_{i}" for i in range(count)]


def _drop_unused(graph: Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if node.op in ("placeholder", "output") or node.users:
            continue
        name = getattr(node.target, "__name__", str(node.target))
        if not (node.op == "call_function" and name.endswith("_") and not name.endswith("__")):
            graph.erase_node(node)


# ---- functions that are seen as what they consist of ---------------------------------------------


def _heads(x: Tensor, heads: int) -> Tensor:
    length, batch, features = x.shape
    return x.reshape(length, batch * heads, features // heads).transpose(0, 1)


def _attention(
    query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int, in_proj_weight: Any,
    in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float,
    out_proj_weight: Any, out_proj_bias: Any, training: bool = True, key_padding_mask: Any = None,
    need_weights: bool = True, attn_mask: Any = None, use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None, k_proj_weight: Any = None, v_proj_weight: Any = None,
    static_k: Any = None, static_v: Any = None, average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:  # fmt: skip
    if query.dim() != 3 or bias_k is not None or add_zero_attn or static_k is not None:
        raise RuntimeError(
            "recording multi-head attention: inputs must have a batch axis, and bias_k, "
            "add_zero_attn and static_k are not supported"
        )
    length, batch, features = query.shape
    weights: Any
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        weights = in_proj_weight.chunk(3, 0)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3, 0)
    q, k, v = [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases)]
    q, k, v = _heads(q, num_heads), _heads(k, num_heads), _heads(v, num_heads)
    scores = (q * (features // num_heads) ** -0.5).bmm(k.transpose(1, 2))  # (B H, L, S)
    scores = _masked(scores, attn_mask)
    if key_padding_mask is not None:
        wide = scores.reshape(batch, num_heads, length, -1)
        scores = _masked(wide, key_padding_mask.unsqueeze(1).unsqueeze(2)).reshape(scores.shape)
    weights = F.softmax(scores, -1)
    if dropout_p > 0.0 and training:
        weights = F.dropout(weights, dropout_p, True)
    out = weights.bmm(v).transpose(0, 1).reshape(length, batch, features)
    out = F.linear(out, out_proj_weight, out_proj_bias)
    if not need_weights:
        return out, None
    weights = weights.reshape(batch, num_heads, length, -1)
    return out, weights.mean(1) if average_attn_weights else weights


def _masked(scores: Tensor, mask: Any) -> Tensor:
    if mask is None:
        return scores
    if mask.dtype.name == "bool":
        return scores.masked_fill(mask, float("-inf"))
    return scores + mask


COMPOSED: dict[str, Callable[..., Any]] = {"multi_head_attention_forward": _attention}
