"""What PyTorch's functions do to masked tensors.  Level 12.

Each rule is given the function and the call's arguments; within it subclasses are plain tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.masked import reductions
from rushlight.masked.masked_tensor import RULES, MaskedTensor
from rushlight.ops.alike import ones_like
from rushlight.ops.comparison import where
from rushlight.tensor.tensor import Tensor

_UNARY = """
abs absolute acos arccos acosh arccosh angle asin arcsin asinh arcsinh atan arctan atanh arctanh
bitwise_not ceil clamp clip conj_physical cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1
fix floor frac lgamma log log10 log1p log2 logit i0 isnan nan_to_num neg negative positive pow
rad2deg reciprocal round rsqrt sigmoid sign sgn signbit sin sinc sinh sqrt square tan tanh trunc
dropout isfinite isinf isposinf isneginf isreal logical_not relu gelu silu softplus leaky_relu elu
hardtanh
""".split()
_BINARY = """
add atan2 arctan2 bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift div
divide floor_divide fmod logaddexp logaddexp2 mul multiply nextafter remainder sub subtract
true_divide eq ne le ge greater greater_equal gt less_equal lt less maximum minimum fmax fmin
not_equal rsub __rsub__ __rtruediv__ __floordiv__ __rfloordiv__ __rpow__ logical_and logical_or
logical_xor
""".split()
_MOVING = """
select transpose t T mT expand expand_as view view_as reshape _reshape_method
cat concat concatenate unsqueeze
unfold stack getitem narrow split chunk unbind permute squeeze flatten unflatten swapaxes swapdims
movedim moveaxis flip roll contiguous detach clone hstack vstack dstack tile repeat ravel
broadcast_to diagonal diag take_along_dim gather index_select
""".split()
_REDUCING = "sum mean amin amax argmin argmax prod all norm var std".split()
_ASKING = """
shape size dim ndim numel nelement dtype device layout requires_grad is_leaf grad_fn stride
is_floating_point is_complex is_contiguous element_size _length itemsize nbytes is_signed
ndimension storage_offset backward retain_grad register_hook _version names is_cuda is_cpu is_meta
is_sparse is_quantized is_nested output_nr retains_grad
""".split()


def _parts(value: Any, part: Callable[[Any], Any]) -> Any:
    """Masked tensors replaced by a part of them, in lists and tuples as well."""
    if isinstance(value, MaskedTensor):
        return part(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_parts(x, part) for x in value])
    return value


def _call(func: Any, part: Callable[[Any], Any], args: tuple, kwargs: dict) -> Any:
    named = {key: _parts(value, part) for key, value in kwargs.items()}
    return func(*_parts(args, part), **named)


def _data(masked: Any) -> Tensor:
    return masked.held


def _mask(masked: Any) -> Tensor:
    return masked.mask


def _joined(data: Any, mask: Any) -> Any:
    if isinstance(data, (tuple, list)):
        return type(data)([MaskedTensor.of(d, m) for d, m in zip(data, mask)])
    return MaskedTensor.of(data, mask)


def same_mask(first: Tensor, second: Tensor) -> bool:
    """Whether two masks are true at the same places; reads them if they are not one tensor."""
    if first is second:
        return True
    return first.shape == second.shape and bool((first == second).all())


def _unary(func: Any, input: MaskedTensor, *args: Any, **kwargs: Any) -> Any:
    return MaskedTensor.of(_call(func, _data, (input, *args), kwargs), input.mask)


def _binary(func: Any, input: Any, other: Any, *args: Any, **kwargs: Any) -> Any:
    masks = [x.mask for x in (input, other) if isinstance(x, MaskedTensor)]
    if not same_mask(masks[0], masks[-1]):
        raise ValueError(
            f"{func.__name__}: Input masks must match; make them so with torch.where, or compute"
            " with get_data() and a mask of both"
        )
    found = _call(func, _data, (input, other, *args), kwargs)
    return MaskedTensor.of(found, masks[0].expand(found.shape))  # type: ignore[attr-defined]


def _in_place(func: Any, input: MaskedTensor, *args: Any, **kwargs: Any) -> Any:
    for other in args:
        if isinstance(other, MaskedTensor) and not same_mask(input.mask, other.mask):
            raise ValueError(f"{func.__name__}: Input masks must match.")
    _call(func, _data, (input, *args), kwargs)
    return input


def _moving(func: Any, *args: Any, **kwargs: Any) -> Any:
    """What moves elements moves the mask's as well."""
    return _joined(_call(func, _data, args, kwargs), _call(func, _mask, args, kwargs))


