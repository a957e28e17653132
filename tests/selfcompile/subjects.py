"""Functions of every kind of Python that becomes machine code, and calls of each.

Each is a few lines that use what it is named after; `CASES` has the calls.
"""

from __future__ import annotations

import functools
from typing import Any

from rushlight.base.hot import hot

NAN = float("nan")
LIMIT = 1 << 20


class Loud:
    """Says what happens to it."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.count = 1

    def __bool__(self) -> bool:
        self.said.append("bool")
        return True

    def __eq__(self, other: object) -> bool:
        self.said.append(("eq", other is self))
        return False

    __hash__ = None  # type: ignore[assignment]

    def call(self, *args: Any, **kwargs: Any) -> tuple:
        return args, sorted(kwargs.items())


class Slotted:
    __slots__ = ("first", "second")

    def __init__(self, first: Any = None) -> None:
        self.first = first


hot(Slotted)


class Derived(Slotted):
    """Reads one attribute in a way of its own."""

    __slots__ = ()

    @property
    def second(self) -> str:  # type: ignore[override]
        return "computed"


hot(Derived)


class Unknown(Slotted):
    """Machine code does not know it."""

    def __init__(self, first: Any = None) -> None:
        self.second = first

    @property
    def first(self) -> str:  # type: ignore[override]
        return "mine"


def arithmetic(x, y):
    return x + y, x - y, x * y, x / y, x // y, x % y, x**2, -x


def bits(x, y):
    return x & y, x | y, ~x, x << 2, x >> 1


def machine_integers(x):
    a: int = x
    b: int = a * 3 - 4
    b += 7
    return a + b, -a, ~b, a < b, a == b, b & 6


def chain(x):
    n: int = x
    return 0 <= n < LIMIT


def chain_of_objects(x, y, z):
    return x <= y <= z


def comparisons(x, y):
    return x == y, x != y, x < y, x is y, x is not None, x in (y, 1, 2), x not in [y]


def equalities(x, y):
    return x == y, x != y, x in (y, x), y == x


def with_tuple(x, y, z):
    n: int = z
    return x == (y, n, None), x != (y, n, None)


def boolean_values(x, y, z):
    return (x and y), (x or y), ((x and y) or z), not x


def branches(x):
    if x > 10:
        found = "large"
    elif x > 5:
        found = "middle"
    else:
        return "small"
    return found + "!"


def conditional(x):
    return ("yes" if x else "no"), (x if x is not None else 0)


def loop_with_exits(items):
    seen = []
    for item in items:
        if item == 3:
            continue
        if item == 6:
            break
        seen.append(item)
    while len(seen) < 8:
        seen.append(len(seen))
    return seen


def in_step(x, y, z):
    found = []
    for a, b in zip(x, y):
        found.append((a, b))
    for pair in zip(x, y):
        found.append(pair)
    for i, (a, b) in enumerate(zip(x, z)):
        found += [i, a, b]
    return found, [a + b for a, b in zip(y, z)], {i: (a,) for i, a in enumerate(x)}


def grows(items):
    for item in items:
        if len(items) < 6:
            items.append(item)
    return items


def counting(n):
    total: int = 0
    i: int = 0
    while i < n:
        total += i
        i += 1
    return total


def comprehensions(items):
    x = "outside"
    squares = [x * x for x in items if x > 1]
    table = {x: [y + x for y in items] for x in items}
    pairs = tuple([(i, x) for i, x in enumerate(items)])
    return x, squares, table, pairs


def displays(x, *rest):
    return [x, *rest], (*rest, x, *rest), {"a": x, "b": rest}, ()


def unpacking(pair):
    (a, b), c = pair
    return c, b, a


def subscripts(items, i):
    items[0] = items[i]
    del items[1]
    return items[-1], items[1:], items[:2], items[i]


def strings(x, width):
    return f"{x}: {x!r} {x:>{width}}|"


def attributes(loud):
    loud.other = loud.count
    loud.count += 2
    del loud.said
    return loud.count, loud.other, loud.__class__ is Loud, type(loud) is Loud


def slots(thing):
    before = thing.first
    thing.first = [before]
    thing.first += [2]
    thing.second = before
    return thing.first, thing.second


def reads_second(thing):
    return thing.second


def reads_first(thing):
    return thing.first


def defaults(x, y=2, *, z=0.0, w=None, name="w"):
    return x, y, z, w, name


def signed_zeros():
    return 0.0, -0.0, 1, 1.0, True


def passes_on(first, *args, **kwargs):
    return _received(first, *args, **kwargs), args, kwargs


def passes_part(first, *args, **kwargs):
    return _received(*args, **kwargs), first


def _received(*args, **kwargs):
    return args, kwargs


def calls_with_names(loud):
    return loud.call(1, 2, a=3, b=loud.count), max([1, 5], key=abs), _received(a=1)


def calls_with_stars(args):
    return _received(*args), _received(0, *args, 9)


def catches(table, key):
    try:
        found = table[key]
    except KeyError:
        return "missing"
    else:
        found += 1
    return found


def catches_pairs(x):
    try:
        return 1 / x
    except (ZeroDivisionError, TypeError):
        return "no"


def finally_runs(log, x):
    try:
        log.append("try")
        if x == 0:
            return "returned"
        log.append(10 / (x - 1))
    finally:
        log.append("finally")
    return "fell through"


def finally_in_loops(log, items):
    for item in items:
        try:
            log.append(1 / item)
        finally:
            log.append(item)
    return log


def raises(x):
    if x == 1:
        raise ValueError
    if x == 2:
        raise ValueError(f"got {x}")
    assert x != 3
    return x


def unbound(x):
    if x:
        value = 1
    return value


def deleted(x):
    value = x
    del value
    return value  # noqa: F821


def not_a_name():
    return no_such_thing  # noqa: F821


def instances(x):
    return isinstance(x, int), isinstance(x, (str, Loud)), len([x]), type(x).__name__


def factory(n):
    def inner(x):
        return x + n, functools.reduce

    return inner


def reassigned_parameter(x, y=5):
    x = x + 1
    y = [x, y]
    return x, y


def chained_assignment(x):
    a = b = [x]
    a.append(1)
    return a is b, b


CASES: list[tuple[Any, list[tuple]]] = [
    (arithmetic, [(7, 3), (-7, 2), (2.5, -1.5), (1 << 70, 3), (1, 0), ("a", 2), (True, 2)]),
    (bits, [(6, 3), (1 << 80, 5), (1.0, 2)]),
    (machine_integers, [(5,), (-3,), (0,), (True,), (1 << 40,), ("a",)]),
    (chain, [(0,), (LIMIT,), (LIMIT - 1,), (-1,), (1 << 40,)]),
    (chain_of_objects, [(1, 2, 3), (3, 2, 1), (1, 3, 2), (1.0, 1, NAN), ("a", "b", "c"),
                        (1, "a", 2)]),
    (comparisons, [(1, 1), (1, 1.0), (NAN, NAN), ("a", "b"), ((1, 2), (1, 2)),
                   (1 << 70, 1 << 70)]),
    (with_tuple, [((1, 2, None), 1, 2), ((1, 2), 1, 2), ([1, 2, None], 1, 2),
                  ((1.0, 2, None), 1, 2), ((1, 2.0, None), 1, 2), ((1, 1 << 70, None), 1, 2),
                  ((NAN, 2, None), NAN, 2),
                  ((1, True, None), 1, 1), (3, 1, 2)]),
    (boolean_values, [(0, 1, 2), (1, 0, 2), ([], "a", None), (1, 2, 3)]),
    (branches, [(20,), (7,), (1,), ("a",)]),
    (conditional, [(0,), (1,), (None,), ([],)]),
    (loop_with_exits, [([1, 2, 3, 4, 5, 6, 7],), ((),), (iter([3, 6]),), (5,)]),
    (in_step, [([1, 2], (3, 4), [5, 6]), ([1, 2, 3], (3,), [5]), ((), [1], [2]), ([1], 5, [1]),
               ("ab", {1: 2, 3: 4}, (7, 8)), ([1], iter([2]), [3])]),
    (grows, [([1, 2],), ([],)]),
    (counting, [(0,), (1000,), (-5,)]),
    (comprehensions, [([0, 1, 2],), ([],), (["a"],), (None,)]),
    (displays, [(1,), (1, 2, 3)]),
    (unpacking, [(((1, 2), 3),), (([1, 2], 3),), ((1, 2),), (((1, 2, 3), 4),), ((),)]),
    (strings, [(1.5, 8), ("é", 3), (None, 1), ((1, 2), "a")]),
    (defaults, [(1,), (1, 3), (), (1, 2, 3)]),
    (signed_zeros, [()]),
    (passes_on, [(1,), (1, 2, 3), ()]),
    (passes_part, [(1,), (1, 2, 3), ()]),
    (calls_with_stars, [((1, 2),), ([],), (iter([3]),), (5,)]),
    (catches, [({"a": 1}, "a"), ({"a": 1}, "b"), ({"a": None}, "a"), ([], "a")]),
    (catches_pairs, [(2,), (0,), ("a",), ([],)]),
    (raises, [(0,), (1,), (2,), (3,)]),
    (unbound, [(0,), (1,)]),
    (deleted, [(1,)]),
    (instances, [(1,), ("a",), (None,), (True,)]),
    (factory(3), [(4,), ("a",)]),
    (reassigned_parameter, [(1,), (1, 2), ("a",)]),
    (chained_assignment, [(1,)]),
]  # fmt: skip
