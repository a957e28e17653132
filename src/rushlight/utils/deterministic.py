"""Whether memory that was not written is filled: `torch.utils.deterministic`.  Level 12."""

from __future__ import annotations

# Memory of `empty` is zeros or what was there; no result of this library depends on it.
fill_uninitialized_memory = True
