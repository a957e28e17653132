"""What quantized tensors do: facts, text, views, comparisons, and what stays among codes.

Attached when this module is imported.  Level: quantized (12).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.dtypes import CODES, DType, dtype_by_name, float32
from rushlight.ops.joining import cat as joined
from rushlight.ops.pointwise import clamp
from rushlight.quantized.affine import (
    RANGES,
    along,
    codes_of,
    dequantize,
    per_channel,
    per_tensor,
    quantize_per_tensor,
)
from rushlight.tensor.printing import append_facts, values_text
from rushlight.tensor.quantized_tensor import FUNCTIONS, QuantizedTensor
from rushlight.tensor.sparse_tensor import array_of
from rushlight.tensor.tensor import Tensor

# ---- facts ---------------------------------------------------------------------------------------


def _only(self: QuantizedTensor, per_channel: bool) -> None:
    if self.quantizer.is_per_channel is not per_channel:
        wanted = "kPerChannelAffine" if per_channel else "kPerTensorAffine"
        raise RuntimeError(
            f"Expected quantizer->qscheme() == {wanted} to be true, but got false: the tensor is "
            f"{self.quantizer.scheme}"
        )


def int_repr(self: QuantizedTensor) -> Tensor:
    """The codes, as integers of their own: uint8, int8 or int32."""
    return self.codes.clone()


def q_scale(self: QuantizedTensor) -> float:
    """The one scale.  Raises: RuntimeError for a tensor with several."""
    _only(self, per_channel=False)
    return self.quantizer.scale


def q_zero_point(self: QuantizedTensor) -> int:
    """The one zero point.  Raises: RuntimeError for a tensor with several."""
    _only(self, per_channel=False)
    return self.quantizer.zero_point


def q_per_channel_scales(self: QuantizedTensor) -> Tensor:
    """The scales along the axis, in float64.  Raises: RuntimeError for a tensor with one."""
    _only(self, per_channel=True)
    return self.quantizer.scale.clone()


def q_per_channel_zero_points(self: QuantizedTensor) -> Tensor:
    """The zero points along the axis, in int64.  Raises: RuntimeError for a tensor with one."""
    _only(self, per_channel=True)
    return self.quantizer.zero_point.clone()


def q_per_channel_axis(self: QuantizedTensor) -> int:
    """The axis of scales.  Raises: RuntimeError for a tensor with one scale."""
    _only(self, per_channel=True)
    return self.quantizer.axis


def qscheme(self: QuantizedTensor) -> formats.qscheme:
    """`torch.per_tensor_affine` or `torch.per_channel_affine`."""
    return self.quantizer.scheme


def type_of(self: QuantizedTensor, dtype: Any = None, non_blocking: bool = False) -> str:
    """The name of the tensor's type."""
    if dtype is not None:
        raise RuntimeError("type: a quantized tensor has no other dtype; use dequantize() before")
    name = {"quint8": "QUInt8", "qint8": "QInt8", "qint32": "QInt32"}[self.dtype.name]
    return f"torch.quantized.{name}Tensor"


def quantized_repr(self: QuantizedTensor, *, tensor_contents: str | None = None) -> str:
    """The text PyTorch prints for the tensor; reads its codes."""
    prefix = "tensor("
    array = array_of(dequantize(self))
    body = values_text(array, float32, len(prefix)) if array.size else "[]"
    kept = self.quantizer
    facts = [f"size={tuple(self._node.shape)}", f"dtype={self.dtype}",
             f"quantization_scheme={kept.scheme}"]  # fmt: skip
    facts.append(f"scale={kept.scale}")
    facts.append(f"zero_point={kept.zero_point}")
    if kept.is_per_channel:
        facts.append(f"axis={kept.axis}")
    return append_facts(prefix + body, facts, len(prefix))


# ---- the same numbers elsewhere ------------------------------------------------------------------


def _refuse_per_channel(self: QuantizedTensor, name: str) -> None:
    if self.quantizer.is_per_channel:
        raise RuntimeError(
            f"{name} is possible only on uniformly quantized tensor, this one is "
            f"{self.quantizer.scheme}; use dequantize() before"
        )


def _moving(name: str) -> Callable[..., Any]:
    """A method that moves elements: codes move as numbers would."""
    method = getattr(Tensor, name)
    if isinstance(method, property):
        method = method.fget

    def moved(self: QuantizedTensor, *args: Any, **kwargs: Any) -> Any:
        found = method(self.codes, *args, **kwargs)
        if isinstance(found, (tuple, list)):
            _refuse_per_channel(self, name)
            return type(found)(self.with_codes(part) for part in found)
        if found._node.shape != self.codes._node.shape or name not in _KEEPING:
            _refuse_per_channel(self, name)
        return self.with_codes(found)

    moved.__name__ = name
    return moved


