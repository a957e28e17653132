"""The operators that TorchScript's serialized code calls, as Python functions.

In: the name after `torch.` or `ops.prim.` in the code of an archive.  Out: a function of what the
code passes, which differs from PyTorch's Python functions in a few ways: element types are numbers,
the same name serves tensors, numbers, lists, dictionaries and text, and arguments that choose
memory come as None.  Only names listed here can be called: the code comes from a file.
Level: jit (12).
"""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Callable
from typing import Any

from rushlight import linalg
from rushlight.base import dtypes, formats
from rushlight.base.device import device as Device
from rushlight.base.dtypes import DType
from rushlight.jit.operator_names import METHODS, NAMES
from rushlight.jit.recurrent import RECURRENT
from rushlight.nn import functional as F
from rushlight.ops.spelling import PUBLIC
from rushlight.tensor.grad_mode import is_grad_enabled, set_grad_enabled
from rushlight.tensor.tensor import Tensor

# c10::ScalarType, by number.
_SCALAR_TYPES: tuple[DType | None, ...] = (
    dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64, dtypes.float16,
    dtypes.float32, dtypes.float64, dtypes.complex32, dtypes.complex64, dtypes.complex128,
    dtypes.bool_, None, None, None, dtypes.bfloat16,
)  # fmt: skip
NUMBER_OF = {dtype: number for number, dtype in enumerate(_SCALAR_TYPES) if dtype is not None}
_FORMATS = (
    formats.contiguous_format, formats.preserve_format, formats.channels_last,
    formats.channels_last_3d,
)  # fmt: skip
# Keywords that say where a new tensor lies: None means the default.
_PLACES = ("layout", "device", "pin_memory", "memory_format", "requires_grad", "generator", "out")


def dtype_of(number: Any) -> Any:
    """The dtype that a number stands for; other values as they are.

    Raises: RuntimeError for element types that rushlight does not have.
    """
    if type(number) is not int:
        return number
    found = _SCALAR_TYPES[number] if 0 <= number < len(_SCALAR_TYPES) else None
    if found is None:
        raise RuntimeError(f"TorchScript: element type number {number} is not supported")
    return found


def _keywords(given: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in given.items():
        if name == "dtype":
            if value is not None:
                kept[name] = dtype_of(value)
        elif name in ("layout", "pin_memory"):
            continue
        elif name == "memory_format":
            if value is not None:
                kept[name] = _FORMATS[value] if type(value) is int else value
        elif not (name in _PLACES and value is None):
            kept[name] = value
    return kept


# ---- numbers and containers ----------------------------------------------------------------------


def _either(name: str, of_numbers: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors, or of numbers and other values where no operand is a tensor."""
    of_tensors = _plain(name)

    def call(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            if isinstance(value, Tensor):
                return of_tensors(*args, **kwargs)
        return of_numbers(*args, **kwargs)

    return call


def _div(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return x / y
    return math.trunc(x / y) if rounding_mode == "trunc" else x // y


def _pow(x: Any, y: Any) -> Any:
    found = x**y
    return float(found) if isinstance(x, int) and isinstance(y, int) else found


def _round(x: Any) -> Any:
    return float(round(x))


def _slice(x: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(x, Tensor):
        return _tensor_slice(x, *args, **kwargs)
    bounds = [*args, *[None, None, 1][len(args) :]]
    return x[bounds[0] : bounds[1] : bounds[2]]


def _tensor_slice(
    x: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    index = [slice(None)] * (dim % x.dim())
    begin = None if start is None else int(start)
    # The largest integer stands for the end.
    last = None if end is None or int(end) >= 2**63 - 1 else int(end)
    return x[(*index, slice(begin, last, int(step)))]


def _size(x: Any, dim: int | None = None) -> Any:
    return list(x.shape) if dim is None else x.shape[dim]


def _index(x: Any, indices: list) -> Any:
    return x[tuple(slice(None) if i is None else i for i in indices)]


def _index_put(x: Tensor, indices: list, values: Any, accumulate: bool = False, *rest: Any) -> Any:
    whole = [i for i in indices if i is not None]
    if len(whole) == len(indices):
        return x.index_put_(tuple(whole), values, accumulate)
    if accumulate:
        raise NotImplementedError("TorchScript: index_put_ that adds needs an index for each axis")
    x[tuple(slice(None) if i is None else i for i in indices)] = values
    return x


def _format(template: str, *values: Any) -> str:
    pieces = template.split("{}")
    if len(pieces) - 1 > len(values):
        raise RuntimeError(f"Too few arguments for format string: {template}")
    text = pieces[0]
    for piece, value in zip(pieces[1:], values):
        text += text_of(value) + piece
    return text


def text_of(value: Any) -> str:
    """A value as TorchScript writes it into text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return f"{int(value)}."
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(text_of, value)) + ("," if len(value) == 1 else "") + ")"
    return str(value)


def _append(items: list, value: Any) -> list:
    items.append(value)
    return items


def _set_item(container: Any, key: Any, value: Any) -> Any:
    container[key] = value
    return container


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, dict) else list(value)


