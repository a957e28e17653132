"""`torch.jit.save` and `torch.jit.load`.  Level: jit (12)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rushlight.jit.archive import read_archive
from rushlight.jit.saving import can_be_saved, write_archive
from rushlight.serialization.atomic import write_atomically


def save(m: Any, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
    """Write a scripted or traced module or function as an archive that PyTorch reads, too.

    f: a path or a binary file.  _extra_files: further records, text or bytes by their names.
    A scripted one is compiled from its Python source, a traced one is written as what its call
    with the example did, and one that `load` gave keeps its code.  Raises: RuntimeError, with file
    and line, for what TorchScript does not have; AttributeError for modules that are neither.
    Source: torch.jit.save.
    """
    if not can_be_saved(m):
        raise AttributeError(
            f"jit.save: a {type(m).__name__} cannot be saved as TorchScript; trace it before"
        )
    if isinstance(f, (str, os.PathLike)):
        folder = Path(f).name.partition(".")[0] or "archive"
        write_atomically(f, lambda target: write_archive(target, folder, m, _extra_files))
    else:
        write_archive(f, "archive", m, _extra_files)


def load(
    f: Any,
    map_location: Any = None,
    _extra_files: dict[str, Any] | None = None,
    _restore_shapes: bool = False,
) -> Any:
    """The module of a TorchScript archive, written here or by PyTorch.

    Its code can call operators on tensors and nothing else, so that a file can do no more than
    compute.  Raises: RuntimeError for damaged files, and, at the call, for operators that rushlight
    does not have.  Source: torch.jit.load.
    """
    if not isinstance(f, (str, os.PathLike)):
        return read_archive(f, map_location, _extra_files)
    if not os.path.exists(f):
        raise ValueError(f"The provided filename {f} does not exist")
    if os.path.isdir(f):
        raise ValueError(f"The provided filename {f} is a directory")
    with open(f, "rb") as source:
        return read_archive(source, map_location, _extra_files)
