"""Conversion of dtype and device, copies, and facts about a tensor's elements and memory.

Level 11.
"""

from __future__ import annotations

from typing import Any

from rushlight.base import dtypes, formats, limits
from rushlight.base.device import ACCELERATORS, CPU, META, resolve_device
from rushlight.base.dtypes import ALL_DTYPES, DType, dtype_argument, dtype_by_name
from rushlight.base.dtypes import can_cast as dtype_can_cast
from rushlight.base.shapes import numel as count
from rushlight.base.shapes import wrap_axis
from rushlight.ops.creation import filled
from rushlight.ops.formats import (
    copied_as,
    keeps_format,
    lies_in,
    lying,
    order_of_format,
    suggested_format,
)
from rushlight.ops.promotion import (
    NUMBERS,
    check_tensor,
    is_number,
    refuse_overflow,
    result_dtype,
    to_dtype,
)
from rushlight.ops.spelling import PUBLIC, attach_method, spelled, write_result
from rushlight.primitives.elementwise import add, cast
from rushlight.primitives.elementwise import where as choose
from rushlight.primitives.movement import copy as copied
from rushlight.tape.meta import NO_DATA
from rushlight.tensor.autodiff import type_name
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.graph import named
from rushlight.tensor.placing import device_array, pinned, placed
from rushlight.tensor.placing import is_pinned as is_page_locked
from rushlight.tensor.storage import check_writable, current_edge, pin
from rushlight.tensor.tensor import Size, Tensor, meta_tensor

for _name in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc",
              "jagged",
              "contiguous_format", "preserve_format",
              "channels_last", "channels_last_3d", "layout", "memory_format", "qscheme",
              *formats.QUANTIZATION_SCHEMES):  # fmt: skip
    PUBLIC[_name] = getattr(formats, _name)
PUBLIC["finfo"] = limits.finfo
PUBLIC["iinfo"] = limits.iinfo


# ---- dtype and device ----------------------------------------------------------------------------


def converted(
    x: Tensor, dtype: DType | None, always_copy: bool, memory_format: Any = None
) -> Tensor:
    """The tensor itself, or a copy where dtype or format differs or a copy is asked for."""
    if memory_format is not None and not keeps_format(memory_format):
        if dtype is not None and dtype is not x._node.dtype:
            return lying(cast(x, dtype), order_of_format(memory_format, len(x._node.shape)))
        if always_copy or suggested_format(x) is not memory_format:
            return copied_as(x, memory_format)
        return x
    if dtype is not None and dtype is not x._node.dtype:
        return cast(x, dtype)
    return copied(x) if always_copy else x


