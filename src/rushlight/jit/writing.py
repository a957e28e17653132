"""From a recorded graph to TorchScript's serialized text.

In: a `fx.recording.Recording`.  Out: the text of a method `forward`, which PyTorch and
`translation.py` read alike.  Each recorded function is written as the operator that does the same;
one that has none is refused by its name.  Level: jit (12).
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, memory_format
from rushlight.fx.node import Node
from rushlight.fx.recording import called_name
from rushlight.jit.functional_forms import (
    CONVOLUTIONS,
    COUNTS,
    REDUCTIONS,
    RENAMED,
    SPREAD,
    TEMPLATES,
    TRANSPOSED,
)
from rushlight.jit.operator_names import NAMES
from rushlight.jit.operators import NUMBER_OF
from rushlight.nn import functional as F
from rushlight.ops.spelling import PUBLIC
from rushlight.overrides.interception import python_form
from rushlight.tensor.tensor import Tensor


def literal(value: Any) -> str:
    """A value that is no node, as serialized code writes it."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
        return repr(value)
    if isinstance(value, (int, complex)):
        return repr(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, DType):
        return str(NUMBER_OF[value])
    if isinstance(value, device):
        return f'torch.device("{value}")'
    if isinstance(value, (layout, memory_format)):
        return "None"
    raise RuntimeError(f"jit.save: a {type(value).__name__} has no form in TorchScript: {value!r}")


def _is_operator(name: str, target: Any) -> bool:
    """Whether a recorded function is the one that the operator of this name calls, and not another
    namespace's."""
    function = python_form(target)
    homes = (PUBLIC.get(name), vars(Tensor).get(name), getattr(F, name, None))
    return any(function is not None and python_form(home) is function for home in homes)


