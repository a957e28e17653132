"""What a checkpoint would need allowed.  In: a checkpoint.  Out: names.  Nothing of it runs.

Level: serialization (12).
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections.abc import Iterator
from typing import Any

from rushlight.serialization.names import allowed_names
from rushlight.serialization.zip_records import RecordReader

_TEXT = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
_PUT = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GET = {"GET", "BINGET", "LONG_BINGET"}


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """Names of the classes and functions in `f` that `load(weights_only=True)` would refuse.

    f: a path or a seekable binary file.  Raises: ValueError if it is no checkpoint of `save`.
    Source: torch.serialization.get_unsafe_globals_in_checkpoint.
    """
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as source:
            return get_unsafe_globals_in_checkpoint(source)
    try:
        data = RecordReader(f).read("data.pkl")
    except RuntimeError as error:
        raise ValueError("Expected input to be a checkpoint returned by torch.save") from error
    allowed = allowed_names()
    return [name for name in dict.fromkeys(_globals_of(data)) if name not in allowed]


def _globals_of(data: bytes) -> Iterator[str]:
    """Every name a pickle looks up.  Raises: pickle.UnpicklingError for damaged ones."""
    texts: list[str] = []
    memo: dict[int, str] = {}
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            if opcode.name == "GLOBAL":
                yield _name(*str(argument).split(" ", 1))
            elif opcode.name == "STACK_GLOBAL":
                yield _name(*texts[-2:])
            elif opcode.name in _TEXT:
                texts.append(str(argument))
            elif opcode.name in _PUT and texts:
                memo[len(memo) if argument is None else int(str(argument))] = texts[-1]
            elif opcode.name in _GET and int(str(argument)) in memo:
                texts.append(memo[int(str(argument))])
    except (ValueError, TypeError, IndexError) as error:
        raise pickle.UnpicklingError(f"the pickle is damaged: {error}") from error


def _name(module: str, name: str) -> str:
    return f"{'builtins' if module == '__builtin__' else module}.{name}"