@attach_method("to")
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False,
       memory_format=None) -> Tensor:  # fmt: skip
    """This tensor with another dtype or device; itself if nothing changes.

    Forms: to(dtype), to(device, dtype), to(other).
    Raises: AssertionError for CUDA, as PyTorch without it.  Source: torch.Tensor.to.
    """
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        dtype, device = other._node.dtype, other.device
    elif rest and isinstance(dtype_argument(rest[0]), DType):
        dtype = rest.pop(0)
    elif rest:
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(dtype_argument(rest[0]), DType)):
            dtype = rest.pop(0) or dtype
    dtype = dtype_argument(dtype)
    if len(rest) > 1:
        copy = rest[1]
    if dtype is not None and not isinstance(dtype, DType):
        raise TypeError(f"to(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    if device is not None:
        place = resolve_device(device)
        if place is not self._node.step.device:
            self, copy = _moved(self, place, dtype or self._node.dtype), False
    return converted(self, dtype, copy, memory_format)


def _moved(x: Tensor, device, dtype: DType) -> Tensor:
    """The tensor on another device; nothing comes back from meta."""
    if device is not META:
        if x.device is META:
            raise NotImplementedError(NO_DATA.cause.args[0])
        return converted(placed(x, device), dtype, False)
    empty = meta_tensor(x._node.shape, x._node.dtype)
    if current_edge(x) is not None and is_grad_enabled():
        empty = add(empty, x)  # gradients flow back, as through any copy
    return converted(empty, dtype, False)


def _conversion_method(name: str, dtype: DType) -> None:
    def convert(self, memory_format=None) -> Tensor:
        if memory_format is not None:
            return converted(self, dtype, False, memory_format)
        return self if self._node.dtype is dtype else cast(self, dtype)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"This tensor as {dtype}."
    setattr(Tensor, name, convert)


for _name, _dtype in (
    ("float", dtypes.float32), ("double", dtypes.float64), ("half", dtypes.float16),
    ("bfloat16", dtypes.bfloat16), ("int", dtypes.int32), ("long", dtypes.int64),
    ("short", dtypes.int16), ("char", dtypes.int8), ("byte", dtypes.uint8),
    ("bool", dtypes.bool_), ("chalf", dtypes.complex32), ("cfloat", dtypes.complex64),
    ("cdouble", dtypes.complex128),
):  # fmt: skip
    _conversion_method(_name, _dtype)

_TYPE_STRINGS = {type_name(d): d for d in ALL_DTYPES}


@attach_method("type")
def type_(self, dtype=None, non_blocking=False):
    """The type's name without argument; else this tensor converted.  Source: torch.Tensor.type."""
    if dtype is None:
        name = type_name(self._node.dtype)
        kind = self.device.type
        return name.replace("torch.", f"torch.{kind}.") if kind in ACCELERATORS else name
    if isinstance(dtype, str):
        dtype = _TYPE_STRINGS.get(dtype) or dtype_by_name(dtype.removeprefix("torch."))
    return converted(self, dtype_argument(dtype), False)


@attach_method("type_as")
def type_as(self, other) -> Tensor:
    """This tensor with the other's dtype."""
    check_tensor("type_as", other, "other")
    return converted(self, other._node.dtype, False)


@attach_method("cpu")
def cpu(self, memory_format=None) -> Tensor:
    """This tensor in the CPU's memory; itself if it is there."""
    here = self if self._node.step.device is CPU else _moved(self, CPU, self._node.dtype)
    return converted(here, None, False, memory_format)


@attach_method("cuda")
def cuda(self, device=None, non_blocking=False, memory_format=None) -> Tensor:
    """This tensor on a CUDA device, the current one unless told otherwise.

    Raises: AssertionError without such devices, as PyTorch without CUDA.
    """
    place = resolve_device("cuda" if device is None else device)
    if place.type != "cuda":
        raise RuntimeError(f"Invalid device, must be cuda device: {place}")
    there = self if place is self._node.step.device else _moved(self, place, self._node.dtype)
    return converted(there, None, False, memory_format)


@attach_method("xpu")
def xpu(self, device=None, non_blocking=False, memory_format=None) -> Tensor:
    """This tensor on a device of OpenCL, the current one unless told otherwise.

    Raises: AssertionError without such devices, as PyTorch without XPU.
    """
    place = resolve_device("xpu" if device is None else device)
    if place.type != "xpu":
        raise RuntimeError(f"Invalid device, must be xpu device: {place}")
    there = self if place is self._node.step.device else _moved(self, place, self._node.dtype)
    return converted(there, None, False, memory_format)


@attach_method("is_pinned")
def is_pinned(self, device=None) -> bool:
    """Whether `pin_memory` gave the memory."""
    return is_page_locked(self)


@attach_method("pin_memory")
def pin_memory(self, device=None) -> Tensor:
    """A copy in page-locked memory, which a device reads while the program goes on; itself if it
    is one.

    Raises: RuntimeError, as PyTorch, without an accelerator or for a tensor on one.
    """
    return pinned(self)


@attach_method("record_stream")
def record_stream(self, stream: Any) -> None:
    """Keep the memory until what a stream was given is done.  A stream that reads values is known
    without it; for streams of other libraries.  Raises: RuntimeError for a tensor of the CPU."""
    if self.device.type == "cpu":
        raise RuntimeError("record_stream: the tensor lies on the CPU, which has no streams")
    stream._queue.reads(device_array(self).memory)


def _get_is_cpu(self) -> bool:
    return self.device.type == "cpu"


def _get_false(self) -> bool:
    return False


def _get_layout(self):
    return formats.strided


def _get_is_cuda(self) -> bool:
    return self.device.type == "cuda"


def _get_is_xpu(self) -> bool:
    return self.device.type == "xpu"


def _get_is_mps(self) -> bool:
    return self.device.type == "mps"


def _get_is_meta(self) -> bool:
    return self.device is META


Tensor.is_cpu = property(_get_is_cpu)
Tensor.is_meta = property(_get_is_meta)
Tensor.is_cuda = property(_get_is_cuda)
Tensor.is_xpu = property(_get_is_xpu)
Tensor.is_mps = property(_get_is_mps)
for _name in ("is_sparse", "is_quantized", "is_mkldnn", "is_nested", "is_xla",
              "is_sparse_csr"):  # fmt: skip
    setattr(Tensor, _name, property(_get_false))
Tensor.layout = property(_get_layout)


# ---- copies and in-place values ------------------------------------------------------------------


@spelled(method=True)
def clone(input, *, memory_format=None) -> Tensor:
    """A copy that gradients flow through, in its own memory format or in another one.

    Source: torch.clone.
    """
    check_tensor("clone", input)
    return copied(input) if memory_format is None else copied_as(input, memory_format)


@attach_method("contiguous")
def contiguous(self, memory_format=formats.contiguous_format) -> Tensor:
    """This tensor if its elements lie in the order of a format, else a copy that does."""
    if memory_format is formats.preserve_format:
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator")
    return self if lies_in(self, memory_format) else copied_as(self, memory_format)


@attach_method("is_contiguous")
def is_contiguous(self, memory_format=formats.contiguous_format) -> bool:
    """Whether the elements lie in the order of a memory format, row-major unless told otherwise."""
    return lies_in(self, memory_format)


@attach_method("copy_")
def copy_(self, other, non_blocking=False) -> Tensor:
    """Overwrite with another tensor's elements, broadcast and converted.

    Raises: RuntimeError if the shapes do not fit.  Source: torch.Tensor.copy_.
    """
    check_writable(self)
    if not isinstance(other, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    source = to_dtype(other, self._node.dtype)
    fresh = copied(source) if source is other else source
    return write_result(self, named(fresh, "torch::autograd::CopyBackwards"))


@spelled(function=True)
def fill(input, value) -> Tensor:
    """A tensor of the input's shape and dtype with one value.  Source: torch.fill."""
    check_tensor("fill", input)
    if isinstance(value, Tensor):
        if value._node.shape:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value.ndim} dimensions."
            )
        return to_dtype(value, input._node.dtype).expand(input._node.shape)
    if not is_number(value):
        raise TypeError(f"fill_(): argument 'value' must be Number, not {type(value).__name__}")
    if isinstance(value, complex) and not input._node.dtype.is_complex:
        raise RuntimeError(
            f"value cannot be converted to type {input._node.dtype.name} without overflow"
        )
    refuse_overflow(value, input._node.dtype)
    if input._grad_fn is None:
        return filled(input._node.shape, value, input._node.dtype)
    # Chosen everywhere: the result stands in the graph, with a gradient of 0.
    found = choose(input._scalar(True, dtypes.bool_), input._scalar(value), input)
    return named(found, "FillBackward2")


