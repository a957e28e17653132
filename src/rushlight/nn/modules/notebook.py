"""How a module shows itself in a notebook: its parts as a tree that opens, with their sizes.

In: a module.  Out: HTML.  Level 12.
"""

from __future__ import annotations

import html
from typing import Any


def module_html(module: Any) -> str:
    """A tree of the module's parts; the outermost one is open."""
    return f'<div style="font-family:monospace">{_tree("", module, opened=True)}</div>'


def _tree(name: str, module: Any, *, opened: bool) -> str:
    count = sum(value.numel() for value in module.parameters())
    frozen = sum(value.numel() for value in module.parameters() if not value.requires_grad)
    words = f"({name}): " if name else ""
    words += f"{module._get_name()}({', '.join(module.extra_repr().splitlines())})"
    sizes = [f"{count:,} parameters"] if count else []
    sizes += [f"{frozen:,} frozen"] if frozen else []
    line = f"{html.escape(words)} <i style='opacity:.6'>{html.escape(', '.join(sizes))}</i>"
    parts = [(key, part) for key, part in module._modules.items() if part is not None]
    if not parts:
        return f'<div style="margin-left:1em">{line}</div>'
    inside = "".join(_tree(key, part, opened=False) for key, part in parts)
    state = " open" if opened else ""
    return f'<details style="margin-left:1em"{state}><summary>{line}</summary>{inside}</details>'
