"""Options of PyTorch's `torch.compiler`, kept and without effect.  Level 12."""

from __future__ import annotations

job_id: str | None = None
force_disable_caches = False
dynamic_sources = ""
unbacked_sources = ""
