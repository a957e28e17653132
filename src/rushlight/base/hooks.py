"""Handles that remove a registered hook.  Level 0.

A registry of hooks is an `OrderedDict` from a handle's `id` to the callable; ids grow in order of
registration and are unique in the process, so that a registry copied by pickle or deepcopy keeps
its order.  The handle holds registries weakly: keeping a handle never keeps a module alive.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

_next_id = itertools.count()


class RemovableHandle:
    """Removes one hook from its registry, by `remove()` or on leaving a `with` block.

    `extra` are further registries that hold marks under the same id (such as "called always").
    """

    __slots__ = ("__weakref__", "extra_dict_ref", "hooks_dict_ref", "id")

    def __init__(self, hooks_dict: OrderedDict, *, extra_dict: Any = None) -> None:
        extra: Sequence[Any] = ()
        if extra_dict is not None:
            extra = (extra_dict,) if isinstance(extra_dict, dict) else tuple(extra_dict)
        self.id = next(_next_id)
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.extra_dict_ref = tuple(weakref.ref(registry) for registry in extra)

    def remove(self) -> None:
        """Remove the hook; doing so twice is harmless."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            registry = reference()
            if registry is not None:
                registry.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    def __getstate__(self) -> tuple:
        # As PyTorch has it, for files with whole modules.
        state = self.hooks_dict_ref(), self.id
        if not self.extra_dict_ref:
            return state
        return (*state, tuple(ref() for ref in self.extra_dict_ref))

    def __setstate__(self, state: tuple) -> None:
        global _next_id
        registry, number, *further = state
        if isinstance(registry, int):  # files of older versions begin with the id
            registry, number = number, registry
        # The id is kept: it is the key under which the unpickled registry holds the hook.
        self.id = number
        _next_id = itertools.count(max(next(_next_id), number + 1))
        extra = (further[0] if further else None) or ()
        self.hooks_dict_ref = weakref.ref(OrderedDict() if registry is None else registry)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra if d is not None)
