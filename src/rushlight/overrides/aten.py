"""PyTorch's operators below its functions: which of them a call of a function is.

In: a function's name and the arguments of a call.  Out: the operator, its overload and its
arguments; or a composition of other functions, which are asked in their turn; or nothing, where the
function is no operator and is followed into.  Source: torch.ops.aten.  Level 12.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from rushlight.ops.registry import OperatorOverload, namespace
from rushlight.tensor.tensor import Tensor

Call = tuple[OperatorOverload, tuple, dict]
aten = namespace("aten")


def operator(name: str, overload: str = "default") -> OperatorOverload:
    """`aten.<name>.<overload>`."""
    return getattr(getattr(aten, name), overload)


def _sizes(args: tuple) -> tuple:
    """`x.view(2, 3)` as `view(x, [2, 3])`."""
    x, *rest = args
    if len(rest) == 1 and not isinstance(rest[0], int):
        return (x, list(rest[0]) if isinstance(rest[0], (tuple, list)) else rest[0])
    return (x, list(rest))


def _bound(args: tuple, kwargs: dict, *names: str) -> tuple[tuple, dict]:
    """Keywords that are positions of the operator's, as such."""
    found, rest = list(args), dict(kwargs)
    for name in names[len(args) - 1 :] if args else ():
        if name not in rest:
            break
        found.append(rest.pop(name))
    return tuple(found), rest


# ---- which overload ------------------------------------------------------------------------------


def _wrapped(name: str) -> Callable[..., Call]:
    # Arithmetic takes numbers as tensors.
    def choose(*args: Any, **kwargs: Any) -> Call:
        args, kwargs = _bound(args, kwargs, "other")
        return operator(name, "Tensor"), args, kwargs

    return choose


def _by_second(name: str, prefix: str = "") -> Callable[..., Call]:
    def choose(*args: Any, **kwargs: Any) -> Call:
        args, kwargs = _bound(args, kwargs, "other", "value")
        kind = "Tensor" if isinstance(args[1], Tensor) else "Scalar"
        return operator(name, prefix + kind), args, kwargs

    return choose


def _pow(*args: Any, **kwargs: Any) -> Call:
    args, kwargs = _bound(args, kwargs, "exponent")
    kinds = ["Tensor" if isinstance(x, Tensor) else "Scalar" for x in args[:2]]
    name = "Scalar" if kinds[0] == "Scalar" else "_".join(kinds)
    return operator("pow", name), args, kwargs


def _plain(name: str, overload: str = "default") -> Callable[..., Call]:
    def choose(*args: Any, inplace: bool = False, **kwargs: Any) -> Call:
        return operator(f"{name}_" if inplace else name, overload), args, kwargs

    return choose


def _shaped(name: str) -> Callable[..., Call]:
    def choose(*args: Any, **kwargs: Any) -> Call:
        if kwargs:
            args = (*args, *kwargs.values())
        return operator(name), _sizes(args), {}

    return choose


def _reduction(name: str, with_dims: str, several: bool = True) -> Callable[..., Call]:
    def choose(*args: Any, **kwargs: Any) -> Call:
        kwargs = {("dim" if key == "axis" else key): value for key, value in kwargs.items()}
        args, kwargs = _bound(args, kwargs, "dim", "keepdim")
        if len(args) == 1 or (args[1] is None and len(args) == 2):
            return operator(name), args[:1], kwargs
        dims = args[1]
        if several and isinstance(dims, int):
            dims = [dims]
        return operator(name, with_dims), (args[0], dims, *args[2:]), kwargs

    return choose


def _extremum(name: str, of_two: str) -> Callable[..., Call]:
    def choose(*args: Any, **kwargs: Any) -> Call:
        args, kwargs = _bound(args, kwargs, "dim", "keepdim")
        if len(args) == 1:
            return operator(name), args, kwargs
        if isinstance(args[1], Tensor):
            return operator(of_two), args, kwargs
        return operator(name, "dim"), args, kwargs

    return choose