def _reduced(func: Any, input: MaskedTensor, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    name = func.__name__
    if name == "norm":
        # p stands before dim in norm's signature.
        order = 2.0 if dim in (None, "fro") else dim
        order = kwargs.pop("p", order)
        args = (order, *args)
        dim = kwargs.pop("dim", args[1] if len(args) > 1 else None)
        args = args[:1]
    elif name in ("var", "std") and isinstance(dim, bool):
        kwargs["unbiased"], dim = dim, None
    elif args:
        names = ("unbiased", "keepdim") if name in ("var", "std") else ("keepdim", "dtype")
        kwargs.update(zip(names, args))
        args = ()
    axes = kwargs.get("axis", dim)
    kwargs.pop("axis", None)
    keepdim = bool(kwargs.get("keepdim", False))
    if name == "all":
        filled = input.held.masked_fill(~input.mask, True)
        found = func(filled) if axes is None else func(filled, axes, keepdim)
    elif name == "norm":
        found = reductions.norm(input.held, args[0], axes, mask=input.mask, **kwargs)
    else:
        found = getattr(reductions, name)(input.held, axes, mask=input.mask, **kwargs)
    counts = input.mask
    dims = range(input.held.dim()) if axes is None else [axes] if isinstance(axes, int) else axes
    for axis in sorted((d % max(counts.dim(), 1) for d in dims), reverse=True):
        counts = counts.any(axis, keepdim) if counts.dim() else counts
    return MaskedTensor.of(found, counts)


def _softmaxed(func: Any, input: MaskedTensor, dim: int, *args: Any, **kwargs: Any) -> Any:
    function = getattr(reductions, func.__name__)
    dtype = kwargs.get("dtype")
    return MaskedTensor.of(function(input.held, dim, dtype=dtype, mask=input.mask), input.mask)


def _where(func: Any, condition: Any, input: Any, other: Any) -> Any:
    if isinstance(condition, MaskedTensor):
        raise TypeError("where: the condition is a plain tensor, got a masked one")

    def mask_of(value: Any) -> Any:
        if isinstance(value, MaskedTensor):
            return value.mask
        return ones_like(condition)

    values = [x.held if isinstance(x, MaskedTensor) else x for x in (input, other)]
    return MaskedTensor.of(
        func(condition, *values), where(condition, mask_of(input), mask_of(other))
    )


def _like(func: Any, input: MaskedTensor, **kwargs: Any) -> Any:
    return MaskedTensor.of(func(input.held, **kwargs), input.mask)


def _scalar(func: Any, input: MaskedTensor) -> Any:
    if input.held.numel() == 1 and not bool(input.mask):
        raise ValueError(f"{func.__name__}: the element is masked, and has no value")
    return func(input.held)


def _array(func: Any, input: MaskedTensor, *args: Any, **kwargs: Any) -> Any:
    raise RuntimeError(
        f".{func.__name__}() is not supported for tensor subclasses, got MaskedTensor; fill what is"
        " masked with to_tensor(value)"
    )


def _iterated(func: Any, input: MaskedTensor) -> Any:
    pairs = zip(func(input.held), input.mask)
    return iter([MaskedTensor.of(data, mask) for data, mask in pairs])


def _requiring(func: Any, input: MaskedTensor, requires_grad: bool = True) -> Any:
    func(input.held, requires_grad)
    return input


def _copied(func: Any, input: Any, source: Any, *args: Any) -> Any:
    if not (isinstance(input, MaskedTensor) and isinstance(source, MaskedTensor)):
        raise TypeError("copy_: both are masked tensors, or neither is")
    if not same_mask(input.mask, source.mask):
        raise ValueError("copy_: Input masks must match.")
    func(input.held, source.held, *args)
    return input


def _of_the_data(func: Any, input: MaskedTensor, *args: Any, **kwargs: Any) -> Any:
    """Questions and commands that are about the data alone."""
    return _call(func, _data, (input, *args), kwargs)


RULES |= dict.fromkeys(_UNARY, _unary)
RULES |= dict.fromkeys(_BINARY, _binary)
RULES |= dict.fromkeys((f"{name}_" for name in (*_UNARY, *_BINARY)), _in_place)
RULES |= dict.fromkeys(_MOVING, _moving)
RULES |= dict.fromkeys(_REDUCING, _reduced)
RULES |= dict.fromkeys(("softmax", "log_softmax"), _softmaxed)
RULES |= dict.fromkeys(("ones_like", "zeros_like", "full_like", "empty_like"), _like)
RULES |= dict.fromkeys(("item", "_as_float", "_as_int", "_truth"), _scalar)
RULES |= dict.fromkeys(("numpy", "tolist"), _array)
RULES |= dict.fromkeys(_ASKING, _of_the_data)
RULES |= dict.fromkeys(
    ("to", "double", "float", "half", "int", "long", "short", "bool", "type_as", "to_dense",
     "cpu", "type", "data"), _unary,
)  # fmt: skip
RULES |= {
    "where": _where,
    "_where_method": lambda func, input, condition, other: _where(where, condition, input, other),
    "requires_grad_": _requiring,
    "copy_": _copied,
    "iterate": _iterated,
    "tensor_repr": lambda func, input, *args, **kw: MaskedTensor.__repr__(input),
    "__repr__": lambda func, input, *args, **kw: MaskedTensor.__repr__(input),
    "__hash__": lambda func, input: id(input),
}
