"""Identity of the code generator itself, so that cached object code dies with the code that
made it.  Level 7."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


@functools.cache
def codegen_fingerprint() -> str:
    """A digest of this folder's source files."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).resolve().parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