def _sort(items: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(items, Tensor):
        return items.sort(*args, **kwargs)
    items.sort(reverse=bool(args[0]) if args else False)
    return None


def _list(value: Any) -> list:
    return list(value)


def _method(name: str, kinds: tuple[type, ...]) -> Callable[..., Any]:
    """A method of Python's lists, dictionaries or text; None where Python gives none."""

    def call(owner: Any, *args: Any) -> Any:
        if type(owner) not in kinds:
            raise TypeError(f"TorchScript: {name} of a {type(owner).__name__} is not supported")
        found = getattr(owner, name)(*args)
        return list(found) if name in ("keys", "values", "items", "splitlines") else found

    return call


def _get(owner: dict, key: Any, default: Any = None) -> Any:
    return owner.get(key, default)


def _values(owner: Any) -> Any:
    return list(owner.values()) if isinstance(owner, dict) else owner.values()


def _split(value: Any, *args: Any, **named: Any) -> Any:
    if isinstance(value, str):
        return value.split(*args)
    return list(value.split(*args, **named))


def _index_of(owner: Any, *args: Any) -> Any:
    return _index(owner, *args) if isinstance(owner, Tensor) else owner.index(*args)


def _contains(container: Any, value: Any) -> bool:
    return value in container


def _length(value: Any) -> int:
    return len(value)


def _item(container: Any, index: Any) -> Any:
    return container[index]


def _range_length(low: int, high: int, step: int) -> int:
    return len(range(low, high, step))


def _derive_index(number: int, start: int, step: int) -> int:
    return start + number * step


# ---- tensors -------------------------------------------------------------------------------------


def _to(x: Any, *args: Any, **kwargs: Any) -> Any:
    rest = [a for a in args if a is not None]
    if not isinstance(x, Tensor):
        return x
    if rest and isinstance(rest[0], Tensor):
        return x.to(rest[0])
    target: dict[str, Any] = {}
    for value in rest:
        if type(value) is int and not isinstance(value, bool):
            target.setdefault("dtype", dtype_of(value))
        elif isinstance(value, (Device, str)):
            target["device"] = value
    named = _keywords({k: v for k, v in kwargs.items() if k in ("dtype", "device")})
    return x.to(**{**target, **named}) if target or named else x


def _with_dtype_third(function: Callable) -> Callable:
    def call(x: Tensor, dim: int, dtype: Any = None, **kwargs: Any) -> Any:
        return function(x, dim, dtype=dtype_of(dtype), **_keywords(kwargs))

    return call


def _batch_norm(
    x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float,
    eps: float, fast: bool = True,
) -> Tensor:  # fmt: skip
    return F.batch_norm(x, mean, var, weight, bias, training, momentum, eps)


def _instance_norm(
    x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, use_input_stats: bool,
    momentum: float, eps: float, fast: bool = True,
) -> Tensor:  # fmt: skip
    return F.instance_norm(x, mean, var, weight, bias, use_input_stats, momentum, eps)


def _layer_norm(
    x: Tensor, shape: list, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    fast: bool = True,
) -> Tensor:  # fmt: skip
    return F.layer_norm(x, shape, weight, bias, eps)


def _group_norm(
    x: Tensor, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    fast: bool = True,
) -> Tensor:  # fmt: skip
    return F.group_norm(x, groups, weight, bias, eps)


def _convolution(
    x: Tensor, weight: Tensor, bias: Any, stride: list, padding: list, dilation: list,
    transposed: bool, output_padding: list, groups: int, *switches: bool,
) -> Tensor:  # fmt: skip
    axes = weight.dim() - 2
    if transposed:
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
        return function(x, weight, bias, stride, padding, output_padding, groups, dilation)
    function = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return function(x, weight, bias, stride, padding, dilation, groups)


def _padded(mode: str) -> Callable:
    def call(x: Tensor, pad: list, value: Any = None) -> Tensor:
        return F.pad(x, pad, mode, value)

    return call


def _interpolate(mode: str, aligned: bool) -> Callable:
    def call(x: Tensor, size: Any, *args: Any) -> Tensor:
        rest = list(args)
        align = rest.pop(0) if aligned else None
        scales = next((s for s in rest if s is not None), None)
        if isinstance(scales, (int, float)):
            scales = [s for s in rest if s is not None]
        chosen = None if size is None else list(size)
        if chosen is not None:
            scales = None
        return F.interpolate(x, chosen, scales, mode, align)

    return call


def _python_interpolate(
    x: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute: Any = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    return F.interpolate(x, size, scale_factor, mode, align_corners, recompute, antialias)


def _dropout(name: str) -> Callable:
    function = getattr(F, name.rstrip("_"))

    def call(x: Tensor, p: float, train: bool) -> Tensor:
        return function(x, p, train, name.endswith("_"))

    return call


_WEIGHTED = (
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "nll_loss", "cross_entropy",
)  # fmt: skip
# What follows the reduction.
_LOSS_OPTIONS = {
    "nll_loss": ("ignore_index",), "cross_entropy": ("ignore_index", "label_smoothing"),
    "huber_loss": ("delta",), "smooth_l1_loss": ("beta",),
}  # fmt: skip


def _loss(name: str) -> Callable:
    """A loss whose reduction is a number."""
    function = getattr(F, name)

    def call(x: Tensor, target: Tensor, *args: Any, **named: Any) -> Tensor:
        weight, reduction, rest = None, 1, list(args)
        positive = rest.pop(1) if name == "binary_cross_entropy_with_logits" and rest[1:] else None
        if name in _WEIGHTED and rest:
            weight = rest.pop(0)
        if rest:
            reduction = rest.pop(0)
        options: dict[str, Any] = {"reduction": ("none", "mean", "sum")[reduction]}
        if weight is not None:
            options["weight"] = weight
        if positive is not None:
            options["pos_weight"] = positive
        options.update(zip(_LOSS_OPTIONS.get(name, ()), rest))
        return function(x, target, **options, **named)

    return call


def _with_reduction(name: str) -> Callable:
    """A loss whose last argument is its reduction's number."""
    function = getattr(F, name)
    names = ("p", "margin", "weight") if name == "multi_margin_loss" else ()

    def call(x: Tensor, target: Tensor, *args: Any) -> Tensor:
        *given, reduction = args or (1,)
        options = dict(zip(names, given))
        return function(x, target, reduction=("none", "mean", "sum")[reduction], **options)

    return call


def _with_places(name: str) -> Callable:
    function = getattr(F, name)

    def call(x: Tensor, size: Any) -> tuple:
        return tuple(function(x, size, return_indices=True))

    return call


def _embedding_bag(
    weight: Tensor, x: Tensor, offsets: Any, scale: bool = False, mode: int = 0,
    sparse: bool = False, weights: Any = None, last: bool = False, padding: int | None = None,
) -> tuple:  # fmt: skip
    made = F.embedding_bag(
        x, weight, offsets, None, 2.0, scale, ("sum", "mean", "max")[mode], sparse, weights, last,
        padding,
    )  # fmt: skip
    # What follows is what PyTorch keeps for the gradient.
    return made, None, None, None


def _tensor(data: Any, **kwargs: Any) -> Tensor:
    return PUBLIC["tensor"](data, **_keywords(kwargs))  # type: ignore[operator]


def _unflatten(x: Tensor, dim: int, sizes: Any) -> Tensor:
    return x.unflatten(dim, sizes)


def _raise(message: str, kind: str | None = None) -> None:
    """Raise what the program's own `raise` raises."""
    name = (kind or "").rpartition(".")[2]
    if not kind and ": " in message:
        name, _, message = message.partition(": ")
    raise _ERRORS.get(name, RuntimeError)(message)


_ERRORS = {
    kind.__name__: kind
    for kind in (
        ArithmeticError, AssertionError, AttributeError, IndexError, KeyError, LookupError,
        NotImplementedError, OverflowError, RuntimeError, TypeError, ValueError, ZeroDivisionError,
    )
}  # fmt: skip


def _warn(message: str, stacklevel: int = 2) -> None:
    warnings.warn(message, stacklevel=3)


def _meshgrid(tensors: list, indexing: str = "ij") -> list:
    return list(PUBLIC["meshgrid"](*tensors, indexing=indexing))  # type: ignore[operator]


def _einsum(equation: str, tensors: list, path: Any = None) -> Tensor:
    return PUBLIC["einsum"](equation, *tensors)  # type: ignore[operator]


def _all_none_dropped(function: Callable) -> Callable:
    """A function whose trailing None stands for its default."""

    def call(*args: Any, **kwargs: Any) -> Any:
        given = list(args)
        while given and given[-1] is None:
            given.pop()
        return function(*given, **_keywords(kwargs))

    return call


def _plain(name: str) -> Callable[..., Any]:
    """The function or method of this name, by PyTorch's order of arguments."""
    function = PUBLIC.get(name)
    if function is None:
        function = vars(Tensor).get(name) or getattr(F, name, None)
    if not callable(function):
        raise RuntimeError(f"TorchScript: operator aten::{name} is not supported by rushlight")
    chosen: Callable[..., Any] = function

    def call(*args: Any, **kwargs: Any) -> Any:
        return chosen(*args, **_keywords(kwargs)) if kwargs else chosen(*args)

    return call


def _of_property(name: str) -> Callable[[Any], Any]:
    return lambda x: getattr(x, name)


_NUMERIC: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": _div, "pow": _pow,
    "neg": operator.neg, "remainder": operator.mod, "fmod": math.fmod, "eq": operator.eq,
    "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "log2": math.log2, "log10": math.log10,
    "log1p": math.log1p, "sin": math.sin, "cos": math.cos, "tan": math.tan, "atan2": math.atan2,
    "tanh": math.tanh, "floor": math.floor, "ceil": math.ceil, "round": _round, "abs": abs,
    "__and__": operator.and_, "__or__": operator.or_, "__xor__": operator.xor,
    "bitwise_not": operator.invert, "numel": len, "isnan": math.isnan, "isinf": math.isinf,
    "isfinite": math.isfinite, "floor_divide": operator.floordiv, "all": all, "any": any,
    "sum": sum,
}  # fmt: skip

_SPECIAL: dict[str, Callable[..., Any]] = {
    **{name: _either(name, function) for name, function in _NUMERIC.items()},
    "floordiv": operator.floordiv, "__lshift__": operator.lshift, "__rshift__": operator.rshift,
    "__not__": operator.not_, "__is__": operator.is_, "__isnot__": operator.is_not,
    "__contains__": _contains, "__getitem__": _item, "_set_item": _set_item, "len": _length,
    "append": _append, "slice": _slice, "size": _size, "format": _format,
    "percentFormat": operator.mod, "index": _index_of,
    "copy": _copy, "list": _list, "dict": dict, "sort": _sort, "sorted": sorted, "get": _get,
    "values": _values, "split": _split, "str": text_of, "ord": ord, "chr": chr, "hex": hex,
    "Delete": operator.delitem, "__range_length": _range_length, "__derive_index": _derive_index,
    "Int": int, "Float": float, "Bool": bool, "IntImplicit": int, "FloatImplicit": float,
    "ScalarImplicit": lambda x: x.item(), "warn": _warn, "device": Device, "degrees": math.degrees,
    "radians": math.radians, "gcd": _either("gcd", math.gcd),
    **{name: _method(name, (list, dict)) for name in ("clear", "pop")},
    **{name: _method(name, (list,)) for name in ("extend", "insert", "remove", "reverse")},
    **{name: _method(name, (list, str)) for name in ("count",)},
    **{name: _method(name, (dict,)) for name in ("keys", "items", "popitem", "update",
                                                 "setdefault")},
    **{name: _method(name, (str,)) for name in METHODS},
    "to": _to, "softmax": _with_dtype_third(Tensor.softmax),
    "log_softmax": _with_dtype_third(Tensor.log_softmax), "batch_norm": _batch_norm,
    "instance_norm": _instance_norm, "layer_norm": _layer_norm, "group_norm": _group_norm,
    "_convolution": _convolution, "convolution": _convolution,
    "constant_pad_nd": lambda x, pad, value=0: F.pad(x, pad, "constant", value),
    **{f"reflection_pad{n}d": _padded("reflect") for n in (1, 2, 3)},
    **{f"replication_pad{n}d": _padded("replicate") for n in (1, 2, 3)},
    "upsample_nearest1d": _interpolate("nearest", False),
    "upsample_nearest2d": _interpolate("nearest", False),
    "upsample_nearest3d": _interpolate("nearest", False),
    "upsample_linear1d": _interpolate("linear", True),
    "upsample_bilinear2d": _interpolate("bilinear", True),
    "upsample_trilinear3d": _interpolate("trilinear", True),
    "upsample_bicubic2d": _interpolate("bicubic", True),
    "__interpolate": _python_interpolate,
    **{name: _dropout(name) for name in ("dropout", "dropout_", "alpha_dropout",
                                         "feature_alpha_dropout")},
    "feature_dropout": lambda x, p, train: F.dropout2d(x, p, train),
    **{name: _loss(name) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "nll_loss",
                                      "binary_cross_entropy", "kl_div", "huber_loss",
                                      "binary_cross_entropy_with_logits")},
    "nll_loss_nd": _loss("nll_loss"), "nll_loss2d": _loss("nll_loss"),
    "cross_entropy_loss": _loss("cross_entropy"),
    "tensor": _tensor, "index_put_": _index_put, "meshgrid": _meshgrid, "einsum": _einsum,
    "im2col": lambda x, *sizes: F.unfold(x, *sizes), "col2im": lambda x, *sizes: F.fold(x, *sizes),
    **{f"adaptive_max_pool{n}d": _with_places(f"adaptive_max_pool{n}d") for n in (1, 2, 3)},
    "embedding_bag": _embedding_bag,
    **{name: _with_reduction(name) for name in ("multilabel_margin_loss", "multi_margin_loss",
                                                "soft_margin_loss")},
    "unflatten": _unflatten, "numpy_T": _of_property("T"), "mT": _of_property("mT"),
    "data": _of_property("data"), "silu_": lambda x: x.copy_(F.silu(x)),
    "hardswish_": lambda x: x.copy_(F.hardswish(x)), "mish_": lambda x: x.copy_(F.mish(x)),
    "hardsigmoid_": lambda x: x.copy_(F.hardsigmoid(x)),
    "relu6_": lambda x: x.copy_(F.relu6(x)), "gelu_": lambda x, a="none": x.copy_(F.gelu(x, a)),
    "log_sigmoid": F.logsigmoid, "frobenius_norm": lambda x, dim=None, keepdim=False: x.norm(
        "fro", dim or None, keepdim),
    "is_grad_enabled": is_grad_enabled, "set_grad_enabled": set_grad_enabled,
    "zero": lambda x: x * 0, "alias": lambda x: x,
    "repeat": _plain("repeat"), "is_scripting": lambda: True,
    **RECURRENT,
}  # fmt: skip

