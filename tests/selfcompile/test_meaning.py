"""A function means the same as machine code: results, errors, effects, reference counts."""

from __future__ import annotations

import functools
import gc
import sys
import threading
from typing import Any

import pytest

from rushlight.base.hot import hot
from tests.selfcompile.translating import compiled, refusal

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


def outcome(function: Any, args: tuple, **kwargs: Any) -> Any:
    """What a call gives, or how it fails; by its text, since NaN and -0.0 matter."""
    try:
        return "gives", repr(function(*args, **kwargs))
    except Exception as error:
        return "raises", type(error)


def fresh(args: tuple) -> tuple:
    """The arguments anew, where a call changes or empties them."""
    copied: list[Any] = []
    for argument in args:
        if isinstance(argument, (list, dict)):
            argument = type(argument)(argument)
        elif type(argument).__name__ == "list_iterator":
            argument = iter(argument.__reduce__()[1][0])
        copied.append(argument)
    return tuple(copied)


@pytest.mark.parametrize("function, calls", CASES, ids=[case[0].__name__ for case in CASES])
def test_calls_give_the_same(function: Any, calls: list[tuple]) -> None:
    machine = compiled(function)
    for args in calls:
        assert outcome(machine, fresh(args)) == outcome(function, fresh(args)), args


@pytest.mark.parametrize(
    "kwargs",
    [{"z": 1}, {"y": 3, "w": 2}, {"name": "n", "z": 4}, {"x": 1}, {"q": 1}, {"x": 1, "z": 2}],
)
@pytest.mark.parametrize("args", [(), (1,), (1, 2)])
def test_arguments_given_by_name_find_their_places(args: tuple, kwargs: dict) -> None:
    machine = compiled(defaults)
    assert outcome(machine, args, **kwargs) == outcome(defaults, args, **kwargs)
    unknown = {"".join(["n", "ame"]): 1}  # equal to a parameter's name, and another object
    assert outcome(machine, (1,), **unknown) == outcome(defaults, (1,), **unknown)


def test_arguments_given_by_name_are_passed_on() -> None:
    for function in (passes_on, passes_part):
        machine = compiled(function)
        assert machine(1, 2, a=3) == function(1, 2, a=3)


def test_a_machine_integer_says_that_a_number_does_not_fit() -> None:
    with pytest.raises(OverflowError):
        compiled(machine_integers)(1 << 70)


def test_items_are_stored_and_deleted() -> None:
    machine = compiled(subscripts)
    for items, index in (([1, 2, 3, 4], 2), ([1, 2, 3, 4], -1), ([1, 2], 5), ([], 0)):
        mine, other = list(items), list(items)
        assert outcome(machine, (mine, index)) == outcome(subscripts, (other, index))
        assert mine == other


def test_attributes_are_set_and_deleted() -> None:
    one, other = Loud(), Loud()
    assert compiled(attributes)(one) == attributes(other)
    assert vars(one) == vars(other)


def test_calls_by_name_reach_methods_and_functions() -> None:
    assert compiled(calls_with_names)(Loud()) == calls_with_names(Loud())


def test_truth_and_equality_ask_the_object_as_often_as_python_does() -> None:
    for function in (boolean_values, equalities):
        one, other = Loud(), Loud()
        rest = (1, 2)[: function.__code__.co_argcount - 1]
        compiled(function)(one, *rest)
        function(other, *rest)
        assert one.said == other.said != []


def test_slots_are_read_and_written_where_they_lie() -> None:
    machine = compiled(slots)
    assert machine(Slotted(1)) == slots(Slotted(1))
    assert outcome(compiled(reads_second), (Slotted(),)) == ("raises", AttributeError)
    assert compiled(reads_second)(Derived()) == "computed"
    assert compiled(reads_first)(Unknown()) == "mine"
    assert compiled(reads_first)(type("Plain", (), {"first": 7})()) == 7


@pytest.mark.parametrize("x", [0, 1, 2, "a"])
def test_finally_runs_however_the_block_is_left(x: Any) -> None:
    one: list[Any] = []
    other: list[Any] = []
    assert outcome(compiled(finally_runs), (one, x)) == outcome(finally_runs, (other, x))
    assert one == other


