"""Rules of ONNX for products, convolutions, normalizations, pools and recurrent layers.

Level: onnx (12).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.base.dtypes import bool_
from rushlight.fx.node import Node
from rushlight.onnx.building import Builder, OnnxExporterError, listed, rule, shape_of


@rule("linear")
def _linear(b: Builder, given: dict[str, Any], node: Node) -> str:
    x, weight = b.name_of(given["input"]), b.name_of(given["weight"])
    bias = given.get("bias")
    if len(shape_of(given["input"])) == 2:
        parts = [x, weight] if bias is None else [x, weight, b.name_of(bias)]
        return b.add("Gemm", *parts, transB=1)
    found = b.add("MatMul", x, b.add("Transpose", weight, perm=[1, 0]))
    return found if bias is None else b.add("Add", found, b.name_of(bias))


@rule("matmul", "mm", "bmm", "mv", "dot", "__matmul__")
def _matmul(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("MatMul", *[b.name_of(v) for v in list(given.values())[:2]])


@rule("addmm", "baddbmm")
def _addmm(b: Builder, given: dict[str, Any], node: Node) -> str:
    dtype = node.meta["dtype"]
    start, first, second = [b.name_of(v) for v in list(given.values())[:3]]
    product = b.add("MatMul", first, second)
    if given.get("alpha", 1) != 1:
        product = b.add("Mul", product, b.number(given["alpha"], dtype))
    if given.get("beta", 1) != 1:
        start = b.add("Mul", start, b.number(given["beta"], dtype))
    return b.add("Add", start, product)


@rule("einsum")
def _einsum(b: Builder, given: dict[str, Any], node: Node) -> str:
    equation, *operands = node.args
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    return b.add("Einsum", *[b.name_of(v) for v in operands], equation=equation.replace(" ", ""))


@rule("scaled_dot_product_attention")
def _attention(b: Builder, given: dict[str, Any], node: Node) -> str:
    query, key, value = given["query"], given["key"], given["value"]
    dtype, rank = node.meta["dtype"], len(shape_of(query))
    scale = given.get("scale") or 1 / math.sqrt(shape_of(query)[-1])
    order = [*range(rank - 2), rank - 1, rank - 2]
    q = b.add("Mul", b.name_of(query), b.number(scale, dtype))
    scores = b.add("MatMul", q, b.add("Transpose", b.name_of(key), perm=order))
    mask = given.get("attn_mask")
    lowest = b.number(float("-inf"), dtype)
    if given.get("is_causal"):
        length, source = shape_of(query)[-2], shape_of(key)[-2]
        hidden = b.array(~np.tril(np.ones((length, source), bool)))
        scores = b.add("Where", hidden, lowest, scores)
    if mask is not None and mask.meta["dtype"] is bool_:
        scores = b.add("Where", b.name_of(mask), scores, lowest)
    elif mask is not None:
        scores = b.add("Add", scores, b.name_of(mask))
    return b.add("MatMul", b.add("Softmax", scores, axis=-1), b.name_of(value))


@rule("conv1d", "conv2d", "conv3d")
def _conv(b: Builder, given: dict[str, Any], node: Node) -> str:
    axes = len(shape_of(given["weight"])) - 2
    parts = [b.name_of(given["input"]), b.name_of(given["weight"])]
    if given.get("bias") is not None:
        parts.append(b.name_of(given["bias"]))
    dilation, padding = listed(given["dilation"], axes), given["padding"]
    if padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, shape_of(given["weight"])[2:])]
        pads = [s // 2 for s in spans] + [s - s // 2 for s in spans]
    elif padding == "valid":
        pads = [0] * (2 * axes)
    else:
        pads = listed(padding, axes) * 2
    return b.add("Conv", *parts, strides=listed(given["stride"], axes), pads=pads,
                 dilations=dilation, group=given["groups"])  # fmt: skip


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(b: Builder, given: dict[str, Any], node: Node) -> str:
    axes = len(shape_of(given["weight"])) - 2
    parts = [b.name_of(given["input"]), b.name_of(given["weight"])]
    if given.get("bias") is not None:
        parts.append(b.name_of(given["bias"]))
    return b.add("ConvTranspose", *parts, strides=listed(given["stride"], axes),
                 pads=listed(given["padding"], axes) * 2, group=given["groups"],
                 dilations=listed(given["dilation"], axes),
                 output_padding=listed(given["output_padding"], axes))  # fmt: skip


def _ones_and_zeros(b: Builder, given: dict[str, Any], shape: Any, dtype: Any) -> list[str]:
    found = []
    for name, value in (("weight", 1), ("bias", 0)):
        part = given.get(name)
        full = np.full(shape, value, dtype.numpy)
        found.append(b.array(full) if part is None else b.name_of(part))
    return found


@rule("batch_norm")
def _batch_norm(b: Builder, given: dict[str, Any], node: Node) -> str:
    if given["training"] or given["running_mean"] is None:
        raise OnnxExporterError("onnx.export: batch_norm in training; call eval() before")
    weight, bias = _ones_and_zeros(b, given, shape_of(given["running_mean"]), node.meta["dtype"])
    moments = [b.name_of(given["running_mean"]), b.name_of(given["running_var"])]
    return b.add("BatchNormalization", b.name_of(given["input"]), weight, bias, *moments,
                 epsilon=float(given["eps"]))  # fmt: skip


@rule("layer_norm")
def _layer_norm(b: Builder, given: dict[str, Any], node: Node) -> str:
    shape = tuple(given["normalized_shape"])
    weight, bias = _ones_and_zeros(b, given, shape, node.meta["dtype"])
    return b.add("LayerNormalization", b.name_of(given["input"]), weight, bias, axis=-len(shape),
                 epsilon=float(given["eps"]))  # fmt: skip


@rule("group_norm")
def _group_norm(b: Builder, given: dict[str, Any], node: Node) -> str:
    groups, dtype, rank = given["num_groups"], node.meta["dtype"], len(node.meta["shape"])
    x = b.name_of(given["input"])
    flat = b.add("Reshape", x, b.ints([0, groups, -1]))
    ones, zeros = [b.array(np.full(groups, v, dtype.numpy)) for v in (1, 0)]
    eps = float(given["eps"])
    normal = b.add("InstanceNormalization", flat, ones, zeros, epsilon=eps)
    found = b.add("Reshape", normal, b.add("Shape", x))
    spread = b.ints([-1, *[1] * (rank - 2)])
    for name, kind in (("weight", "Mul"), ("bias", "Add")):
        if given.get(name) is not None:
            found = b.add(kind, found, b.add("Reshape", b.name_of(given[name]), spread))
    return found


@rule("instance_norm")
def _instance_norm(b: Builder, given: dict[str, Any], node: Node) -> str:
    if not given["use_input_stats"]:
        raise OnnxExporterError("onnx.export: instance_norm with running statistics")
    weight, bias = _ones_and_zeros(b, given, node.meta["shape"][1], node.meta["dtype"])
    eps = float(given["eps"])
    return b.add("InstanceNormalization", b.name_of(given["input"]), weight, bias, epsilon=eps)


@rule("max_pool1d", "max_pool2d", "max_pool3d")
def _max_pool(b: Builder, given: dict[str, Any], node: Node) -> str:
    if given.get("return_indices"):
        raise OnnxExporterError("onnx.export: max_pool with return_indices is not written")
    axes = int(node.target.__name__[-2])
    kernel = listed(given["kernel_size"], axes)
    stride = given["stride"]
    return b.add("MaxPool", b.name_of(given["input"]), kernel_shape=kernel,
                 strides=kernel if stride in (None, [], ()) else listed(stride, axes),
                 pads=listed(given["padding"], axes) * 2, ceil_mode=int(given["ceil_mode"]),
                 dilations=listed(given["dilation"], axes))  # fmt: skip


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(b: Builder, given: dict[str, Any], node: Node) -> str:
    if given.get("divisor_override") is not None:
        raise OnnxExporterError("onnx.export: avg_pool with divisor_override is not written")
    axes = int(node.target.__name__[-2])
    kernel, stride = listed(given["kernel_size"], axes), given["stride"]
    return b.add("AveragePool", b.name_of(given["input"]), kernel_shape=kernel,
                 strides=kernel if stride in (None, [], ()) else listed(stride, axes),
                 pads=listed(given["padding"], axes) * 2, ceil_mode=int(given["ceil_mode"]),
                 count_include_pad=int(given["count_include_pad"]))  # fmt: skip


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d")
def _adaptive(b: Builder, given: dict[str, Any], node: Node) -> str:
    name = node.target.__name__
    axes = int(name[-2])
    source = shape_of(given["input"])[-axes:]
    wanted = [s if w is None else w for s, w in zip(source, listed(given["output_size"], axes))]
    kind = "AveragePool" if "avg" in name else "MaxPool"
    if all(w == 1 for w in wanted):
        return b.add(f"Global{kind}", b.name_of(given["input"]))
    if any(s % w for s, w in zip(source, wanted)):
        raise OnnxExporterError(f"onnx.export: {name} from {source} to {wanted} is not written")
    kernel = [s // w for s, w in zip(source, wanted)]
    return b.add(kind, b.name_of(given["input"]), kernel_shape=kernel, strides=kernel)


@rule("interpolate")
def _interpolate(b: Builder, given: dict[str, Any], node: Node) -> str:
    mode, aligned = given["mode"], bool(given.get("align_corners"))
    if mode not in ("nearest", "bilinear", "linear", "trilinear", "bicubic"):
        raise OnnxExporterError(f"onnx.export: interpolate with mode={mode!r} is not written")
    source, target = shape_of(given["input"]), node.meta["shape"]
    places = "align_corners" if aligned else "half_pixel"
    kind = {"nearest": "nearest", "bicubic": "cubic"}.get(mode, "linear")
    scales = b.array([t / s for s, t in zip(source, target)], np.float32)
    return b.add("Resize", b.name_of(given["input"]), "", scales, mode=kind,
                 coordinate_transformation_mode="asymmetric" if kind == "nearest" else places,
                 nearest_mode="floor", cubic_coeff_a=-0.75)  # fmt: skip


@rule("embedding")
def _embedding(b: Builder, given: dict[str, Any], node: Node) -> str:
    return b.add("Gather", b.name_of(given["weight"]), b.name_of(given["input"]), axis=0)


# ONNX's order of the gates, by PyTorch's.
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN_TANH": (0,), "RNN_RELU": (0,)}


@rule("recurrent_layers")
def _recurrent(b: Builder, given: dict[str, Any], node: Node) -> list[str]:
    mode, flat, both = given["mode"], list(given["flat"]), given["bidirectional"]
    if given["sizes"] is not None:
        raise OnnxExporterError("onnx.export: packed sequences are not written")
    each, count = (4 if given["biased"] else 2), (2 if both else 1)
    layers = len(flat) // (each * count)
    if len(flat) != layers * each * count:
        raise OnnxExporterError("onnx.export: LSTM with projections is not written")
    x = b.name_of(given["input"])
    hidden = shape_of(given["flat"][1])[1]
    starts = [_start(b, part) for part in given["state"]]
    ends: list[list[str]] = [[] for _ in starts]
    for layer in range(layers):
        weights = [
            flat[(layer * count + d) * each : (layer * count + d + 1) * each] for d in range(count)
        ]
        parts = [_joined(b, mode, [w[i] for w in weights]) for i in (0, 1)]
        if given["biased"]:
            halves = [_joined(b, mode, [w[i] for w in weights]) for i in (2, 3)]
            parts.append(b.add("Concat", *halves, axis=1))
        else:
            parts.append("")
        first = [_layer_of(b, start, layer * count, count) for start in starts]
        options: dict[str, Any] = {"hidden_size": hidden}
        if both:
            options["direction"] = "bidirectional"
        if mode == "RNN_RELU":
            options["activations"] = ["Relu"] * count
        if mode == "GRU":
            options["linear_before_reset"] = 1
        kind = mode.partition("_")[0]
        made = b.add(kind, x, *parts, "", *first, outputs=1 + len(starts), **options)
        # (T, directions, B, H) -> (T, B, directions * H)
        x = b.add("Reshape", b.add("Transpose", made[0], perm=[0, 2, 1, 3]), b.ints([0, 0, -1]))
        for end, last in zip(ends, made[1:]):
            end.append(last)
    return [x, *[part[0] if layers == 1 else b.add("Concat", *part, axis=0) for part in ends]]


def _start(b: Builder, state: Any) -> str:
    """The first state; none where it is zeros, which is ONNX's default for any batch."""
    if isinstance(state, Node) and state.op == "get_attr":
        value = b.recording.values[state.target]
        if not bool(value.any()):
            return ""
    return b.name_of(state)


def _layer_of(b: Builder, start: str, at: int, count: int) -> str:
    if not start:
        return ""
    return b.add("Slice", start, b.ints([at]), b.ints([at + count]), b.ints([0]))


def _joined(b: Builder, mode: str, parts: list) -> str:
    """A weight of both directions, (directions, gates, ...), in ONNX's order of gates."""
    order = _GATES[mode]
    found = []
    for part in parts:
        name = b.name_of(part)
        if len(order) > 1:
            pieces = b.add("Split", name, outputs=len(order), axis=0, num_outputs=len(order))
            name = b.add("Concat", *[pieces[i] for i in order], axis=0)
        found.append(b.add("Unsqueeze", name, b.ints([0])))
    return found[0] if len(found) == 1 else b.add("Concat", *found, axis=0)
