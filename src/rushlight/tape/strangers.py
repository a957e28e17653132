"""Strangers: long recordings that never come again, and where they are cut instead.

A loop of a program's own, unrolled over as many steps as an episode or a sentence had, is another
program for each length: recorded anew, planned anew, run once.  Where the same place of a program
gave several such, what is recorded from there on is cut into short segments.  Where one ends is
read off the operation there and the length so far, so that the turns of a loop soon give the same
segments, which the memo and the plans know.  Results do not depend on cuts (D5).  Level 1.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict, deque

from rushlight.tape.form import Form
from rushlight.tape.memo import Line, Step, forms
from rushlight.tape.primitive import Primitive

# Nodes from which on a recording is long.
LONG = 256
# Long recordings from one place that did not come again, before later ones are cut.
MOST = 6
# Nodes of a segment: none ends before the first number, all do before about the second.
_FEWEST, _LONGEST = 24, 96
_MOST_PLACES = 256
# Why a tape is cut there: a reason as `stats()` counts them.
LOOP_OF_ANY_LENGTH = "loop of varying length"

# Line of the first operation -> (form, segment it was planned in) of the latest long recordings.
_recent: OrderedDict[Line, deque[tuple[Form, int]]] = OrderedDict()
# Lines from which on recordings are cut.
lines: dict[Line, None] = {}


def note(step: Step) -> None:
    """A recording of a new structure ended at a step of the memo and is about to run."""
    first = step.first
    if step.depth < LONG or first is None or first.line is None:
        return
    recent = _recent.get(first.line)
    if recent is None:
        if len(_recent) >= _MOST_PLACES:
            _recent.popitem(last=False)
        recent = _recent[first.line] = deque(maxlen=MOST)
    # A flush notes when its form was used: these have not been, since they were planned.
    if len(recent) == MOST and all([form.used == since for form, since in recent]):
        if len(lines) >= _MOST_PLACES:
            lines.clear()
        lines[first.line] = None
        _cut_known(step)
    recent.append((step.form, forms.now))


def is_strange(step: Step) -> bool:
    """Whether what is recorded after a step is cut."""
    first = step.first
    return first is not None and first.line in lines


def ends_segment(step: Step, before: int = 0) -> bool:
    """Whether a segment ends after a step.  before: how many nodes are in an earlier segment."""
    length = step.depth - before
    if length < _FEWEST or step.primitive.__class__ is not Primitive:
        return False
    # The longer it is, the more operations may end it.
    return _hash_of(step) % (_LONGEST - _FEWEST) < length - _FEWEST


def _hash_of(step: Step) -> int:
    name = (step.primitive.name, len(step.shape), step.dtype.name)
    found = _hashes.get(name)
    if found is None:
        found = _hashes[name] = zlib.crc32(repr(name).encode())
    return found


_hashes: dict[tuple, int] = {}


def _cut_known(step: Step) -> None:
    """Cut a recording that the memo holds already."""
    chain = []
    while step.parent is not None:
        chain.append(step)
        step = step.parent
    before = 0
    for one in reversed(chain):
        if one.cut is None and ends_segment(one, before):
            one.cut = LOOP_OF_ANY_LENGTH
        if one.cut is not None:
            before = one.depth