def _spread(*args: Any, **kwargs: Any) -> Call:
    args, kwargs = _bound(args, kwargs, "dim")
    correction = kwargs.pop("correction", None)
    if "unbiased" in kwargs:
        correction = int(kwargs.pop("unbiased"))
    dims = args[1] if len(args) > 1 else None
    dims = [dims] if isinstance(dims, int) else dims
    return operator("var", "correction"), (args[0], dims), {"correction": correction, **kwargs}


def _softmax(name: str) -> Callable[..., Call]:
    def choose(input: Any, dim: Any = -1, *rest: Any, dtype: Any = None, **ignored: Any) -> Call:
        if dtype is not None:
            input = input.to(dtype)
        return operator(name), (input, dim, False), {}

    return choose


def _split(input: Any, split_size: Any, dim: int = 0) -> Call:
    if isinstance(split_size, int):
        return operator("split", "Tensor"), (input, split_size, dim), {}
    return operator("split_with_sizes"), (input, list(split_size), dim), {}


def _chunk(input: Any, chunks: int, dim: int = 0) -> Call:
    return _split(input, max(1, math.ceil(input.shape[dim] / chunks)), dim)


def _sort(input: Any, dim: int = -1, descending: bool = False, *, stable: Any = None) -> Call:
    if stable is None:
        return operator("sort"), (input, dim, descending), {}
    options = {"stable": stable, "dim": dim, "descending": descending}
    return operator("sort", "stable"), (input,), options


def _squeeze(*args: Any, **kwargs: Any) -> Call:
    args = (*args, *kwargs.values())
    overload = "default" if len(args) == 1 else "dim" if isinstance(args[1], int) else "dims"
    return operator("squeeze", overload), args, {}


def _convolution(axes: int) -> Callable[..., Any]:
    def choose(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Any:  # fmt: skip
        if isinstance(padding, str) or input.dim() != axes + 2:
            return None
        stride, padding, dilation = (
            [value] * axes if isinstance(value, int) else list(value)
            for value in (stride, padding, dilation)
        )
        rest = (stride, padding, dilation, False, [0] * axes, groups)
        return operator("convolution"), (input, weight, bias, *rest), {}

    return choose


def _copied(input: Any, dtype: DType) -> Any:
    if input.dtype is dtype:
        return Done(input)
    return operator("_to_copy"), (input,), {"dtype": dtype}


def _to(input: Any, *args: Any, **kwargs: Any) -> Any:
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    copies = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    for value in args:
        if isinstance(value, DType):
            kwargs["dtype"] = value
        elif isinstance(value, Tensor):
            kwargs["dtype"] = value.dtype
        elif not isinstance(value, bool):
            kwargs["device"] = value
    if "device" in kwargs and str(kwargs["device"]).partition(":")[0] == input.device.type:
        del kwargs["device"]
    if kwargs.get("dtype") is input.dtype:
        del kwargs["dtype"]
    if not kwargs and not copies:
        return Done(input)
    return operator("_to_copy"), (input,), kwargs


class _Answers:
    """ask: call an operator as if the program had; set by `dispatch.py`."""

    ask: Callable[..., Any]


answers = _Answers()


class Done:
    """What a composition of other functions gave."""

    def __init__(self, value: Any) -> None:
        self.value = value


# ---- compositions --------------------------------------------------------------------------------


def _matmul(input: Any, other: Any) -> Any:
    if input.dim() == 1 and other.dim() == 1:
        return operator("dot"), (input, other), {}
    if input.dim() == 2 and other.dim() == 1:
        return operator("mv"), (input, other), {}
    if input.dim() == 2 and other.dim() == 2:
        return operator("mm"), (input, other), {}
    if input.dim() > 2 and other.dim() <= 2:
        found = input.reshape(-1, input.shape[-1]).matmul(other)
        sizes = [*input.shape[:-1], *other.shape[1:]]
        return operator("_unsafe_view"), (found, sizes), {}
    if input.dim() == other.dim() == 3 and input.shape[0] == other.shape[0]:
        return operator("bmm"), (input, other), {}
    return None


def _linear(input: Any, weight: Any, bias: Any = None) -> Any:
    if bias is None:
        return Done(input.matmul(weight.t()))
    if input.dim() == 1:
        return Done(input.matmul(weight.t()).add(bias))
    rows = input if input.dim() == 2 else input.reshape(-1, input.shape[-1])
    found = bias.addmm(rows, weight.t())
    if input.dim() == 2:
        return Done(found)
    return Done(found.reshape(*input.shape[:-1], weight.shape[0]))


def _transposed(x: Any) -> Any:
    return operator("t"), (x,), {}


def _last_two(x: Any) -> Any:
    return operator("transpose", "int"), (x, -2, -1), {}


def _reshape(*args: Any, **kwargs: Any) -> Any:
    x, sizes = _sizes((*args, *kwargs.values()))
    if list(x.shape) == list(sizes):
        return Done(x)
    if not x.is_contiguous():
        x = x.clone()
    return operator("view"), (x, sizes), {}


def _flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    shape = list(input.shape)
    rank = max(len(shape), 1)
    first, last = start_dim % rank, end_dim % rank
    if not shape:
        return Done(input.reshape(1))
    return Done(
        input.reshape([*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]])
    )