_LINALG = {
    f"linalg_{name}": name
    for name in ("cholesky", "cross", "det", "eigh", "inv", "matrix_norm", "norm", "pinv", "qr",
                 "slogdet", "solve", "svd", "vector_norm")
}  # fmt: skip

PRIM: dict[str, Callable[..., Any]] = {
    "dtype": lambda x: NUMBER_OF[x.dtype], "device": _of_property("device"),
    "shape": lambda x: list(x.shape), "data": _of_property("data"),
    "requires_grad": _of_property("requires_grad"), "grad": _of_property("grad"),
    "is_cuda": lambda x: False, "is_cpu": lambda x: True, "is_sparse": _of_property("is_sparse"),
    "is_quantized": lambda x: False, "is_meta": _of_property("is_meta"),
    "is_mkldnn": lambda x: False, "is_nested": lambda x: False, "is_mps": lambda x: False,
    "is_xpu": lambda x: False, "ndim": _of_property("ndim"), "layout": lambda x: 0,
    "itemsize": _of_property("itemsize"), "NumToTensor": lambda x: PUBLIC["tensor"](x),  # type: ignore
    "RaiseException": _raise, "min": lambda *x: min(*x), "max": lambda *x: max(*x), "abs": abs,
    "unchecked_unwrap_optional": lambda x: x, "unchecked_cast": lambda kind, x: x,
    "rangelist": lambda n: list(range(n)), "type": lambda device: device.type,
    "index": _of_property("index"), "Print": print, "tolist": lambda x: x.tolist(),
    "isinstance": isinstance, "StringIndex": operator.getitem, "TupleIndex": operator.getitem,
    "name": lambda x: None,
}  # fmt: skip


@functools.cache
def operator_named(name: str) -> Callable[..., Any]:
    """What `torch.<name>` calls.  Raises: RuntimeError for names that no archive may call."""
    special = _SPECIAL.get(name)
    if special is not None:
        return special
    if name in _LINALG:
        return _all_none_dropped(getattr(linalg, _LINALG[name]))
    if name in NAMES:
        return _plain(name)
    raise RuntimeError(
        f"TorchScript: operator aten::{name} is not supported by rushlight; export the model anew "
        "with operations that are, or save its state_dict()"
    )


def primitive_named(name: str) -> Callable[..., Any]:
    """What `ops.prim.<name>` calls.  Raises: RuntimeError for names that are not known."""
    if name not in PRIM:
        raise RuntimeError(f"TorchScript: operator prim::{name} is not supported by rushlight")
    return PRIM[name]
