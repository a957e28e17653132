"""Sizes that vary, as the passes of the compiler see them."""

from __future__ import annotations

import math

import pytest

from rushlight.base.symbolic import Trace, Untraceable, ceiling, largest, smallest


def traced():
    trace = Trace()
    return trace, trace.size((3, 5)), trace.size((4, 7))


def test_products_are_the_same_however_they_are_written():
    _, a, b = traced()
    assert a * b * 2 is 2 * (b * a)
    assert (a * b * 6) // (b * 2) is a * 3
    assert (a * b) % b == 0
    assert math.prod((a, 4, b)) is a * b * 4


def test_what_was_computed_is_computed_for_other_sizes():
    trace, a, b = traced()
    wanted = [a * b, ceiling(a, 4), largest([a, b, 6]), smallest([a * b, 20]), a * b - 1, 7 // a]
    numbers = trace.function([a, b], [w for w in wanted if not isinstance(w, int)])
    assert numbers(10, 3) == (30, 3, 10, 20, 29, 0)


def test_answers_are_guards():
    trace, a, b = traced()
    assert a < 6
    assert (a * b) > 20
    numbers = trace.function([a, b], [a])
    assert numbers(4, 9) == (4,)
    assert numbers(7, 9) is None
    assert numbers(2, 3) is None
    before, now = trace.broken([a, b], [7, 9])
    assert "less than 6" in before and "7" in now


def test_sizes_are_equal_only_if_they_were_in_every_sample():
    trace = Trace()
    a, b, c = trace.size((3, 5)), trace.size((4, 5)), trace.size((3, 5))
    assert a != b
    assert not trace.guards
    assert a == c
    assert trace.function([a, b, c], [a])(6, 6, 7) is None


def test_what_holds_for_all_sizes_is_no_guard():
    trace, a, b = traced()
    assert a > 0 and a != 1 and a != 0 and a * b >= a and not a * 4 < a * 2
    assert not trace.guards
    assert a > 1 and a * b > a  # not where one of them is 1
    assert len(trace.guards) == 2


@pytest.mark.parametrize("use", [int, range, repr, math.gcd, [0].__mul__])
def test_nothing_takes_the_number_itself(use):
    _, a, _ = traced()
    with pytest.raises((Untraceable, TypeError)):
        use(a, 2) if use is math.gcd else use(a)
