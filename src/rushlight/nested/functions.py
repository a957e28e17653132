"""What PyTorch's functions do to nested tensors.  Level 12.

Each rule is given the function and the call's arguments; within it subclasses are plain tensors.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.base import formats
from rushlight.nested.nested_tensor import RULES, NestedTensor, nest, size_of
from rushlight.ops.joining import stack
from rushlight.ops.segments import segment_reduce
from rushlight.tensor.tensor import Tensor

_ELEMENTWISE = """
relu relu_ gelu silu sigmoid tanh exp log sqrt rsqrt square abs neg sin cos floor ceil round sign
elu leaky_relu softplus hardtanh clamp dropout add sub mul div pow maximum minimum where eq ne lt le
gt ge logical_and logical_or logical_not bitwise_not masked_fill reciprocal erf log1p expm1 isnan
to float double half bfloat16 long int bool clone detach contiguous zeros_like ones_like empty_like
rand_like randn_like full_like type_as requires_grad_ nan_to_num __rsub__ __rtruediv__ rsub alpha
""".split()


def _structure(nested: NestedTensor) -> Any:
    if nested.ragged is not None:
        return nested.ragged
    return [tuple(part.shape) for part in nested.held]


def _elementwise(func: Any, *args: Any, **kwargs: Any) -> Any:
    values = [*args, *kwargs.values()]
    several = [x for x in values if isinstance(x, NestedTensor)]
    first = several[0]
    if any(_structure(x) != _structure(first) for x in several):
        raise RuntimeError(
            f"cannot call binary pointwise function {func.__name__} with inputs of shapes"
            f" {[tuple(x._node.shape) for x in several]}: nested operands have the same structure"
        )

    def of(value: Any, place: int | None) -> Any:
        if isinstance(value, NestedTensor):
            return value.held if place is None else value.held[place]
        return value

    def called(place: int | None) -> Any:
        named = {key: of(value, place) for key, value in kwargs.items()}
        return func(*[of(value, place) for value in args], **named)

    if first.ragged is None:
        return NestedTensor([called(place) for place in range(len(first.held))])
    for x in values:
        if type(x) is Tensor and x.dim() >= first.dim() and x.shape[0] not in (1,):
            raise RuntimeError(
                f"{func.__name__}: a dense operand is spread along the parts' own axes, got one of"
                f" shape {tuple(x.shape)} for {tuple(first._node.shape)}"
            )
    return NestedTensor(called(None), first.ragged, first.behind)


def _along(func: Any, input: NestedTensor, dim: int = -1, *args: Any, **kwargs: Any) -> Any:
    """A function along one of the parts' own axes."""
    axis = dim % input.dim()
    jagged = input.ragged is not None
    if axis == 0 or (jagged and axis <= 1 + input.behind):
        raise RuntimeError(
            f"{func.__name__}: dim {dim} of {tuple(input._node.shape)} is the batch's, or differs"
            " by part; give an axis behind"
        )
    return input.like(lambda x: func(x, axis - 1, *args, **kwargs))


def _on_rows(func: Any, input: NestedTensor, *args: Any, **kwargs: Any) -> Any:
    return input.like(lambda x: func(x, *args, **kwargs))


def _padded(
    input: NestedTensor, padding: float, output_size: Any = None, mask: Any = None
) -> Tensor:
    parts = input.parts()
    longest = [max(sizes) for sizes in zip(*[part.shape for part in parts])]
    if output_size is not None:
        longest = list(output_size)[1:]
    rows = []
    for part in parts:
        room: list[int] = []
        for have, want in zip(reversed(part.shape), reversed(longest)):
            if want < have:
                raise RuntimeError(
                    "Value in output_size is less than NestedTensor padded size. Truncation is not"
                    " supported."
                )
            room += [0, want - have]
        rows.append(RULES["pad"](part, room, padding))
    return stack(rows)


def _reduced(
    func: Any, input: NestedTensor, dim: Any = None, keepdim: bool = False, **kw: Any
) -> Any:
    if input.ragged is None:
        raise NotImplementedError(
            f"{func.__name__}: strided nested tensors have no sums; use layout=jagged"
        )
    if dim is None:
        return func(input.held, **kw)
    dims = [dim] if isinstance(dim, int) else list(dim)
    axes = [d % input.dim() for d in dims]
    if axes == [1] and not input.behind:
        found = segment_reduce(input.held, func.__name__, offsets=input.offsets(), unsafe=True)
        return found.unsqueeze(1) if keepdim else found  # type: ignore[attr-defined]
    if min(axes) <= 1 + input.behind:
        raise RuntimeError(f"{func.__name__}: dim {dim} of {tuple(input._node.shape)} is ragged")
    return input.like(lambda x: func(x, [a - 1 for a in axes], keepdim, **kw))


