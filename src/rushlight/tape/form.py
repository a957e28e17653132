"""Form: what a recording is apart from its sizes.

Two recordings have one form if they apply the same primitives to the same slots, with equal dtypes,
ranks and parameters, and have sizes of 0 and 1 in the same places.  All other sizes are listed, in
the order of the tape: a form with a list of sizes is a recording.  Forms are a trie as memo steps
are, a step of the memo each has one, and the steps of one form differ in sizes only.  Level 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rushlight.base.hot import hot

# Sizes below this are part of a form: what is done with an axis of 1, or with none, is another
# thing.  So are strides that are zero or negative.
SMALLEST_LISTED = 2


@hot
class Form:
    """One position of the trie.

    children: what is recorded next -> its form.  expected: the last one of them to be looked up.
    leaf_key: of a leaf's form, what it is looked up by.  model: the first step of this form; what
    it says of anything but sizes holds for all.  blocks: what may be replayed from here on, by the
    caller's key (`tape/resized.py`).  families: what `engine/` knows of the programs that end
    here, by what is alive.
    parent, name: where it hangs.  used: when a tape was last flushed here, or it was made
    (`Forms.now`).  forgotten: it hangs there no longer.  since: when it was made.
    """

    __slots__ = (
        "children", "expected", "leaf_key", "model", "blocks", "families", "parent", "name", "used",
        "forgotten", "since",
    )  # fmt: skip

    def __init__(self, parent: Form | None = None, name: Any = None, used: int = 0) -> None:
        self.children: dict[Any, Form] = {}
        self.expected: Form | None = None
        self.leaf_key: Any = None
        self.model: Any = None
        self.blocks: dict[Any, Any] = {}
        self.families: dict[Any, Any] = {}
        self.parent = parent
        self.name = name
        self.used = used
        self.since = used
        self.forgotten = False


@hot
class Forms:
    """The trie of forms and how many there are.  now: counts segments."""

    __slots__ = ("root", "count", "now")

    def __init__(self) -> None:
        self.now = 0
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
            found = form.children[name] = Form(form, name, self.now)
            self.count += not form.forgotten
        return found

    def forget_oldest(self, wanted: int, weight: Callable[[Form], int]) -> int:
        """Forget those forms that no flush went through for longest, and all that follows them.

        wanted: how much they should weigh together.  Returns what they do; a form that was used at
        the last flush stays, with all before it.
        """
        order, waiting = [], [self.root]
        while waiting:
            form = waiting.pop()
            order.append(form)
            waiting.extend(form.children.values())
        newest = {form: form.used for form in order}
        for form in reversed(order):
            if form.parent is not None and newest[form] > newest[form.parent]:
                newest[form.parent] = newest[form]
        latest = newest[self.root]
        weighed = oldest = 0
        # What follows a form was used no later than it, so that whole branches go.
        for form in sorted(order, key=newest.__getitem__):
            if newest[form] == latest or (weighed >= wanted and newest[form] > oldest):
                break
            oldest = newest[form]
            weighed += weight(form)
            self._forget(form)
        return weighed

    def _forget(self, form: Form) -> None:
        parent = form.parent
        assert parent is not None  # the root was used whenever any was
        if parent.children.get(form.name) is form:
            del parent.children[form.name]
        if parent.expected is form:
            parent.expected = None
        form.forgotten = True
        self.count -= 1


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
