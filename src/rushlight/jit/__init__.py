"""PyTorch's `torch.jit`: marks of TorchScript, and wrappers that run what they wrap.

Everything that is recorded is compiled, so `script` and `trace` need not translate anything: what
they return calls the Python code that it wraps, and has the names by which programs know a
scripted module.  `load` reads archives of TorchScript and runs their code; `save` writes traced
modules as such.  Level 12.
"""

from rushlight.futures import Future
from rushlight.jit import annotations, frontend, scripted
from rushlight.jit.annotations import (
    Attribute,
    Error,
    Final,
    TracerWarning,
    annotate,
    export,
    ignore,
    interface,
    is_scripting,
    is_tracing,
    isinstance,
    overload,
    script_method,
    unused,
)
from rushlight.jit.files import load, save
from rushlight.jit.scripted import (
    CompilationUnit,
    RecursiveScriptModule,
    ScriptFunction,
    ScriptModule,
    TopLevelTracedModule,
    TracedModule,
    freeze,
    optimize_for_inference,
    script,
    script_if_tracing,
    trace,
    trace_module,
)
from rushlight.jit.switches import (
    enable_onednn_fusion,
    export_opnames,
    fork,
    fuser,
    last_executed_optimized_graph,
    onednn_fusion_enabled,
    optimized_execution,
    run_frozen_optimizations,
    set_fusion_strategy,
    strict_fusion,
    wait,
)

_fork, _wait = fork, wait
_isinstance, _overload, _overload_method = isinstance, overload, overload
_script_if_tracing = script_if_tracing

__all__ = [
    "Attribute",
    "CompilationUnit",
    "Error",
    "Final",
    "Future",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "TopLevelTracedModule",
    "TracedModule",
    "TracerWarning",
    "annotate",
    "annotations",
    "enable_onednn_fusion",
    "export",
    "export_opnames",
    "fork",
    "freeze",
    "frontend",
    "fuser",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "last_executed_optimized_graph",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "optimized_execution",
    "overload",
    "run_frozen_optimizations",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "scripted",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]
