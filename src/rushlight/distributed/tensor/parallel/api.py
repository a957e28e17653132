"""`parallelize_module`: give layers, by their names, the styles in which they are split.  Level 12.

Source: torch.distributed.tensor.parallel.
"""

from __future__ import annotations

import contextlib
import fnmatch
import warnings
from collections.abc import Iterator

from rushlight.distributed.device_mesh import DeviceMesh
from rushlight.distributed.tensor.parallel.style import ParallelStyle
from rushlight.nn.modules.module import Module


def parallelize_module(
    module: Module,
    device_mesh: DeviceMesh | None = None,
    parallelize_plan: ParallelStyle | dict[str, ParallelStyle] | None = None,
    *,
    src_data_rank: int | None = 0,
) -> Module:
    """Apply a style to a module, or styles to the layers whose paths match; the same module.

    Paths may have wildcards in each of their names: `layers.*.attention`.
    """
    mesh = device_mesh or DeviceMesh("cpu", [0])
    if parallelize_plan is None:
        warnings.warn("parallelize_module: no plan was given, nothing is done", stacklevel=2)
        return module
    if isinstance(parallelize_plan, ParallelStyle):
        return parallelize_plan._apply(module, mesh)
    for pattern, style in parallelize_plan.items():
        found = list(_matching(module, pattern.split(".") if pattern else []))
        if not found:
            warnings.warn(f"parallelize_module: no layer matches {pattern!r}", stacklevel=2)
        for part in found:
            style._apply(part, mesh)
    return module


def _matching(module: Module, pattern: list[str]) -> Iterator[Module]:
    found = [module]
    for name in pattern:
        found = [
            child
            for part in found
            for own, child in part.named_children()
            if fnmatch.fnmatch(own, name)
        ]
    yield from found


@contextlib.contextmanager
def loss_parallel() -> Iterator[None]:
    """A stretch in which losses take logits split by classes; in one process they are whole."""
    yield