@attach_method("fill_")
def fill_(self, value) -> Tensor:
    """Overwrite every element with one value."""
    check_writable(self, uniform=True)
    return write_result(self, fill(self, value), uniform=True)


@attach_method("zero_")
def zero_(self) -> Tensor:
    """Overwrite every element with 0."""
    check_writable(self, uniform=True)
    zeros = filled(self._node.shape, 0, self._node.dtype)
    return write_result(self, zeros, uniform=True)


# ---- facts ---------------------------------------------------------------------------------------


@spelled(method=True)
def numel(input) -> int:
    """Number of elements.  Source: torch.numel."""
    check_tensor("numel", input)
    return count(input._node.shape)


attach_method("nelement")(numel)


@attach_method("size")
def size(self, dim=None):
    """The shape, or the size of one axis."""
    shape = Size(self._node.shape)
    if dim is None:
        return shape
    if not shape:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return shape[wrap_axis(dim, len(shape))]


@attach_method("ndimension")
def ndimension(self) -> int:
    """Number of axes."""
    return len(self._node.shape)


@attach_method("element_size")
def element_size(self) -> int:
    """Bytes of one element."""
    return self._node.dtype.itemsize


@attach_method("get_device")
def get_device(self) -> int:
    """The number of the device that holds the data; -1 for the CPU."""
    return -1 if self.device.index is None else self.device.index


