"""A function means the same as machine code: results, errors, effects, reference counts."""

from __future__ import annotations

import functools
import gc
import sys
import threading
from typing import Any

import pytest

from tests.selfcompile.subjects import (
    CASES,
    LIMIT,
    NAN,
    Derived,
    Loud,
    Slotted,
    Unknown,
    _received,
    attributes,
    boolean_values,
    calls_with_names,
    defaults,
    equalities,
    finally_in_loops,
    finally_runs,
    machine_integers,
    not_a_name,
    passes_on,
    passes_part,
    raises,
    reads_first,
    reads_second,
    slots,
    subscripts,
)
from tests.selfcompile.translating import compiled, refusal


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
