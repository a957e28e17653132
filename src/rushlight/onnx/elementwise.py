"""Rules of ONNX for elementwise functions, casts and comparisons.  Level: onnx (12)."""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import DType, bool_, int64
from rushlight.fx.node import Node
from rushlight.onnx.building import Builder, OnnxExporterError, dtype_of, element_type, rule

_UNARY = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log",
    "sqrt": "Sqrt", "abs": "Abs", "absolute": "Abs", "neg": "Neg", "negative": "Neg",
    "floor": "Floor", "ceil": "Ceil", "round": "Round", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "erf": "Erf",
    "sign": "Sign", "reciprocal": "Reciprocal", "logical_not": "Not", "isnan": "IsNaN",
    "hardswish": "HardSwish", "mish": "Mish", "softsign": "Softsign", "detach": "Identity",
    "clone": "Identity", "contiguous": "Identity", "alias": "Identity", "data": "Identity",
    "dropout1d": "Identity", "dropout2d": "Identity", "alpha_dropout": "Identity",
}  # fmt: skip


def _unary(kind: str) -> Any:
    def write(b: Builder, given: dict[str, Any], node: Node) -> str:
        return b.add(kind, b.name_of(given["input"]))

    return write


for _name, _kind in _UNARY.items():
    rule(_name)(_unary(_kind))

_BINARY = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max",
    "minimum": "Min", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "true_divide": "Div",
    "eq": "Equal", "lt": "Less", "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual",
    "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "bitwise_and": "And",
    "bitwise_or": "Or",
}  # fmt: skip
_COMPARISONS = ("eq", "lt", "gt", "le", "ge", "ne")
_LOGICAL = ("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or")


def operands(given: dict[str, Any]) -> list:
    """The two operands, whatever the function calls them."""
    values = list(given.values())
    return [given.get("input", values[0]), given.get("other", given.get("exponent", values[1]))]


def _common(node: Node, parts: list) -> DType:
    """The dtype that both operands are brought to."""
    found = [dtype_of(part) for part in parts if isinstance(part, Node)]
    wide = max(found, key=lambda d: (d.is_floating_point, d.itemsize, d.name != "bool"))
    if any(isinstance(part, float) for part in parts) and not wide.is_inexact:
        return node.meta["dtype"] if node.meta["dtype"].is_inexact else wide
    return wide


def _binary(name: str, kind: str) -> Any:
    def write(b: Builder, given: dict[str, Any], node: Node) -> str:
        parts = operands(given)
        if name in _COMPARISONS:
            dtype = _common(node, parts)
        elif name in _LOGICAL:
            dtype = bool_
        else:
            dtype = node.meta["dtype"]
        x, y = [b.name_of(part, dtype) for part in parts]
        alpha = given.get("alpha", 1)
        if alpha != 1:
            y = b.add("Mul", y, b.number(alpha, dtype))
        found = b.add(kind, x, y)
        mode = given.get("rounding_mode")
        if mode == "floor":
            return b.add("Floor", found) if dtype.is_inexact else found
        if mode is not None:
            raise OnnxExporterError(f"onnx.export: div with rounding_mode={mode!r} is not written")
        return found

    return write


for _name, _kind in _BINARY.items():
    rule(_name)(_binary(_name, _kind))


@rule("ne", "not_equal")
def _ne(b: Builder, given: dict[str, Any], node: Node) -> str:
    parts = operands(given)
    dtype = _common(node, parts)
    return b.add("Not", b.add("Equal", *[b.name_of(part, dtype) for part in parts]))