# Of the methods that move elements, those that leave each where it is.
_KEEPING = ("clone", "contiguous", "detach", "cpu", "view", "reshape", "expand")
_MOVING = (
    "view reshape transpose permute t squeeze unsqueeze flatten clone contiguous detach expand "
    "select narrow index_select unbind chunk split flip repeat cpu swapaxes swapdims movedim "
    "unflatten view_as expand_as reshape_as mT T"
).split()


def getitem(self: QuantizedTensor, index: Any) -> QuantizedTensor:
    """Elements or slices; of a tensor with scales along its first axis, one slice of that."""
    kept = self.quantizer
    if not kept.is_per_channel:
        return self.with_codes(self.codes[index])
    if isinstance(index, int) and kept.axis == 0:
        place = kept.scale[index].item(), kept.zero_point[index].item()
        return per_tensor(self.codes[index], *place, self._node.dtype)
    if isinstance(index, int):
        parts = kept.scale, kept.zero_point, kept.axis - 1, self._node.dtype
        return per_channel(self.codes[index], *parts)
    if isinstance(index, slice) and kept.axis == 0:
        parts = kept.scale[index], kept.zero_point[index], 0, self._node.dtype
        return per_channel(self.codes[index], *parts)
    raise NotImplementedError(
        "a tensor quantized per channel is indexed by one number or a slice; use dequantize() "
        "before"
    )


def copy_(self: QuantizedTensor, src: Tensor, non_blocking: bool = False) -> QuantizedTensor:
    """Other numbers in place: those of a quantized tensor with its parameters, or dense ones in
    this tensor's."""
    if isinstance(src, QuantizedTensor):
        self.codes, self.quantizer = src.codes.expand(self.codes.shape).clone(), src.quantizer
        return self
    kept, dtype = self.quantizer, self._node.dtype
    source = src.detach().to(float32).expand(self.codes.shape)
    scale, zero_point = kept.scale, kept.zero_point
    if kept.is_per_channel:
        shape = along(kept.axis, self.codes.dim())
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    self.codes = codes_of(source, scale, zero_point, dtype, -np.inf)
    return self


def item(self: QuantizedTensor) -> float:
    """The only number.  Raises: RuntimeError if the tensor has several."""
    return dequantize(self).item()


def iterate(self: QuantizedTensor) -> Iterator[QuantizedTensor]:
    """Slices along the first axis."""
    return (getitem(self, place) for place in range(len(self.codes)))


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> QuantizedTensor:
    """Tensors after one another, with the parameters of the first."""
    first = tensors[0]
    for x in tensors:
        if not isinstance(x, QuantizedTensor):
            raise RuntimeError("cat: quantized tensors join no others; use dequantize() before")
        _refuse_per_channel(x, "cat")
    kept = first.quantizer
    codes = []
    for x in tensors:
        same = (x.quantizer.scale, x.quantizer.zero_point) == (kept.scale, kept.zero_point)
        if not same:
            x = quantize_per_tensor(dequantize(x), kept.scale, kept.zero_point, first.dtype)
        codes.append(x.codes)
    return first.with_codes(joined(codes, dim))


# ---- numbers -------------------------------------------------------------------------------------


def equal(self: QuantizedTensor, other: Tensor) -> bool:
    """Whether two tensors have the same codes, meaning the same."""
    if not isinstance(other, QuantizedTensor) or self.dtype is not other.dtype:
        return False
    mine, theirs = self.quantizer, other.quantizer
    if mine.scheme is not theirs.scheme or mine.axis != theirs.axis:
        return False
    if mine.is_per_channel:
        alike = mine.scale.equal(theirs.scale) and mine.zero_point.equal(theirs.zero_point)
    else:
        alike = (mine.scale, mine.zero_point) == (theirs.scale, theirs.zero_point)
    return alike and self.codes.equal(other.codes)


def _comparing(name: str) -> Callable[[Any, Any], Tensor]:
    method = getattr(Tensor, name)

    def compared(self: Any, other: Any) -> Tensor:
        x, y = (dequantize(v) if isinstance(v, QuantizedTensor) else v for v in (self, other))
        return method(x, y)

    return compared


def relu(input: QuantizedTensor, inplace: bool = False) -> QuantizedTensor:
    """Codes below that of zero become that of zero."""
    _only(input, per_channel=False)
    return input.with_codes(clamp(input.codes, min=input.quantizer.zero_point))


def _chosen(name: str) -> Callable[..., Any]:
    def method(self: QuantizedTensor) -> QuantizedTensor:
        _refuse_per_channel(self, name)
        return self.with_codes(getattr(self.codes, name)())

    return method


