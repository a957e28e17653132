"""Identity of the code generator itself, so that cached object code dies with the code that
made it.  Level 7."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


@functools.cache
def codegen_fingerprint() -> str:
    """A digest of the source files of this folder and of the loop nest's."""
    digest = hashlib.sha256()
    here = Path(__file__).resolve().parent
    for folder in (here, here.parent / "loopnest"):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
