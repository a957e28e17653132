"""PyTorch's `torch.onnx`: models as files of ONNX, by the `onnx` package, which is an extra.

A model is called once with example arguments, and what it did is written; branches on values are
those of the example.  Level: onnx (12).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rushlight.fx.recording import Recording, record
from rushlight.nn.modules.module import Module
from rushlight.onnx import arranging, elementwise, errors, layers  # noqa: F401 - rules, names
from rushlight.onnx.building import (
    OPSET,
    Builder,
    OnnxExporterError,
    UnsupportedOperatorError,
    element_type,
)
from rushlight.onnx.dynamic import Sizes
from rushlight.onnx.program import ONNXProgram
from rushlight.ops.joining import cat
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = [
    "ONNXProgram",
    "OnnxExporterError",
    "UnsupportedOperatorError",
    "export",
    "is_in_onnx_export",
    "register_custom_op_symbolic",
    "unregister_custom_op_symbolic",
]

_state = {"exporting": False}


def is_in_onnx_export() -> bool:
    """Whether a model is being exported."""
    return _state["exporting"]


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Say how TorchScript's exporter writes an operator.  Raises: OnnxExporterError: a graph is
    recorded from calls here, and what writes a call is a rule of `rushlight.onnx.building`."""
    raise OnnxExporterError(
        f"register_custom_op_symbolic: {symbolic_name}: no TorchScript graph is exported here; "
        "write the call by a function of (builder, arguments, node) under "
        "@rushlight.onnx.building.rule(name), which gives builder.add(kind, *inputs)"
    )


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Forget such an operator: none is known."""


def export(
    model: Any,
    args: Any = (),
    f: str | os.PathLike | Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    dynamic_axes: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    export_params: bool = True,
    **options: Any,
) -> ONNXProgram:
    """Write a model as ONNX, by one call with `args`.

    f: a path or binary file; without it the program is only returned.
    dynamic_axes: {input's name: {axis: name}} of sizes that may vary; the model is called again
        with other sizes, to find the numbers that follow them.
    opset_version: of the file; 18 by default.
    Raises: OnnxExporterError without the `onnx` package, and for what has no form in ONNX, which
    UnsupportedOperatorError names.  Source: torch.onnx.export.
    """
    if dynamic_shapes is not None and dynamic_axes is None:
        raise OnnxExporterError(
            "onnx.export: dynamic_shapes is not supported; say dynamic_axes={name: {axis: label}}"
        )
    onnx = _package()
    arguments = (args,) if isinstance(args, (Tensor, dict)) else tuple(args)
    trained = isinstance(model, Module) and model.training
    _state["exporting"] = True
    try:
        with no_grad():
            if trained:
                model.eval()
            first = record(model, arguments, kwargs)
            names = _input_names(first, input_names)
            axes = _dynamic(dynamic_axes, names)
            variants = [
                _variant(model, arguments, kwargs, first, names, name, axis) for name, axis in axes
            ]
            proto = _graph(onnx, first, names, output_names, axes, variants)
    finally:
        _state["exporting"] = False
        if trained:
            model.train()
    if opset_version is not None and opset_version != OPSET:
        proto = onnx.version_converter.convert_version(proto, opset_version)
    onnx.checker.check_model(proto)
    program = ONNXProgram(proto)
    if f is not None:
        program.save(f)
    return program


def _package() -> Any:
    try:
        found = importlib.import_module("onnx")
        importlib.import_module("onnx.version_converter")
    except ImportError as error:
        raise OnnxExporterError(
            "Module onnx is not installed! install rushlight[onnx], or the onnx package"
        ) from error
    return found


def _input_names(recording: Recording, given: Sequence[str] | None) -> dict[str, str]:
    """From the names of the recording to those in the file."""
    found = list(given or ())
    if len(found) > len(recording.names):
        raise OnnxExporterError(
            f"onnx.export: {len(found)} input_names for {len(recording.names)} inputs"
        )
    return {
        name: found[place] if place < len(found) else name
        for place, name in enumerate(recording.names)
    }


def _dynamic(axes: Mapping[str, Any] | None, names: dict[str, str]) -> list[tuple[str, int]]:
    inputs = set(names.values())
    found = []
    for name, listed in (axes or {}).items():
        if name in inputs:
            found += [(name, int(axis)) for axis in listed]
    return found


def _variant(
    model: Any, args: tuple, kwargs: Any, first: Recording, names: dict[str, str], name: str,
    axis: int,
) -> tuple:  # fmt: skip
    """The call again, with one element more along an axis of an input."""
    position = list(names.values()).index(name)
    seen = 0
    size = 0

    def longer(value: Any) -> Any:
        nonlocal seen, size
        if isinstance(value, Tensor):
            seen += 1
            if seen - 1 != position:
                return value
            size = value.shape[axis]
            return cat([value, value.narrow(axis, size - 1, 1)], axis)
        if isinstance(value, dict):
            return {k: longer(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(longer(v) for v in value)
        return value

    given = tuple(longer(value) for value in args)
    named = {key: longer(value) for key, value in (kwargs or {}).items()}
    other = record(model, given, named)
    return name, axis, size, size + 1, list(other.graph.nodes)


def _graph(
    onnx: Any, recording: Recording, names: dict[str, str], output_names: Sequence[str] | None,
    axes: list[tuple[str, int]], variants: list[tuple],
) -> Any:  # fmt: skip
    builder = Builder(onnx, recording, names)
    if variants:
        builder.dynamic = Sizes(recording, variants)
    builder.write()
    inputs = []
    for node in recording.graph.nodes:
        if node.op == "placeholder":
            name = names[node.name]
            shape: list = list(node.meta["shape"])
            for owner, axis in axes:
                if owner == name:
                    shape[axis] = f"{name}_{axis}"
            kind = element_type(node.meta["dtype"])
            inputs.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    outputs = []
    listed = list(output_names or ())
    for place, node in enumerate(_leaves(recording.result)):
        name = listed[place] if place < len(listed) else builder.fresh(f"output_{place}")
        builder.nodes.append(onnx.helper.make_node("Identity", [builder.values[node]], [name]))
        fixed = [
            f"{name}_{axis}" if builder.dynamic is not None and builder.dynamic.varies(node, axis)
            else size
            for axis, size in enumerate(node.meta["shape"])
        ]  # fmt: skip
        kind = element_type(node.meta["dtype"])
        outputs.append(onnx.helper.make_tensor_value_info(name, kind, fixed))
    graph = onnx.helper.make_graph(
        builder.nodes, "main_graph", inputs, outputs, initializer=builder.initializers
    )
    version = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(
        graph, opset_imports=version, producer_name="rushlight", ir_version=9
    )


def _leaves(result: Any) -> list:
    """The nodes of a result, in order; numbers are no outputs."""
    if isinstance(result, dict):
        return [x for part in result.values() for x in _leaves(part)]
    if isinstance(result, (list, tuple)):
        return [x for part in result for x in _leaves(part)]
    return [result] if hasattr(result, "meta") else []
