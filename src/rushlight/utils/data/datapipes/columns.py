"""Functions of a pipeline that look at some columns of each sample.  Level 12."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any


def check_function(function: Callable) -> None:
    """Warn of a function that cannot be sent to a worker; refuse what is none."""
    if not callable(function):
        raise TypeError(f"A callable function is expected, but {type(function)} is provided.")
    inner = function.func if isinstance(function, functools.partial) else function
    name = getattr(inner, "__qualname__", "")
    kind = "Local" if "<locals>" in name else "Lambda" if "<lambda>" in name else None
    if kind is not None:
        warnings.warn(
            f"{kind} function is not supported by pickle, please use regular python function or"
            " functools.partial instead.",
            UserWarning,
            stacklevel=4,
        )


def check_columns(function: Callable, columns: Any) -> None:
    """Raises: ValueError if the function does not take as many arguments as there are columns."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return
    given = len(columns) if isinstance(columns, (list, tuple)) else 1
    kinds = inspect.Parameter
    by_place = [
        p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]
    needed = [p for p in by_place if p.default is kinds.empty]
    named = [
        p.name for p in parameters if p.kind is kinds.KEYWORD_ONLY and p.default is kinds.empty
    ]
    name = getattr(function, "__name__", repr(function))
    if named:
        raise ValueError(
            f"The function {name} takes {len(named)} non-default keyword-only parameters, which is"
            " not allowed."
        )
    any_number = any(p.kind is kinds.VAR_POSITIONAL for p in parameters)
    if len(needed) > given or (len(by_place) < given and not any_number):
        raise ValueError(
            f"The function {name} takes {len(by_place)} positional parameters, but {given} are"
            " required."
        )


def applied(function: Callable, sample: Any, columns: Any) -> Any:
    """The function of a sample, or of the columns of it that are named."""
    if columns is None:
        return function(sample)
    if isinstance(columns, (list, tuple)):
        return function(*[sample[column] for column in columns])
    return function(sample[columns])


def replaced(sample: Any, value: Any, columns: Any, target: Any) -> Any:
    """The sample with a value at `target`; without one, in place of the columns it came from."""
    if columns is None:
        return value
    parts = list(sample) if isinstance(sample, tuple) else sample
    if target == -1 and isinstance(parts, list):
        parts.append(value)
    elif target is not None:
        parts[target] = value
    elif isinstance(columns, (list, tuple)):
        parts[columns[0]] = value
        for column in sorted(columns[1:], reverse=True):
            del parts[column]
    else:
        parts[columns] = value
    return tuple(parts) if isinstance(sample, tuple) else parts
