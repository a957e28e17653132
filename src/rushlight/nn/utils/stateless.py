"""Calling a module with other parameters and buffers than its own.  Level 12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.tensor.tensor import Tensor


def _tied_names(module: Module) -> dict[int, list[str]]:
    """All names of each parameter and buffer, by identity."""
    names: dict[int, list[str]] = {}
    for walk in (module.named_parameters, module.named_buffers):
        for name, value in walk(remove_duplicate=False):
            names.setdefault(id(value), []).append(name)
    return names


def _owner_table(module: Module, name: str) -> tuple[dict[str, Any], str]:
    """The table that holds a member, and the member's name in it.  Raises: KeyError."""
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    for table in (owner._parameters, owner._buffers):
        if last in table:
            return table, last
    raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer '{name}'")


@contextmanager
def _members_replaced(
    module: Module, values: Mapping[str, Tensor], tie_weights: bool
) -> Iterator[None]:
    """Within the block the named members are the given tensors."""
    wanted = dict(values)
    if tie_weights:
        for names in _tied_names(module).values():
            given = [name for name in names if name in values]
            if len({id(values[name]) for name in given}) > 1:
                raise ValueError(
                    f"functional_call got multiple values for keys {given}, which are tied. "
                    "Consider using tie_weights=False"
                )
            if given:
                wanted.update(dict.fromkeys(names, values[given[0]]))
    former = []
    try:
        for name, value in wanted.items():
            table, last = _owner_table(module, name)
            former.append((table, last, table[last]))
            table[last] = value
        yield
    finally:
        for table, last, value in reversed(former):
            table[last] = value


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with the given tensors in the place of its parameters and buffers.

    A tensor given for one name of a tied member stands for all its names.
    Raises: KeyError for a name that is no member; RuntimeError, if `strict`, for members left out.
    """
    values: dict[str, Tensor] = {}
    given = parameters_and_buffers
    for mapping in (given,) if isinstance(given, Mapping) else given:
        values.update(mapping)
    if strict:
        known = {name for names in _tied_names(module).values() for name in names}
        missing = sorted(known - set(values))
        if missing:
            raise RuntimeError(f"Missing key(s): {', '.join(missing)}.")
    positional = args if isinstance(args, tuple) else (args,)
    if args is None:
        positional = ()
    with _members_replaced(module, values, tie_weights):
        return module(*positional, **(kwargs or {}))