@pytest.mark.parametrize("items", [[1, 2], [1, 0, 2], []])
def test_finally_runs_in_each_round_of_a_loop(items: list[int]) -> None:
    one: list[Any] = []
    other: list[Any] = []
    machine = compiled(finally_in_loops)
    assert outcome(machine, (one, items)) == outcome(finally_in_loops, (other, items))
    assert one == other


def test_error_messages_of_raised_exceptions_are_kept() -> None:
    with pytest.raises(ValueError, match="got 2"):
        compiled(raises)(2)


def test_no_reference_is_kept_or_lost_on_any_way() -> None:
    """Thousands of calls, most of them with errors, leave every count as it was."""
    machines = [(compiled(function), calls) for function, calls in CASES]
    loud = Loud()
    special = [
        (compiled(finally_runs), [([], 0), ([], 1), ([], 2)]),
        (compiled(finally_in_loops), [([], (1, 0))]),
        (compiled(subscripts), [([loud, loud, loud], 2), ([loud], 7)]),
        (compiled(slots), [(Slotted(loud),), (Unknown(loud),)]),
        (compiled(reads_first), [(Unknown(loud),), (Slotted(loud),), (3,)]),
        (compiled(calls_with_names), [(loud,), (3,)]),
        (compiled(raises), [(loud,), (2,)]),
    ]

    def rounds(count: int) -> None:
        for machine, calls in [*machines, *special]:
            for args in calls:
                for _ in range(count):
                    outcome(machine, fresh(args))

    watched: list[Any] = [loud, None, True, (), LIMIT, NAN, Loud, Slotted, KeyError, _received]
    watched += [entry for machine, _ in machines for entry in vars(machine).values()]
    rounds(3)
    loud.said.clear()
    gc.collect()
    # What other tests left behind may die meanwhile: only what is made from here on counts.
    gc.freeze()
    try:
        before = [sys.getrefcount(x) for x in watched]
        rounds(50)
        loud.said.clear()
        gc.collect()
        after = [sys.getrefcount(x) for x in watched]
        made = len(gc.get_objects())
    finally:
        gc.unfreeze()
    # None and its like are counted by the interpreter's own caches too.
    assert all(abs(a - b) < 40 for a, b in zip(after, before)), list(zip(after, before))
    assert made < 200


class Endless:
    def __init__(self) -> None:
        self.depth = 0

    def call(self) -> None:
        calls_itself(self)


def calls_itself(endless):
    endless.depth += 1
    endless.call()


def test_endless_recursion_is_an_error_and_not_a_crash() -> None:
    calls = compiled(calls_itself)
    endless = Endless()
    endless.call = lambda: calls(endless)  # type: ignore[method-assign]
    with pytest.raises(RecursionError):
        calls(endless)
    assert endless.depth > 100
    direct = Endless()
    # No Python in between at all.
    direct.call = functools.partial(calls, direct)  # type: ignore[method-assign]
    for _ in range(3):  # the count of calls inside each other ends where it began
        direct.depth = 0
        with pytest.raises(RecursionError):
            calls(direct)
        assert 100 < direct.depth < 100_000


lock = threading.RLock()


def under_lock(x):
    with lock:
        if x == 0:
            return "early"
        y = 1 / (x - 1)
    return y


def test_a_lock_is_let_go_of_however_its_block_is_left() -> None:
    machine = compiled(under_lock)
    for x in (0, 1, 2):
        assert outcome(machine, (x,)) == outcome(under_lock, (x,))
        assert lock.acquire(blocking=False)
        lock.release()
        with pytest.raises(RuntimeError):
            lock.release()


local = threading.local()


def own_value():
    return local.value


def test_each_thread_reads_its_own_value() -> None:
    machine = compiled(own_value)
    found: dict[int, list[int]] = {}

    def read(number: int) -> None:
        local.value = number
        found[number] = [machine() for _ in range(2000)]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(set(values) == {number} for number, values in found.items())
    assert len(found) == 8


def generator(x):
    yield x


def with_statement(x):
    with x:
        return 1


def inner_function(x):
    return lambda: x


def uses_super(x):
    return super().f(x)


def assigns_rest(*rest):
    rest = [1]
    return rest


@pytest.mark.parametrize(
    "function", [generator, with_statement, inner_function, uses_super, assigns_rest, not_a_name]
)
def test_what_has_no_translation_is_refused_with_a_reason(function: Any) -> None:
    assert refusal(function)