class Writer:
    """The lines of one `forward`.

    attribute: from the name of a value to the expression that reads it.
    """

    def __init__(self, attribute: Callable[[str], str]) -> None:
        self.attribute = attribute
        self.lines: list[str] = []
        self.names: dict[Node, str] = {}

    def write(self, nodes: Any) -> None:
        """Write all nodes but the output."""
        for node in nodes:
            if node.op == "placeholder":
                self.names[node] = node.name
            elif node.op == "get_attr":
                self.names[node] = self._fresh(node, self.attribute(node.target))
            elif node.op == "call_function":
                self.names[node] = self._fresh(node, self._called(node))

    def _fresh(self, node: Node, text: str) -> str:
        name = f"v_{node.name}"
        self.lines.append(f"{name} = {text}")
        return name

    def text(self, value: Any) -> str:
        """An expression for a node, a number, or a structure of them."""
        if isinstance(value, Node):
            return self.names[value]
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(self.text(part) for part in value) + "]"
        return literal(value)

    def result(self, value: Any) -> tuple[str, str]:
        """(expression, type) of what `forward` returns."""
        if isinstance(value, Node):
            return self.names[value], "Tensor"
        if isinstance(value, dict):
            if not all(isinstance(k, str) and isinstance(v, Node) for k, v in value.items()):
                raise RuntimeError("jit.save: a dictionary in the result must hold tensors by name")
            pairs = ", ".join(f"{literal(k)}: {self.names[v]}" for k, v in value.items())
            return "{" + pairs + "}", "Dict[str, Tensor]"
        if isinstance(value, list):
            if not all(isinstance(part, Node) for part in value):
                raise RuntimeError("jit.save: a list in the result must hold tensors")
            return self.text(value), "List[Tensor]"
        if isinstance(value, tuple):
            parts = [self.result(part) for part in value]
            inside = ", ".join(text for text, _ in parts) + ("," if len(parts) == 1 else "")
            return f"({inside})", f"Tuple[{', '.join(kind for _, kind in parts)}]"
        kinds = {bool: "bool", int: "int", float: "float", str: "str", type(None): "NoneType"}
        if type(value) not in kinds:
            raise RuntimeError(f"jit.save: forward returns a {type(value).__name__}")
        return literal(value), kinds[type(value)]

    # ---- calls ---------------------------------------------------------------------------------

    def _called(self, node: Node) -> str:
        target = node.target
        if target is operator.getitem:
            return f"({self.text(node.args[0])})[{self.text(node.args[1])}]"
        if target is getattr:
            return self._property(node)
        name = called_name(target)
        name = RENAMED.get(name, name)
        own = getattr(self, f"_write_{name}", None)
        if own is not None:
            return own(node)
        if name in CONVOLUTIONS or name in TRANSPOSED:
            return self._convolution(name, self._bound(node))
        if name in TEMPLATES:
            return self._filled(TEMPLATES[name], self._bound(node))
        if name in SPREAD:
            return self._spread(name, node)
        if name not in NAMES or not _is_operator(name, node.target):
            raise RuntimeError(
                f"jit.save: {name} has no form in TorchScript here; save the state_dict() instead"
            )
        parts = [self.text(arg) for arg in node.args]
        parts += [
            f"{key}={self.text(value)}" for key, value in node.kwargs.items() if value is not None
        ]
        return f"torch.{name}({', '.join(parts)})"

    def _bound(self, node: Node) -> dict[str, Any]:
        function = python_form(node.target) or node.target
        # Whether memory is written over makes no difference to what is written here.
        named = {key: value for key, value in node.kwargs.items() if key not in ("inplace", "out")}
        signature, given = inspect.signature(function), node.args
        if len(given) > len(signature.parameters) and isinstance(given[-1], bool):
            given = given[:-1]  # `inplace`, which stands last
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        return dict(bound.arguments)

    def _filled(self, template: str, given: dict[str, Any]) -> str:
        pieces = []
        rest = template
        while "{" in rest:
            before, _, after = rest.partition("{")
            name, _, rest = after.partition("}")
            name, _, form = name.partition("|")
            pieces.append(before + self._in_form(given.get(name), form))
        return "".join(pieces) + rest

    def _in_form(self, value: Any, form: str) -> str:
        if form == "list":
            return self.text(value if isinstance(value, (list, tuple)) else
                             [] if value is None else [value])  # fmt: skip
        if form in COUNTS:
            each = value if isinstance(value, (list, tuple)) else [value] * COUNTS[form]
            return self.text(list(each))
        if form == "minus":
            return self.text(-1 if value is None else value)
        if form == "number":
            return str(REDUCTIONS[value])
        if form == "float" and isinstance(value, int):
            return self.text(float(value))
        if form == "float" and isinstance(value, (list, tuple)):
            return self.text([float(one) for one in value])
        return self.text(value)

    def _convolution(self, name: str, given: dict[str, Any]) -> str:
        axes = CONVOLUTIONS.get(name) or TRANSPOSED[name]

        def each(key: str) -> str:
            value = given[key]
            if isinstance(value, str):
                return self.text(value)
            return self.text(value if isinstance(value, (list, tuple)) else [value] * axes)

        start = ", ".join(self.text(given[key]) for key in ("input", "weight", "bias"))
        if name in TRANSPOSED:
            rest = [each("stride"), each("padding"), each("output_padding"),
                    self.text(given["groups"]), each("dilation")]  # fmt: skip
        else:
            rest = [each("stride"), each("padding"), each("dilation"), self.text(given["groups"])]
        return f"torch.{name}({start}, {', '.join(rest)})"

    def _spread(self, name: str, node: Node) -> str:
        first, rest = node.args[0], list(node.args[1:])
        if len(rest) == 1 and isinstance(rest[0], (list, tuple)):
            rest = list(rest[0])
        for key in ("shape", "size", "sizes", "dims", "repeats"):
            if key in node.kwargs:
                rest = list(node.kwargs[key])
        if name == "view" and len(rest) == 1 and isinstance(rest[0], DType):
            raise RuntimeError("jit.save: a view of another dtype has no form in TorchScript here")
        name = "repeat" if name == "tile" else name
        return f"torch.{name}({self.text(first)}, {self.text(rest)})"

    def _property(self, node: Node) -> str:
        owner, name = node.args
        forms = {"T": "torch.numpy_T({})", "mT": "torch.mT({})", "data": "torch.detach({})",
                 "real": "torch.real({})", "imag": "torch.imag({})"}  # fmt: skip
        if name not in forms:
            raise RuntimeError(f"jit.save: the property {name!r} has no form in TorchScript here")
        return forms[name].format(self.text(owner))

    def _write_getitem(self, node: Node) -> str:
        """Indexing of a tensor: one operator after the other."""
        owner, index = node.args
        parts = list(index) if isinstance(index, tuple) else [index]
        text = self.text(owner)
        rank = len(owner.meta["shape"])
        if any(part is Ellipsis for part in parts):
            place = parts.index(Ellipsis)
            used = sum(1 for part in parts if part is not None) - 1
            parts[place : place + 1] = [slice(None)] * (rank - used)
        if any(isinstance(part, (Node, list)) for part in parts):
            if any(not isinstance(p, Node) and p != slice(None) for p in parts):
                raise RuntimeError("jit.save: indexing by tensors and numbers mixed is not written")
            chosen = ", ".join(self.text(p) if isinstance(p, Node) else "None" for p in parts)
            return f"torch.index({text}, [{chosen}])"
        axis = 0
        for part in parts:
            if part is None:
                text = f"torch.unsqueeze({text}, {axis})"
                axis += 1
            elif isinstance(part, slice):
                if part != slice(None):
                    bounds = f"{literal(part.start)}, {literal(part.stop)}, {part.step or 1}"
                    text = f"torch.slice({text}, {axis}, {bounds})"
                axis += 1
            else:
                text = f"torch.select({text}, {axis}, {literal(part)})"
        return text if text != self.text(owner) else f"torch.alias({text})"

    def _write_recurrent_layers(self, node: Node) -> str:
        mode, input, sizes, state, flat, biased, both, dropout, training = node.args
        if sizes is not None:
            raise RuntimeError("jit.save: packed sequences are not written")
        names = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}
        each = (4 if biased else 2) * (2 if both else 1)
        hidden = self.text(list(state)) if mode == "LSTM" else self.text(state[0])
        rest = [biased, len(flat) // each, float(dropout), training, both, False]
        parts = [self.text(input), hidden, self.text(flat), *[self.text(part) for part in rest]]
        return f"torch.{names[mode]}({', '.join(parts)})"

    def _write_to(self, node: Node) -> str:
        kinds = [x for x in (*node.args[1:], *node.kwargs.values()) if isinstance(x, DType)]
        text = self.text(node.args[0])
        return f"torch.to({text}, {literal(kinds[0])})" if kinds else f"torch.alias({text})"

    def _write_type_conversion(self, node: Node) -> str:
        return f"torch.to({self.text(node.args[0])}, {literal(node.meta['dtype'])})"

    _write_float = _write_double = _write_half = _write_long = _write_int = _write_bool = (
        _write_type_conversion
    )
    _write_bfloat16 = _write_type = _write_type_conversion

    def _write___rsub__(self, node: Node) -> str:
        return f"torch.rsub({self.text(node.args[0])}, {self.text(node.args[1])})"

    def _write___rtruediv__(self, node: Node) -> str:
        inverse = f"torch.reciprocal({self.text(node.args[0])})"
        return f"torch.mul({inverse}, {self.text(node.args[1])})"

    def _write___rpow__(self, node: Node) -> str:
        return f"torch.pow({self.text(node.args[1])}, {self.text(node.args[0])})"

    def _write_stack(self, node: Node) -> str:
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        return f"torch.stack({self.text(node.args[0])}, {dim})"

    def _write_einsum(self, node: Node) -> str:
        operands = node.args[1:]
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = tuple(operands[0])
        return f"torch.einsum({literal(node.args[0])}, {self.text(list(operands))})"