def _matmul(func: Any, input: Any, other: Any) -> Any:
    if isinstance(input, NestedTensor) and isinstance(other, NestedTensor):
        return nest([func(x, y) for x, y in zip(input.parts(), other.parts())])
    if not isinstance(input, NestedTensor) or other.dim() > 2:
        raise NotImplementedError(f"{func.__name__}: nested @ a dense matrix, or nested @ nested")
    return input.like(lambda x: func(x, other))


def _transpose(func: Any, input: NestedTensor, dim0: int, dim1: int) -> Any:
    axes = {dim0 % input.dim(), dim1 % input.dim()}
    if input.ragged is None:
        if 0 in axes:
            raise RuntimeError("Nested tensor dimension 0 cannot be transposed")
        first, second = sorted(axes)
        return input.like(lambda x: func(x, first - 1, second - 1))
    if axes == {1, 2}:
        return NestedTensor(input.held, input.ragged, not input.behind)
    if min(axes) > 1 + input.behind:
        first, second = sorted(axes)
        return input.like(lambda x: func(x, first - 1, second - 1))
    raise RuntimeError(f"transpose: axes {dim0} and {dim1} of {tuple(input._node.shape)}")


def _attention(func: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
    found = [
        func(*each, *args, **kwargs) for each in zip(*[x.parts() for x in (query, key, value)])
    ]
    if query.ragged is None:
        return NestedTensor(found)
    turned = [part.transpose(0, 1) for part in found] if query.behind else found
    made = nest(turned, formats.jagged)
    return NestedTensor(made.held, query.ragged, query.behind)


def _flattened(func: Any, input: NestedTensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    first, last = start_dim % input.dim(), end_dim % input.dim()
    if first <= 1 + input.behind:
        raise RuntimeError(
            f"flatten: dim {start_dim} of {tuple(input._node.shape)} differs by part"
        )
    return input.like(lambda x: func(x, first - 1, last - 1))


def _unflattened(func: Any, input: NestedTensor, dim: int, sizes: Any) -> Any:
    axis = dim % input.dim()
    if axis <= 1 + input.behind:
        raise RuntimeError(f"unflatten: dim {dim} of {tuple(input._node.shape)} differs by part")
    return input.like(lambda x: func(x, axis - 1, sizes))


def _chunks(func: Any, input: NestedTensor, count: Any, dim: int = 0) -> Any:
    axis = dim % input.dim()
    if input.ragged is None or axis <= 1 + input.behind:
        raise RuntimeError(f"{func.__name__}: dim {dim} of {tuple(input._node.shape)}")
    pieces = func(input.held, count, axis - 1)
    return tuple(NestedTensor(piece, input.ragged, input.behind) for piece in pieces)


def _element(func: Any, input: NestedTensor, index: Any) -> Any:
    if not isinstance(index, int):
        raise NotImplementedError("nested tensors are indexed by the number of a part")
    return input.parts()[index]


def _elements(input: NestedTensor) -> int:
    if input.ragged is None:
        return sum(math.prod(part.shape) for part in input.held)
    return math.prod(input.held.shape)


def _equal_everywhere(func: Any, input: Any, other: Any) -> bool:
    pairs = zip(input.parts(), other.parts())
    return len(input.parts()) == len(other.parts()) and all(func(x, y) for x, y in pairs)


RULES |= dict.fromkeys(_ELEMENTWISE, _elementwise)
RULES |= dict.fromkeys(("softmax", "log_softmax", "cumsum"), _along)
RULES |= dict.fromkeys(("linear", "layer_norm", "rms_norm"), _on_rows)
RULES |= dict.fromkeys(("sum", "mean"), _reduced)
RULES |= {
    "matmul": _matmul,
    "bmm": _matmul,
    "transpose": _transpose,
    "scaled_dot_product_attention": _attention,
    "flatten": _flattened,
    "unflatten": _unflattened,
    "chunk": _chunks,
    "split": _chunks,
    "__getitem__": _element,
    "equal": _equal_everywhere,
    "allclose": _equal_everywhere,
    "unbind": lambda func, input, dim=0: tuple(input.parts()),
    "to_padded_tensor": lambda func, input, *args, **kw: _padded(input, *args, **kw),
    "size": lambda func, input, dim=None: size_of(input, dim),
    "shape": lambda func, input: size_of(input),
    "dim": lambda func, input: len(input._node.shape),
    "ndim": lambda func, input: len(input._node.shape),
    "numel": lambda func, input: _elements(input),
    "layout": lambda func, input: formats.strided if input.ragged is None else formats.jagged,
    "is_contiguous": lambda func, input, *args, **kw: not input.behind,
    "__len__": lambda func, input: len(input.parts()),
    "__repr__": lambda func, input, *args, **kw: NestedTensor.__repr__(input),
    "__hash__": lambda func, input: id(input),
}
for _name in (
    "dtype", "device", "requires_grad", "is_leaf", "grad_fn", "is_floating_point", "is_complex",
):  # fmt: skip
    RULES[_name] = lambda func, input: func(input.held if input.ragged else input.held[0])
