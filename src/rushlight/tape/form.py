"""Form: what a recording is apart from its sizes.

Two recordings have one form if they apply the same primitives to the same slots, with equal dtypes,
ranks and parameters, and have sizes of 0 and 1 in the same places.  All other sizes are listed, in
the order of the tape: a form with a list of sizes is a recording.  Forms are a trie as memo steps
are, a step of the memo each has one, and the steps of one form differ in sizes only.  Level 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Sizes below this are part of a form: what is done with an axis of 1, or with none, is another
# thing.  So are strides that are zero or negative.
SMALLEST_LISTED = 2


class Form:
    """One position of the trie.

    children: what is recorded next -> its form.  expected: the last one of them to be looked up.
    leaf_key: of a leaf's form, what it is looked up by.  model: the first step of this form; what
    it says of anything but sizes holds for all.  blocks: what may be replayed from here on, by the
    caller's key (`tape/resized.py`).  families: what `engine/` knows of the programs that end
    here, by what is alive.
    """

    __slots__ = ("children", "expected", "leaf_key", "model", "blocks", "families")

    def __init__(self) -> None:
        self.children: dict[Any, Form] = {}
        self.expected: Form | None = None
        self.leaf_key: Any = None
        self.model: Any = None
        self.blocks: dict[Any, Any] = {}
        self.families: dict[Any, Any] = {}


class Forms:
    """The trie of forms and how many there are."""

    __slots__ = ("root", "count")

    def __init__(self) -> None:
        self.root = Form()
        self.count = 0

    def clear(self) -> None:
        """Forget all of them."""
        self.root = Form()
        self.count = 0

    def after(self, form: Form, name) -> Form:
        """The form of a recording that goes on with `name`."""
        found = form.children.get(name)
        if found is None:
            found = form.children[name] = Form()
            self.count += 1
        return found


def without_sizes(value: Any, sizes: list[int]) -> Any:
    """A shape, or a tuple of them, with the listed sizes replaced by None; they go to `sizes`."""
    kept = []
    for part in value:
        if part.__class__ is int:
            if part >= SMALLEST_LISTED:
                sizes.append(part)
                part = None
        elif part.__class__ is tuple:
            part = without_sizes(part, sizes)
        kept.append(part)
    return tuple(kept)


def with_sizes(value: Any, sizes: Iterable) -> Any:
    """The inverse; sizes: an iterator of what takes the places."""
    return tuple(
        [
            next(sizes) if part is None  # type: ignore[call-overload]
            else with_sizes(part, sizes) if part.__class__ is tuple else part
            for part in value
        ]
    )  # fmt: skip