def _itself(x: Any, *args: Any, **kwargs: Any) -> Any:
    return Done(x)


def _contiguous(x: Any, *args: Any, **kwargs: Any) -> Any:
    return Done(x) if x.is_contiguous() else (operator("clone"), (x,), kwargs)


def _getitem(x: Any, index: Any) -> Any:
    parts = list(index) if isinstance(index, tuple) else [index]
    used = sum(1 for p in parts if p is not None and p is not Ellipsis)
    if any(isinstance(p, (bool, list)) for p in parts):
        return None
    if Ellipsis in [p for p in parts if not isinstance(p, Tensor)]:
        place = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts[place : place + 1] = [slice(None)] * (x.dim() - used)
    axis = 0
    found = x
    tensors: list[Any] = []
    for part in parts:
        if part is None:
            found = found.unsqueeze(axis)
            tensors.append(None)
            axis += 1
        elif isinstance(part, int):
            found = found.select(axis, part)
        elif isinstance(part, slice):
            if part != slice(None):
                stop = part.stop if part.stop is not None else 2**63 - 1
                steps = () if part.step is None else (part.step,)
                start = part.start if part.start is not None else 0
                found = answers.ask(operator("slice", "Tensor"), (found, axis, start, stop, *steps))
            tensors.append(None)
            axis += 1
        elif isinstance(part, Tensor):
            tensors.append(part)
            axis += 1
        else:
            return None
    if any(part is not None for part in tensors):
        while tensors and tensors[-1] is None:
            tensors.pop()
        found = answers.ask(operator("index", "Tensor"), (found, tensors))
    elif found is x:
        return operator("alias"), (x,), {}
    return Done(found)


def _kind(value: Any) -> str:
    return "Tensor" if isinstance(value, Tensor) else "Scalar"


def _masked(name: str) -> Callable[..., Call]:
    def choose(input: Any, mask: Any, value: Any) -> Call:
        return operator(name, _kind(value)), (input, mask, value), {}

    return choose


def _layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    shape = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
    found = answers.ask(operator("native_layer_norm"), (input, shape, weight, bias, eps))
    return Done(found[0])


def _dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    if not training or p == 0:
        return Done(input)
    return None


def _numbers(*args: Any, **kwargs: Any) -> Any:
    return operator("_local_scalar_dense"), args, kwargs


_SAME = """
abs neg exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan sinh
cosh tanh asinh acosh atanh sigmoid relu erf erfc erfinv floor ceil round trunc sign isnan isinf
lgamma digamma clone detach alias mm bmm addmm addbmm baddbmm addmv mv dot t cumsum cumprod triu
tril flip roll gelu silu leaky_relu elu hardtanh hardswish hardsigmoid softplus mse_loss embedding
topk argmax argmin gather index_select index_add index_copy cat stack unsqueeze bernoulli zeros_like
ones_like empty_like full_like rand_like randn_like lerp maximum minimum logical_and logical_or
logical_not logical_xor bitwise_not atan2 addcmul addcdiv copy_ zero_ relu_ sigmoid_ tanh_ exp_
sqrt_ neg_ abs_ clamp clamp_min clamp_max clamp_ scatter_add zeros ones full rand randn randperm
eye scalar_tensor normal_ uniform_ bernoulli_ nonzero masked_select masked_scatter new_tensor
cholesky kthvalue mode median nanmedian count_nonzero diagonal repeat constant_pad_nd grid_sampler
native_layer_norm native_batch_norm native_group_norm convolution
""".split()

