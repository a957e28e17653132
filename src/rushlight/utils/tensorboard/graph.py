"""A model's graph for TensorBoard: one node for each call of a module without children.  Level 12.

In: a module and its input. Out: a GraphDef. A module's operands are found by the identity of the
tensors it got: each comes from the module that returned it, or from outside.
"""

from __future__ import annotations

from typing import Any

from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor
from rushlight.utils._pytree import tree_leaves
from rushlight.utils.tensorboard import encoding, summaries


def of_module(model: Any, inputs: Any, verbose: bool) -> Any:
    """The graph seen in one call."""
    graphs = summaries.library("compat.proto.graph_pb2")
    node_defs = summaries.library("compat.proto.node_def_pb2")
    versions = summaries.library("compat.proto.versions_pb2")
    arguments = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    root = type(model).__name__
    producers: dict[int, str] = {}
    kept: list[Any] = []  # so that no identity is used twice
    nodes: list[Any] = []

    def sources(values: Any) -> list[str]:
        found = []
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                kept.append(value)
                found.append(producers.get(id(value), f"{root}/outside"))
        return found

    def node(name: str, operation: str, operands: list[str], shape: Any = None) -> None:
        nodes.append(node_defs.NodeDef(name=name, op=operation, input=operands))

    for position, value in enumerate(arguments):
        name = f"input/input.{position}"
        producers[id(value)] = name
        kept.append(value)
        node(name, "IO Node", [])
    calls: dict[str, int] = {}

    def hook_for(path: str) -> Any:
        def hook(module: Any, args: Any, result: Any) -> None:
            count = calls[path] = calls.get(path, 0) + 1
            name = f"{root}/{path.replace('.', '/')}" + (f".{count}" if count > 1 else "")
            node(name, type(module).__name__, sources(args))
            for value in tree_leaves(result):
                producers[id(value)] = name
                kept.append(value)

        return hook

    handles = [
        module.register_forward_hook(hook_for(path))
        for path, module in model.named_modules()
        if path and not any(True for _ in module.children())
    ]
    try:
        with no_grad():
            result = model(*arguments)
    finally:
        for handle in handles:
            handle.remove()
    used = {operand for made in nodes for operand in made.input}
    outputs = sources(result)
    if f"{root}/outside" in {*used, *outputs}:
        node(f"{root}/outside", "Tensor", [])
    for position, operand in enumerate(outputs):
        node(f"output/output.{position + 1}", "IO Node", [operand])
    definition = graphs.GraphDef(node=nodes, versions=versions.VersionDef(producer=22))
    if verbose:
        print(definition)  # noqa: T201 - what was asked for
    return definition


def of_onnx(path: str) -> Any:
    """The graph in an ONNX file."""
    onnx = encoding.optional("onnx", "add_onnx_graph", "onnx")
    graphs = summaries.library("compat.proto.graph_pb2")
    node_defs = summaries.library("compat.proto.node_def_pb2")
    model = onnx.load(path)
    nodes = [
        node_defs.NodeDef(name=value.name, op="IO Node")
        for value in (*model.graph.input, *model.graph.output)
    ]
    for value in model.graph.node:
        name = value.output[0]
        nodes.append(node_defs.NodeDef(name=name, op=value.op_type, input=list(value.input)))
    return graphs.GraphDef(node=nodes)