@attach_method("data_ptr")
def data_ptr(self) -> int:
    """Address of the first element.  Hands the memory out for good: an address holds nothing."""
    if self.device.type in ACCELERATORS:
        return device_array(self).address if count(self._node.shape) else 0
    array = pin(self)
    self._storage.lent = False
    return array.ctypes.data if count(self._node.shape) else 0


def _get_itemsize(self) -> int:
    return self._node.dtype.itemsize


def _get_nbytes(self) -> int:
    return count(self._node.shape) * self._node.dtype.itemsize


Tensor.itemsize = property(_get_itemsize)
Tensor.nbytes = property(_get_nbytes)


@spelled(method=True)
def is_floating_point(input) -> bool:
    """Whether the dtype is floating.  Source: torch.is_floating_point."""
    check_tensor("is_floating_point", input)
    return input._node.dtype.is_floating_point


@spelled(method=True)
def is_complex(input) -> bool:
    """Whether the dtype is complex.  Source: torch.is_complex."""
    check_tensor("is_complex", input)
    return input._node.dtype.is_complex


@spelled(method=True)
def is_signed(input) -> bool:
    """Whether the dtype holds negative numbers.  Source: torch.is_signed."""
    check_tensor("is_signed", input)
    return input._node.dtype.is_signed


@spelled(method=True)
def is_nonzero(input) -> bool:
    """Whether the only element is not 0.  Raises: RuntimeError for more or fewer elements."""
    elements = count(input._node.shape)
    if elements != 1:
        problem = "no values" if elements == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {problem} is ambiguous")
    return bool(input)


@spelled(method=True)
def is_same_size(input, other) -> bool:
    """Whether the shapes are equal.  Source: torch.is_same_size."""
    return input._node.shape == other._node.shape


@spelled(method=True)
def is_conj(input) -> bool:
    """False: conjugation is computed, not marked."""
    check_tensor("is_conj", input)
    return False


@spelled(method=True)
def is_neg(input) -> bool:
    """False: negation is computed, not marked."""
    check_tensor("is_neg", input)
    return False


@spelled()
def is_tensor(obj) -> bool:
    """Whether `obj` is a Tensor.  Source: torch.is_tensor."""
    return isinstance(obj, Tensor)


@spelled()
def result_type(tensor1, tensor2) -> DType:
    """The dtype of an arithmetic result of two operands.  Source: torch.result_type."""
    for operand in (tensor1, tensor2):
        if not isinstance(operand, (Tensor, *NUMBERS)):
            raise TypeError(
                f"result_type(): expected Tensors or Numbers, got {type(operand).__name__}"
            )
    return result_dtype(tensor1, tensor2)


@spelled()
def can_cast(from_, to) -> bool:
    """Whether PyTorch converts one dtype to the other implicitly.  Source: torch.can_cast."""
    return dtype_can_cast(from_, to)