@rule("__rsub__", "rsub")
def _rsub(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, y = operands(given)
    return b.add("Sub", b.name_of(y, node.meta["dtype"]), b.name_of(x, node.meta["dtype"]))


@rule("__rtruediv__", "__rdiv__")
def _rdiv(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, y = operands(given)
    return b.add("Div", b.name_of(y, node.meta["dtype"]), b.name_of(x, node.meta["dtype"]))


@rule("__rpow__")
def _rpow(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, y = operands(given)
    return b.add("Pow", b.name_of(y, node.meta["dtype"]), b.name_of(x, node.meta["dtype"]))


@rule("remainder", "__mod__")
def _remainder(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, y = [b.name_of(part, node.meta["dtype"]) for part in operands(given)]
    if not node.meta["dtype"].is_inexact:
        return b.add("Mod", x, y)
    return b.add("Sub", x, b.add("Mul", y, b.add("Floor", b.add("Div", x, y))))


@rule("rsqrt")
def _rsqrt(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Reciprocal", b.add("Sqrt", b.name_of(given["input"])))


@rule("square")
def _square(b: Builder, given: dict[str, Any], node: Node) -> str:
    x = b.name_of(given["input"])
    return b.add("Mul", x, x)


@rule("log1p")
def _log1p(b: Builder, given: dict[str, Any], node: Node) -> str:
    one = b.number(1, node.meta["dtype"])
    return b.add("Log", b.add("Add", b.name_of(given["input"]), one))


@rule("where")
def _where(b: Builder, given: dict[str, Any], node: Node) -> str:
    dtype = node.meta["dtype"]
    choice = b.name_of(given["condition"], bool_)
    return b.add(
        "Where", choice, b.name_of(given["input"], dtype), b.name_of(given["other"], dtype)
    )


@rule("masked_fill")
def _masked_fill(b: Builder, given: dict[str, Any], node: Node) -> str:
    value = b.name_of(given["value"], node.meta["dtype"])
    return b.add("Where", b.name_of(given["mask"], bool_), value, b.name_of(given["input"]))


@rule("clamp", "clip", "hardtanh", "relu6", "clamp_min", "clamp_max")
def _clamp(b: Builder, given: dict[str, Any], node: Node) -> str:
    dtype = node.meta["dtype"]
    low = given.get("min", given.get("min_val"))
    high = given.get("max", given.get("max_val"))
    name = getattr(node.target, "__name__", "")
    if name.startswith("relu6"):
        low, high = 0, 6
    bounds = ["" if v is None else b.name_of(v, dtype) for v in (low, high)]
    return b.add("Clip", b.name_of(given["input"]), *bounds)


@rule("silu")
def _silu(b: Builder, given: dict[str, Any], node: Node) -> str:
    x = b.name_of(given["input"])
    return b.add("Mul", x, b.add("Sigmoid", x))


@rule("hardsigmoid")
def _hardsigmoid(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("HardSigmoid", b.name_of(given["input"]), alpha=1 / 6, beta=0.5)


@rule("gelu")
def _gelu(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, dtype = b.name_of(given["input"]), node.meta["dtype"]
    half, one = b.number(0.5, dtype), b.number(1, dtype)
    if given.get("approximate", "none") == "none":
        inner = b.add("Erf", b.add("Mul", x, b.number(math.sqrt(0.5), dtype)))
    else:
        cube = b.add("Mul", x, b.add("Mul", x, x))
        inside = b.add("Add", x, b.add("Mul", cube, b.number(0.044715, dtype)))
        inner = b.add("Tanh", b.add("Mul", inside, b.number(math.sqrt(2 / math.pi), dtype)))
    return b.add("Mul", b.add("Mul", x, half), b.add("Add", inner, one))


@rule("elu", "celu")
def _elu(b: Builder, given: dict[str, Any], node: Node) -> str:
    kind = "Celu" if "celu" in getattr(node.target, "__name__", "") else "Elu"
    return b.add(kind, b.name_of(given["input"]), alpha=float(given["alpha"]))


@rule("selu")
def _selu(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Selu", b.name_of(given["input"]))


@rule("leaky_relu")
def _leaky(b: Builder, given: dict[str, Any], node: Node) -> str:
    slope = float(given["negative_slope"])
    return b.add("LeakyRelu", b.name_of(given["input"]), alpha=slope)


@rule("softplus")
def _softplus(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, dtype, beta = b.name_of(given["input"]), node.meta["dtype"], given["beta"]
    if beta == 1:
        return b.add("Softplus", x)
    scaled = b.add("Softplus", b.add("Mul", x, b.number(beta, dtype)))
    return b.add("Div", scaled, b.number(beta, dtype))


@rule("logsigmoid")
def _logsigmoid(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Neg", b.add("Softplus", b.add("Neg", b.name_of(given["input"]))))


@rule("prelu")
def _prelu(b: Builder, given: dict[str, Any], node: Node) -> str:
    slope, rank = b.name_of(given["weight"]), len(node.meta["shape"])
    if rank > 1:
        slope = b.add("Reshape", slope, b.ints([-1, *[1] * (rank - 2)]))
    return b.add("PRelu", b.name_of(given["input"]), slope)


@rule("glu")
def _glu(b: Builder, given: dict[str, Any], node: Node) -> str:
    first, gate = b.add(
        "Split", b.name_of(given["input"]), outputs=2, axis=given["dim"], num_outputs=2
    )
    return b.add("Mul", first, b.add("Sigmoid", gate))


@rule("dropout", "feature_dropout", "dropout3d")
def _dropout(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Identity", b.name_of(given["input"]))


@rule("to", "float", "double", "half", "long", "int", "bool", "type", "type_as", "short", "char",
      "byte")  # fmt: skip
def _to(b: Builder, given: dict[str, Any], node: Node) -> str:
    source = given.get("input", given.get("self"))
    if dtype_of(source) is node.meta["dtype"]:
        return b.add("Identity", b.name_of(source))
    return b.add("Cast", b.name_of(source), to=element_type(node.meta["dtype"]))


@rule("cumsum")
def _cumsum(b: Builder, given: dict[str, Any], node: Node) -> str:
    axis = b.number(given["dim"], int64)
    return b.add("CumSum", b.name_of(given["input"], node.meta["dtype"]), axis)
