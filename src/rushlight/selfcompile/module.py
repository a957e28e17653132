"""One module of machine code from the marked functions of one Python module.  Level 9."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from rushlight.selfcompile.interface import PLAIN_COUNTS
from rushlight.selfcompile.layout import ObjectLayout, SlotTable, Unsupported
from rushlight.selfcompile.names import Names
from rushlight.selfcompile.support import Support
from rushlight.selfcompile.translate import FunctionTranslator
from rushlight.selfcompile.tree import rebound_names


def module_text(
    functions: list[FunctionType], source: str, layout: ObjectLayout, slots: SlotTable
) -> str:
    """The text of a module: its functions as f0, f1 ..., and `manifest`, which says what each
    reads from its table, or why it was refused, and at last the names of the shared table."""
    rebound = rebound_names(source)
    support = Support(layout, slots, PLAIN_COUNTS)
    texts: list[str] = []
    manifest: list[Any] = []
    for place, function in enumerate(functions):
        try:
            made = FunctionTranslator(f"f{place}", function, Names(function, rebound), support)
        except Unsupported as reason:
            manifest.append(str(reason))
            texts.append(
                f"define ptr @f{place}(ptr %s, ptr %a, i64 %n, ptr %k) {{\n  ret ptr null\n}}"
            )
            continue
        manifest.append(made.constants)
        texts.append(made.text)
    texts.append(support.text())
    manifest.append(support.names)
    content = repr(manifest).encode() + b"\0"
    escaped = "".join(f"\\{byte:02x}" for byte in content)
    texts.append(f'@manifest = constant [{len(content)} x i8] c"{escaped}"')
    return "\n".join(texts)
