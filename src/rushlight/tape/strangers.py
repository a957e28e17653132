"""Strangers: long recordings of loops, and where they are cut instead of being planned as one.

A loop of a program's own, unrolled over as many steps as an episode or a sentence had, is another
program for each length: recorded anew, planned anew, run once.  Where the same place of a program
gave several such, what is recorded from there on is cut into short segments.  So is, while it is
recorded for the first time, a loop that multiplies by the same weights turn after turn: making one
plan of it takes as long as many runs.  Where a segment ends is read off the operation there and
the length so far, so that the turns of a loop soon give the same segments, which the memo and the
plans know.  A loop that comes again and again with as many turns is made one plan after all.
Results do not depend on cuts (D5).  Level 1.
"""

from __future__ import annotations

import zlib
from collections import Counter, OrderedDict, deque

from rushlight.base.config import config
from rushlight.tape.form import Form
from rushlight.tape.memo import Line, Step, forms
from rushlight.tape.primitive import Primitive

# The kind of matrix products and convolutions.
PRODUCTS = "contraction"
# Nodes from which on a recording is long.
LONG = 256
# Long recordings from one place that did not come again, before later ones are cut.
MOST = 6
# Nodes of a segment: none ends before the first number, all do before about the second.
_FEWEST, _LONGEST = 24, 96
_MOST_PLACES = 256
# Products by one value in a recording, from which on a loop makes them: networks multiply by a
# weight once, and for its gradients.
TURNS = 16
# Runs of a loop in segments, all with the same number of nodes, before it is recorded as a whole.
# Measured for two LSTM cells, 119 turns: segments cost 4 us a node and run more than one plan does,
# and the plans that the first whole runs make about 0.4 ms a node.
RUNS = 96
# About what plans of the whole take for each node of the segments: two of them (`engine/plan.py`),
# but half of the nodes of segments are leaves, which the whole does not have.
_BYTES_OF_PLANS = 1 << 12
# Why a tape is cut there: a reason as `stats()` counts them.
LOOP_OF_ANY_LENGTH = "loop of varying length"

# Line of the first operation -> (form, segment it was planned in) of the latest long recordings.
_recent: OrderedDict[Line, deque[tuple[Form, int]]] = OrderedDict()
# Lines from which on recordings are cut.
lines: dict[Line, None] = {}
# Line of a loop's first operation -> (length of all segments, runs in a row as long as that).
_runs: OrderedDict[Line, tuple[int, int]] = OrderedDict()
# Lines from which on loops are recorded as a whole.
whole: dict[Line, None] = {}


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


def is_long_loop(step: Step, nodes: list) -> bool:
    """Whether a recording of a new structure that has come to a step is a loop to be cut.

    nodes: what is recorded so far.
    """
    first = step.first
    if first is None or first.line in whole:
        return False
    readings: Counter[int] = Counter()
    for node in nodes:
        # Operations of blocks that were replayed are holes: they have been before.
        if node.step is None or node.inputs.__class__ is not tuple:
            continue
        if getattr(node.step.primitive, "kind", "") == PRODUCTS:
            readings.update({id(operand) for operand in node.inputs})
    return bool(readings) and max(readings.values()) >= TURNS


def ran(step: Step, length: int) -> None:
    """A loop was run in segments, of which the first ended at a step.  length: of all together."""
    first = step.first
    if first is None or first.line is None or first.line in lines:
        return
    # By line: a step would keep what the memo has forgotten.
    before, count = _runs.pop(first.line, (length, 0))
    count = count + 1 if before == length else 1
    if count < RUNS or length * _BYTES_OF_PLANS > config.memo_bytes:
        _runs[first.line] = (length, count)
        if len(_runs) > _MOST_PLACES:
            _runs.popitem(last=False)
        return
    if len(whole) >= _MOST_PLACES:
        whole.clear()
    whole[first.line] = None
    step.cut = None


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