RULES: dict[str, Callable[..., Any]] = {name: _plain(name) for name in _SAME}
RULES |= {name: _wrapped(name) for name in ("add", "sub", "mul", "div")}
RULES |= {f"{name}_": _wrapped(f"{name}_") for name in ("add", "sub", "mul", "div")}
RULES |= {
    name: _by_second(name)
    for name in (
        "eq", "ne", "lt", "le", "gt", "ge", "remainder", "fmod", "bitwise_and", "bitwise_or",
        "bitwise_xor", "fill_",
    )
}  # fmt: skip
RULES |= {
    "__rsub__": lambda x, y: (operator("rsub", _kind(y)), (x, y), {}),
    "__rtruediv__": lambda x, y: Done(x.reciprocal().mul(y)),
    "__rpow__": lambda x, y: (operator("pow", "Scalar"), (y, x), {}),
    "__getitem__": _getitem,
    "pow": _pow,
    "square": lambda x: (operator("pow", "Tensor_Scalar"), (x, 2), {}),
    "sum": _reduction("sum", "dim_IntList"),
    "mean": _reduction("mean", "dim"),
    "amax": _reduction("amax", "default"),
    "amin": _reduction("amin", "default"),
    "prod": _reduction("prod", "dim_int", several=False),
    "any": _reduction("any", "dim", several=False),
    "all": _reduction("all", "dim", several=False),
    "max": _extremum("max", "maximum"),
    "min": _extremum("min", "minimum"),
    "var": _spread,
    "softmax": _softmax("_softmax"),
    "log_softmax": _softmax("_log_softmax"),
    "split": _split,
    "chunk": _chunk,
    "sort": _sort,
    "squeeze": _squeeze,
    "transpose": _plain("transpose", "int"),
    "select": _plain("select", "int"),
    "unbind": _plain("unbind", "int"),
    "where": _plain("where", "self"),
    "masked_fill": _masked("masked_fill"),
    "masked_fill_": _masked("masked_fill_"),
    "view": _shaped("view"),
    "permute": _shaped("permute"),
    "expand": _shaped("expand"),
    "new_zeros": _shaped("new_zeros"),
    "new_ones": _shaped("new_ones"),
    "new_empty": _shaped("new_empty"),
    "view_as": lambda x, y: Done(x.view(y.shape)),
    "expand_as": lambda x, y: Done(x.expand(y.shape)),
    "reshape": _reshape,
    "flatten": _flatten,
    "contiguous": _contiguous,
    "matmul": _matmul,
    "linear": _linear,
    "T": lambda x: (operator("permute"), (x, list(range(x.dim()))[::-1]), {}),
    "t": _transposed,
    "mT": _last_two,
    "conv1d": _convolution(1),
    "conv2d": _convolution(2),
    "conv3d": _convolution(3),
    "layer_norm": _layer_norm,
    "dropout": _dropout,
    "to": _to,
    "type_as": lambda x, y: _to(x, y.dtype),
    "item": _numbers,
    "data": lambda x: Done(x.detach()),
}
RULES |= {
    f"scatter{end}": (
        lambda x, dim, index, value, _name=f"scatter{end}": (
            operator(_name, "src" if isinstance(value, Tensor) else "value"),
            (x, dim, index, value), {},
        )
    )
    for end in ("", "_")
}  # fmt: skip


_CASTS = {
    "float": float32, "double": float64, "half": float16, "bfloat16": bfloat16, "int": int32,
    "long": int64, "short": int16, "char": int8, "byte": uint8, "bool": bool_,
}  # fmt: skip
RULES |= {
    name: lambda x, *_, _dtype=dtype, **__: _copied(x, _dtype) for name, dtype in _CASTS.items()
}


def rewritten(name: str, args: tuple, kwargs: dict) -> Any:
    """An operator's call, `Done`, or None for a function that is followed into."""
    rule = RULES.get(name)
    return None if rule is None else rule(*args, **kwargs)
