"""Rules of ONNX for shapes, indexing, joining and reductions.  Level: onnx (12)."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import int64
from rushlight.fx.node import Node
from rushlight.onnx.building import (
    Builder,
    OnnxExporterError,
    Size,
    dtype_of,
    element_type,
    rule,
    shape_of,
)

_LARGEST = 2**63 - 1


def _rest(node: Node, given: dict[str, Any], *names: str) -> list:
    """Sizes or axes given one by one, or as one list."""
    for name in names:
        value = given.get(name)
        if value is not None and value != ():
            found = list(value) if isinstance(value, (list, tuple)) else [value]
            if len(found) == 1 and isinstance(found[0], (list, tuple)):
                found = list(found[0])
            return found
    return []


def _axis(value: int, rank: int) -> int:
    return int(value) % max(rank, 1)


@rule("reshape", "view")
def _reshape(b: Builder, given: dict[str, Any], node: Node) -> str:
    sizes = _rest(node, given, "shape", "size", "sizes")
    varying = [place for place, size in enumerate(sizes) if isinstance(size, Size)]
    if len(varying) == 1 and -1 not in [int(size) for size in sizes]:
        sizes[varying[0]] = -1  # nothing has to be computed
    return b.add("Reshape", b.name_of(given["input"]), b.ints(sizes))


@rule("reshape_as", "view_as")
def _reshape_as(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Reshape", b.name_of(given["input"]), b.add("Shape", b.name_of(given["other"])))


@rule("flatten")
def _flatten(b: Builder, given: dict[str, Any], node: Node) -> str:
    rank = len(shape_of(given["input"]))
    first, last = _axis(given["start_dim"], rank), _axis(given["end_dim"], rank)
    if first == 0 and last < rank - 1:
        kept: list = [-1, *shape_of(given["input"])[last + 1 :]]
    else:
        kept = [*[0] * first, -1, *shape_of(given["input"])[last + 1 :]]
    return b.add("Reshape", b.name_of(given["input"]), b.ints(kept))


@rule("unflatten")
def _unflatten(b: Builder, given: dict[str, Any], node: Node) -> str:
    axis = _axis(given["dim"], len(shape_of(given["input"])))
    sizes = [*[0] * axis, *node.meta["shape"][axis:]]
    return b.add("Reshape", b.name_of(given["input"]), b.ints(sizes))


@rule("permute")
def _permute(b: Builder, given: dict[str, Any], node: Node) -> str:
    rank = len(shape_of(given["input"]))
    order = [_axis(d, rank) for d in _rest(node, given, "dims")]
    return b.add("Transpose", b.name_of(given["input"]), perm=order)


@rule("transpose", "swapaxes", "swapdims")
def _transpose(b: Builder, given: dict[str, Any], node: Node) -> str:
    values = list(given.values())
    order = list(range(len(shape_of(given["input"]))))
    first, second = [_axis(v, len(order)) for v in values[1:3]]
    order[first], order[second] = order[second], order[first]
    return b.add("Transpose", b.name_of(given["input"]), perm=order)


@rule("t", "T", "mT")
def _t(b: Builder, given: dict[str, Any], node: Node) -> str:
    order = list(range(len(shape_of(given["input"]))))
    if len(order) > 1:
        order[-2:] = order[-1], order[-2]
    return b.add("Transpose", b.name_of(given["input"]), perm=order)


@rule("unsqueeze")
def _unsqueeze(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Unsqueeze", b.name_of(given["input"]), b.ints([given["dim"]]))


@rule("squeeze")
def _squeeze(b: Builder, given: dict[str, Any], node: Node) -> str:
    shape = shape_of(given["input"])
    dim = given.get("dim")
    named = range(len(shape)) if dim is None else dim if isinstance(dim, (list, tuple)) else [dim]
    axes = [_axis(d, len(shape)) for d in named if shape[_axis(d, len(shape))] == 1]
    if not axes:
        return b.add("Identity", b.name_of(given["input"]))
    return b.add("Squeeze", b.name_of(given["input"]), b.ints(axes))


@rule("expand", "broadcast_to")
def _expand(b: Builder, given: dict[str, Any], node: Node) -> str:
    sizes = [1 if int(s) == -1 else s for s in _rest(node, given, "sizes", "size", "shape")]
    return b.add("Expand", b.name_of(given["input"]), b.ints(sizes))


@rule("expand_as")
def _expand_as(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Expand", b.name_of(given["input"]), b.add("Shape", b.name_of(given["other"])))


@rule("repeat", "tile")
def _repeat(b: Builder, given: dict[str, Any], node: Node) -> str:
    counts = _rest(node, given, "repeats", "sizes", "dims", "reps")
    missing = len(counts) - len(shape_of(given["input"]))
    x = b.name_of(given["input"])
    if missing > 0:
        x = b.add("Unsqueeze", x, b.ints(list(range(missing))))
    return b.add("Tile", x, b.ints([*[1] * -missing, *counts]))


@rule("cat", "concat", "concatenate")
def _cat(b: Builder, given: dict[str, Any], node: Node) -> str:
    dtype = node.meta["dtype"]
    parts = [b.name_of(x, dtype) for x in given["tensors"]]
    return b.add("Concat", *parts, axis=given.get("dim", 0))


@rule("stack")
def _stack(b: Builder, given: dict[str, Any], node: Node) -> str:
    dim = given.get("dim", 0)
    parts = [b.add("Unsqueeze", b.name_of(x), b.ints([dim])) for x in given["tensors"]]
    return b.add("Concat", *parts, axis=dim)


@rule("chunk", "split", "split_with_sizes", "tensor_split")
def _split(b: Builder, given: dict[str, Any], node: Node) -> list[str]:
    axis = _axis(given.get("dim", 0), len(shape_of(given["input"])))
    sizes = [shape[axis] for shape in node.meta["shapes"]]
    made = b.add("Split", b.name_of(given["input"]), b.ints(sizes), outputs=len(sizes), axis=axis)
    return [made] if isinstance(made, str) else made


@rule("unbind")
def _unbind(b: Builder, given: dict[str, Any], node: Node) -> list[str]:
    axis = given.get("dim", 0)
    count = shape_of(given["input"])[axis]
    x = b.name_of(given["input"])
    return [b.add("Gather", x, b.number(i, int64), axis=axis) for i in range(count)]


@rule("select")
def _select(b: Builder, given: dict[str, Any], node: Node) -> str:
    place = b.number(int(given["index"]), int64)
    return b.add("Gather", b.name_of(given["input"]), place, axis=given["dim"])


@rule("narrow")
def _narrow(b: Builder, given: dict[str, Any], node: Node) -> str:
    start = int(given["start"])
    bounds = [b.ints([start]), b.ints([start + int(given["length"])]), b.ints([given["dim"]])]
    return b.add("Slice", b.name_of(given["input"]), *bounds)


@rule("index_select")
def _index_select(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Gather", b.name_of(given["input"]), b.name_of(given["index"]), axis=given["dim"])


@rule("gather")
def _gather(b: Builder, given: dict[str, Any], node: Node) -> str:
    index = b.name_of(given["index"])
    return b.add("GatherElements", b.name_of(given["input"]), index, axis=given["dim"])


@rule("flip")
def _flip(b: Builder, given: dict[str, Any], node: Node) -> str:
    axes = [int(d) for d in _rest(node, given, "dims")]
    ends = [b.ints([v] * len(axes)) for v in (-1, -_LARGEST)]
    return b.add("Slice", b.name_of(given["input"]), *ends, b.ints(axes), b.ints([-1] * len(axes)))


@rule("getitem")
def _getitem(b: Builder, given: dict[str, Any], node: Node) -> str:
    owner, index = node.args[0], node.args[1]
    parts = list(index) if isinstance(index, tuple) else [index]
    rank = len(shape_of(owner))
    if any(part is Ellipsis for part in parts):
        place = parts.index(Ellipsis)
        used = sum(1 for part in parts if part is not None) - 1
        parts[place : place + 1] = [slice(None)] * (rank - used)
    x = b.name_of(owner)
    axis = 0
    for part in parts:
        if part is None:
            x = b.add("Unsqueeze", x, b.ints([axis]))
            axis += 1
        elif isinstance(part, slice):
            if part != slice(None):
                step = part.step or 1
                start = 0 if part.start is None else int(part.start)
                stop = _LARGEST if part.stop is None else int(part.stop)
                x = b.add("Slice", x, b.ints([start]), b.ints([stop]), b.ints([axis]),
                          b.ints([step]))  # fmt: skip
            axis += 1
        elif isinstance(part, Node):
            if dtype_of(part).name == "bool" or sum(isinstance(p, Node) for p in parts) > 1:
                raise OnnxExporterError("onnx.export: indexing by masks or several tensors")
            x = b.add("Gather", x, b.name_of(part, int64), axis=axis)
            axis += len(shape_of(part))
        else:
            x = b.add("Gather", x, b.number(int(part), int64), axis=axis)
    return b.add("Identity", x) if x == b.name_of(owner) else x


@rule("pad")
def _pad(b: Builder, given: dict[str, Any], node: Node) -> str:
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}.get(given["mode"])
    if mode is None:
        raise OnnxExporterError(f"onnx.export: pad with mode={given['mode']!r} is not written")
    rank, pads = len(shape_of(given["input"])), list(given["pad"])
    low, high = [0] * rank, [0] * rank
    for place in range(len(pads) // 2):
        low[rank - 1 - place], high[rank - 1 - place] = pads[2 * place : 2 * place + 2]
    value = [b.number(given.get("value") or 0, node.meta["dtype"])] if mode == "constant" else []
    return b.add("Pad", b.name_of(given["input"]), b.ints(low + high), *value, mode=mode)


@rule("pixel_shuffle")
def _pixel_shuffle(b: Builder, given: dict[str, Any], node: Node) -> str:
    size = given["upscale_factor"]
    return b.add("DepthToSpace", b.name_of(given["input"]), blocksize=size, mode="CRD")


@rule("tril", "triu")
def _triangle(b: Builder, given: dict[str, Any], node: Node) -> str:
    upper = int("triu" in node.target.__name__)
    offset = b.number(given.get("diagonal", 0), int64)
    return b.add("Trilu", b.name_of(given["input"]), offset, upper=upper)


@rule("new_zeros", "zeros_like", "new_ones", "ones_like", "full_like", "new_full")
def _filled(b: Builder, given: dict[str, Any], node: Node) -> str:
    name = node.target.__name__
    value = given.get("fill_value", 1 if "ones" in name else 0)
    dtype = node.meta["dtype"]
    if name.endswith("_like"):
        shape = b.add("Shape", b.name_of(given["input"]))
        return b.add("Expand", b.number(value, dtype), shape)
    return b.array(np.full(node.meta["shape"], value, dtype.numpy))


# ---- reductions ----------------------------------------------------------------------------------

_REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin",
    "prod": "ReduceProd", "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


def _axes(b: Builder, dim: Any) -> list[str]:
    if dim is None or dim in ((), []):
        return []
    return [b.ints(list(dim) if isinstance(dim, (list, tuple)) else [dim])]


def _reduction(kind: str) -> Any:
    def write(b: Builder, given: dict[str, Any], node: Node) -> str:
        x = b.name_of(given["input"], node.meta["dtype"])
        return b.add(kind, x, *_axes(b, given.get("dim")), keepdims=int(bool(given.get("keepdim"))))

    return write


for _name, _kind in _REDUCTIONS.items():
    rule(_name)(_reduction(_kind))


@rule("softmax", "log_softmax", "softmax_of_top", "log_softmax_of_top")
def _softmax(b: Builder, given: dict[str, Any], node: Node) -> str:
    kind = "LogSoftmax" if "log" in node.target.__name__ else "Softmax"
    dim = given["dim"]
    if dim is None:
        raise OnnxExporterError("onnx.export: softmax without dim is not written")
    return b.add(kind, b.name_of(given["input"], node.meta["dtype"]), axis=dim)


@rule("max", "min")
def _extremum(b: Builder, given: dict[str, Any], node: Node) -> Any:
    largest = node.target.__name__ == "max"
    values = [v for v in (*node.args[1:], *node.kwargs.values()) if v is not None]
    x = b.name_of(given["input"])
    kind = "ReduceMax" if largest else "ReduceMin"
    if not values:
        return b.add(kind, x, keepdims=0)
    if isinstance(values[0], Node):
        return b.add("Max" if largest else "Min", x, b.name_of(values[0]))
    keep = int(len(values) > 1 and bool(values[1]))
    place = b.add("ArgMax" if largest else "ArgMin", x, axis=values[0], keepdims=keep)
    return [b.add(kind, x, b.ints([values[0]]), keepdims=keep), place]


@rule("argmax", "argmin")
def _argument(b: Builder, given: dict[str, Any], node: Node) -> str:
    kind = "ArgMax" if "max" in node.target.__name__ else "ArgMin"
    x, dim = b.name_of(given["input"]), given.get("dim")
    keep = int(bool(given.get("keepdim")))
    if dim is None:
        flat = b.add("Reshape", x, b.ints([-1]))
        return b.add("Squeeze", b.add(kind, flat, axis=0, keepdims=1), b.ints([0]))
    return b.add(kind, x, axis=dim, keepdims=keep)


@rule("var", "std")
def _variance(b: Builder, given: dict[str, Any], node: Node) -> str:
    dim = given.get("dim")
    correction = given.get("correction")
    if given.get("unbiased") is not None:
        correction = int(given["unbiased"])
    correction = 1 if correction is None else correction
    x, dtype = b.name_of(given["input"]), node.meta["dtype"]
    centered = b.add("Sub", x, b.add("ReduceMean", x, *_axes(b, dim), keepdims=1))
    keep = int(bool(given.get("keepdim")))
    total = b.add("ReduceSumSquare", centered, *_axes(b, dim), keepdims=keep)
    shape = b.add("Shape", x)
    if dim is not None:
        shape = b.add("Gather", shape, *_axes(b, dim), axis=0)
    count = b.add("Cast", b.add("ReduceProd", shape, keepdims=0), to=element_type(dtype))
    found = b.add("Div", total, b.add("Sub", count, b.number(correction, dtype)))
    return b.add("Sqrt", found) if node.target.__name__ == "std" else found


@rule("norm", "vector_norm", "matrix_norm")
def _norm(b: Builder, given: dict[str, Any], node: Node) -> str:
    order = given.get("p", given.get("ord", 2))
    if order not in (1, 2, "fro", None):
        raise OnnxExporterError(f"onnx.export: norm of order {order!r} is not written")
    kind = "ReduceL1" if order == 1 else "ReduceL2"
    keep = int(bool(given.get("keepdim")))
    first = given.get("input", next(iter(given.values())))
    return b.add(kind, b.name_of(first), *_axes(b, given.get("dim")), keepdims=keep)


@rule("normalize")
def _normalize(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, dtype = b.name_of(given["input"]), node.meta["dtype"]
    kind = {1: "ReduceL1", 2: "ReduceL2"}.get(given["p"])
    if kind is None:
        raise OnnxExporterError("onnx.export: normalize of this order is not written")
    size = b.add(kind, x, *_axes(b, given["dim"]), keepdims=1)
    return b.add("Div", x, b.add("Max", size, b.number(given["eps"], dtype)))


@rule("topk")
def _topk(b: Builder, given: dict[str, Any], node: Node) -> list[str]:
    options = {"largest": int(given["largest"]), "sorted": int(given["sorted"])}
    count = b.ints([given["k"]])
    x = b.name_of(given["input"])
    return b.add("TopK", x, count, outputs=2, axis=given.get("dim", -1), **options)
