"""Lists and dictionaries that cannot change: arguments of nodes.  Level 12."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["immutable_dict", "immutable_list"]


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    kind = type(self).__bases__[0].__name__
    raise TypeError(
        f"{type(self).__name__!r} object does not support mutation. If you are attempting to modify"
        f" the kwargs or args of a torch.fx.Node object, create a new {kind} and assign it"
    )


class immutable_list(list):  # noqa: N801 - PyTorch's name
    """A list that cannot change."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> Any:
        return (immutable_list, (tuple(self),))

    append = extend = insert = pop = remove = clear = sort = reverse = _refuse  # type: ignore[assignment]
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse  # type: ignore[assignment]


class immutable_dict(dict):  # noqa: N801 - PyTorch's name
    """A dictionary that cannot change."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return (immutable_dict, (tuple(self.items()),))

    pop = popitem = update = clear = setdefault = _refuse  # type: ignore[assignment]
    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]