def mean(self: QuantizedTensor, dim: Any = None, keepdim: bool = False) -> QuantizedTensor:
    """The mean, in the tensor's own codes."""
    _refuse_per_channel(self, "mean")
    kept, numbers = self.quantizer, dequantize(self)
    found = numbers.mean() if dim is None else numbers.mean(dim, keepdim)
    return quantize_per_tensor(found, kept.scale, kept.zero_point, self.dtype)


# ---- copies and refusals -------------------------------------------------------------------------


def deep_copy(self: QuantizedTensor, memo: dict) -> QuantizedTensor:
    """Codes and parameters of its own."""
    if id(self) not in memo:
        made = self.with_codes(copy.deepcopy(self.codes, memo))
        made.quantizer = copy.copy(self.quantizer)
        memo[id(self)] = made
    return memo[id(self)]


def rebuilt(codes: Tensor, dtype: str, scale: Any, zero_point: Any, axis: int | None) -> Tensor:
    """The inverse of pickling."""
    kind = dtype_by_name(dtype)
    if kind not in RANGES or CODES[kind] is not codes.dtype:
        raise RuntimeError(f"codes of {codes.dtype} are none of {dtype}")
    if axis is None:
        return per_tensor(codes, float(scale), int(zero_point), kind)
    return per_channel(codes, scale, zero_point, axis, kind)


def reduced(self: QuantizedTensor, protocol: Any) -> tuple:
    """What pickle writes."""
    kept = self.quantizer
    return rebuilt, (self.codes, self.dtype.name, kept.scale, kept.zero_point, kept.axis)


def _refuse(kind: type[Exception], message: str) -> Callable[..., Any]:
    def method(self: QuantizedTensor, *args: Any, **kwargs: Any) -> Any:
        raise kind(message)

    return method


def to(self: QuantizedTensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor itself: it lies on the CPU, and its dtype cannot change."""
    wanted = [a for a in (*args, *kwargs.values()) if isinstance(a, DType)]
    if any(dtype is not self.dtype for dtype in wanted):
        raise RuntimeError(_NO_DTYPE)
    return self.clone() if kwargs.get("copy") else self


_NO_DTYPE = (
    "Creation of quantized tensor requires quantized dtype like torch.quint8; use dequantize() to "
    "have numbers"
)
_METHODS: dict[str, Any] = {
    "int_repr": int_repr, "q_scale": q_scale, "q_zero_point": q_zero_point, "qscheme": qscheme,
    "q_per_channel_scales": q_per_channel_scales, "q_per_channel_axis": q_per_channel_axis,
    "q_per_channel_zero_points": q_per_channel_zero_points, "dequantize": dequantize,
    "type": type_of, "__repr__": quantized_repr, "__getitem__": getitem, "copy_": copy_,
    "item": item, "__iter__": iterate, "equal": equal, "relu": relu, "mean": mean, "to": to,
    "max": _chosen("max"), "min": _chosen("min"), "__deepcopy__": deep_copy,
    "__reduce_ex__": reduced, "__hash__": Tensor.__hash__,
    "is_quantized": property(lambda self: True),
    "stride": lambda self, *args: self.codes.stride(*args),
    "is_contiguous": lambda self, *args, **kwargs: self.codes.is_contiguous(),
    "numpy": _refuse(TypeError, "Got unsupported ScalarType of a quantized tensor; use "
                     "dequantize() or int_repr() before"),
    "tolist": _refuse(RuntimeError, "tolist: a quantized tensor holds codes; use dequantize() or "
                      "int_repr() before"),
    **{name: _refuse(RuntimeError, _NO_DTYPE) for name in
       ("float", "double", "half", "bfloat16", "int", "long", "short", "bool", "char", "byte")},
}  # fmt: skip
_COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__",
                "eq", "ne", "lt", "le", "gt", "ge")  # fmt: skip

for _name in _MOVING:
    if isinstance(vars(Tensor).get(_name), property):
        setattr(QuantizedTensor, _name, property(_moving(_name)))
    else:
        FUNCTIONS[_name] = _moving(_name)
        setattr(QuantizedTensor, _name, FUNCTIONS[_name])
for _name in _COMPARISONS:
    FUNCTIONS[_name] = _comparing(_name)
    setattr(QuantizedTensor, _name, FUNCTIONS[_name])
for _name, _method in _METHODS.items():
    setattr(QuantizedTensor, _name, _method)
FUNCTIONS.update(
    {
        "equal": equal, "relu": relu, "cat": cat, "concat": cat, "mean": mean,
        "dequantize": dequantize, "max": _METHODS["max"], "min": _METHODS["min"],
        "int_repr": int_repr, "q_scale": q_scale, "q_zero_point": q_zero_point,
        "q_per_channel_scales": q_per_channel_scales, "q_per_channel_axis": q_per_channel_axis,
        "q_per_channel_zero_points": q_per_channel_zero_points,
    }
)  # fmt: skip
