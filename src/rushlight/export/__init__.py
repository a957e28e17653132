"""PyTorch's `torch.export`: a module as one graph, recorded by one call.

Sizes and branches are those of the example.  Level: export (12).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rushlight.export import exported_program, graph_signature
from rushlight.export.encoding import decoded, decoded_graph, encoded, encoded_graph
from rushlight.export.exported_program import ExportedProgram
from rushlight.export.graph_signature import ExportGraphSignature
from rushlight.fx.recording import record
from rushlight.nn.modules.module import Module
from rushlight.serialization import load as load_checkpoint
from rushlight.serialization import save as save_checkpoint
from rushlight.tensor.grad_mode import no_grad

__all__ = [
    "ExportGraphSignature",
    "ExportedProgram",
    "export",
    "exported_program",
    "graph_signature",
    "load",
    "save",
]

_VERSION = 1


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

    Raises: ValueError for what is no module; NotImplementedError for dynamic_shapes: sizes are
    those of the example.  Source: torch.export.export.
    """
    if not isinstance(mod, Module):
        raise ValueError(f"Expected `mod` to be an instance of `torch.nn.Module`, got {type(mod)}.")
    if not isinstance(args, tuple):
        raise TypeError(f"Expected args to be a tuple, got {type(args)}")
    if dynamic_shapes:
        raise NotImplementedError(
            "export: dynamic_shapes is not supported; sizes are those of the example, export once "
            "for each"
        )
    with no_grad():
        recording = record(mod, args, dict(kwargs or {}))
    constants = {
        name: value
        for name, value in recording.values.items()
        if name not in recording.parameters and name not in recording.buffers
    }
    return ExportedProgram(
        recording.graph, recording.arguments, recording.parameters, recording.buffers, constants,
        (args, dict(kwargs or {})),
    )  # fmt: skip


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
    parts = [content[kind] for kind in ("parameters", "buffers", "constants")]
    return ExportedProgram(graph, decoded(content["arguments"], nodes), *parts)
