"""PyTorch's `torch.export`: a module as one graph, recorded by calls.

Branches are those of the example; so are sizes, but for those that are said to be dynamic.
Level: export (12).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rushlight._dynamo.exc import UserError
from rushlight.export import dynamic_shapes, exported_program, graph_signature
from rushlight.export.dynamic_shapes import Dim, ShapesCollection, dims
from rushlight.export.encoding import (
    decoded,
    decoded_graph,
    decoded_sizes,
    encoded,
    encoded_graph,
    encoded_sizes,
)
from rushlight.export.exported_program import ExportedProgram
from rushlight.export.generalizing import generalize
from rushlight.export.graph_signature import ExportGraphSignature
from rushlight.fx.recording import record
from rushlight.nn.modules.module import Module
from rushlight.serialization import load as load_checkpoint
from rushlight.serialization import save as save_checkpoint
from rushlight.tensor.grad_mode import no_grad

__all__ = [
    "Dim",
    "ExportGraphSignature",
    "ExportedProgram",
    "ShapesCollection",
    "dims",
    "draft_export",
    "dynamic_shapes",
    "export",
    "exported_program",
    "graph_signature",
    "load",
    "save",
]

_VERSION = 2


def export(
    mod: Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    strict: bool = False,
    preserve_module_call_signature: tuple[str, ...] = (),
    prefer_deferred_runtime_asserts_over_guards: bool = False,
) -> ExportedProgram:
    """The graph of `mod(*args, **kwargs)`.

    dynamic_shapes: by the arguments' names, or in their order, what is said of the sizes of each
        tensor: `{axis: Dim("batch")}`, or one entry for each axis; None for the example's.  The
        module is called with other sizes, to find the numbers that follow them.
    Raises: ValueError for what is no module; UserError where a size that is to change cannot.
    Source: torch.export.export.
    """
    if not isinstance(mod, Module):
        raise ValueError(f"Expected `mod` to be an instance of `torch.nn.Module`, got {type(mod)}.")
    if not isinstance(args, tuple):
        raise TypeError(f"Expected args to be a tuple, got {type(args)}")
    named = dict(kwargs or {})
    with no_grad():
        if dynamic_shapes:
            recording, sizes = generalize(mod, args, named, dynamic_shapes)
        else:
            recording, sizes = record(mod, args, named), None
    constants = {
        name: value
        for name, value in recording.values.items()
        if name not in recording.parameters and name not in recording.buffers
    }
    return ExportedProgram(
        recording.graph, recording.arguments, recording.parameters, recording.buffers, constants,
        (args, named), sizes,
    )  # fmt: skip


def draft_export(
    mod: Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None, **options: Any
) -> ExportedProgram:
    """As `export`; sizes that cannot change are the example's, and raise nothing."""
    try:
        return export(mod, args, kwargs, **options)
    except UserError:
        options.pop("dynamic_shapes")
        return export(mod, args, kwargs, **options)


def save(ep: ExportedProgram, f: Any, *, extra_files: dict[str, Any] | None = None) -> None:
    """Write a program to a path or a binary file; only rushlight reads it.

    Raises: TypeError for other objects.  Source: torch.export.save.
    """
    if not isinstance(ep, ExportedProgram):
        raise TypeError(
            f"The 'ep' parameter must be an instance of 'ExportedProgram', got {type(ep).__name__}"
        )
    content = {
        "rushlight.export": _VERSION,
        "graph": encoded_graph(ep._recorded),
        "arguments": encoded(ep._arguments),
        "sizes": encoded_sizes(ep._sizes),
        "parameters": dict(ep._parameters),
        "buffers": dict(ep._buffers),
        "constants": dict(ep.constants),
        "extra": {name: str(text) for name, text in (extra_files or {}).items()},
    }
    save_checkpoint(content, f)


def load(f: Any, *, extra_files: dict[str, Any] | None = None) -> ExportedProgram:
    """The program that `save` wrote; no code of the file is run.

    Raises: RuntimeError for other files; pickle.UnpicklingError for damaged ones.
    Source: torch.export.load.
    """
    content = load_checkpoint(f, weights_only=True)
    if not isinstance(content, dict) or content.get("rushlight.export") != _VERSION:
        raise RuntimeError(
            "export.load: the file holds no program that rushlight.export.save wrote"
        )
    graph, nodes = decoded_graph(content["graph"])
    for name in list(extra_files or ()):
        if extra_files is not None and name in content["extra"]:
            extra_files[name] = content["extra"][name]
    parameters, buffers = content["parameters"], content["buffers"]
    return ExportedProgram(
        graph, decoded(content["arguments"], nodes), parameters, buffers, content["constants"],
        sizes=decoded_sizes(content["sizes"]),
    )  # fmt: skip
