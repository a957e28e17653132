"""Narrow families: programs that differ from known ones in having sizes of 1.

Sizes of 1 are part of a form, since an axis of 1 may mean something else: what is done with it may
be no operation at all.  Where the very same operations were recorded with other sizes in the places
of some 1s, as in a last batch of one row, a template made for those serves 1 too, unless one of its
guards says no.  Level 9.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.stats import stats
from rushlight.engine.family import Family
from rushlight.engine.plan import Plan
from rushlight.tape.form import Form, without_sizes
from rushlight.tape.memo import LeafKind, LeafSpec, OutputKind, forms


class NarrowFamily:
    """Stands for `wide` where some of its sizes are 1.

    places: where among the sizes listed here those 1s belong.  own: the family of plans made for
    sizes that no template of `wide` serves, once there is one.
    """

    __slots__ = ("wide", "places", "own", "live")

    def __init__(self, wide: Family, places: list[int]) -> None:
        self.wide = wide
        self.places = np.array(places, np.intp)
        self.own: Family | None = None
        self.live = wide.live

    @property
    def code_bytes(self) -> int:
        """Of its own templates."""
        return 0 if self.own is None else self.own.code_bytes

    def plan(self, nodes: list, sizes: np.ndarray) -> Plan:
        """A plan of these sizes."""
        plan = self.of_template(nodes, sizes)
        if plan is not None:
            return plan
        if self.own is None:
            stats.plans_made += 1
            self.own = Family(self.live, self.wide.model)
        return self.own.plan(nodes, sizes)

    def of_template(self, nodes: list, sizes: np.ndarray) -> Plan | None:
        """A plan that a template serves, or None."""
        if not self.wide.templates:
            return None
        plan = self.wide.plan(nodes, np.insert(sizes, self.places, 1))
        plan.family = self
        return None if plan.compiled is None else plan


def narrow_family(nodes: list, key: tuple, sizes: np.ndarray) -> tuple[NarrowFamily, Plan] | None:
    """The family of a tape that no family knows, and its plan, if sizes of 1 alone are new in it.

    key: by which the other family is known at its form.
    """
    places: list[int] = []
    form = _wider_form(nodes, places)
    wide = None if form is None or not places else form.families.get(key)
    if wide.__class__ is not Family:
        return None
    assert wide is not None
    found = NarrowFamily(wide, places)
    plan = found.of_template(nodes, sizes)
    return None if plan is None else (found, plan)


def _wider_form(nodes: list, places: list[int]) -> Form | None:
    """The form of the same recording with listed sizes for some 1s.

    places: where those 1s would stand among the listed sizes is added to it.
    """
    slots = {id(node): slot for slot, node in enumerate(nodes)}
    form = forms.root
    listed = 0
    for node in nodes:
        step = node.step
        if step.primitive.__class__ is OutputKind:
            continue  # part of the name of the operation before
        name = _name(node, slots)
        best = None
        for other, child in form.children.items():
            found = _ones_listed(name, other)
            if found is not None and (best is None or len(found) > len(best[0])):
                best = found, child
        if best is None:
            return None
        places += [listed + place for place in best[0]]
        listed += len(step.sizes)
        for output in getattr(step, "outputs", ()):
            listed += len(output.sizes)
        form = best[1]
    return form


def _name(node, slots: dict[int, int]) -> tuple:
    """By what a form is looked up, as `tape/making.py` writes it."""
    step = node.step
    if step.__class__ is LeafSpec:
        return step.form_key
    primitive = step.primitive
    operands: tuple = tuple([slots[id(operand)] for operand in node.inputs])
    if not primitive._direct:
        operands = (operands,)
    params = tuple(
        [
            without_sizes((p,), []) if place in primitive.sized else p
            for place, p in enumerate(step.params)
        ]
    )
    outputs = tuple([(without_sizes(o.shape, []), o.dtype) for o in step.outputs])
    device = step.device.type, step.device.index
    return (
        primitive,
        *operands,
        params,
        without_sizes(step.shape, []),
        step.dtype,
        device,
        outputs,
        step.order,
    )


def _ones_listed(name: tuple, other: tuple) -> list[int] | None:
    """If another name has listed sizes for 1s and is equal otherwise: before which of the sizes
    listed in `name` those stand."""
    if len(name) != len(other) or name[0] is not other[0]:
        return None
    places: list[int] = []
    listed = [0]
    if name[0].__class__ is LeafKind:
        # How the axes lie (the last entry) makes no other program, and axes of size 1 lie anyhow.
        alike = name[2:-1] == other[2:-1] and _compare(name[1], other[1], places, listed)
        return places if alike else None
    *operands, params, shape, dtype, device, outputs, _ = name
    *operands_of_other, other_params, other_shape, other_dtype, other_device, others, _ = other
    if operands != operands_of_other or (dtype, device) != (other_dtype, other_device):
        return None
    for place, (mine, wide) in enumerate(zip(params, other_params)):
        if place not in name[0].sized:
            if mine != wide:
                return None
        elif not _compare(mine, wide, places, listed):
            return None
    if not _compare(shape, other_shape, places, listed) or len(outputs) != len(others):
        return None
    for (mine, of), (wide, of_other) in zip(outputs, others):
        if of is not of_other or not _compare(mine, wide, places, listed):
            return None
    return places


def _compare(name: tuple, other: tuple, places: list[int], listed: list[int]) -> bool:
    if len(name) != len(other):
        return False
    for mine, wide in zip(name, other):
        if mine.__class__ is tuple:
            if wide.__class__ is not tuple or not _compare(mine, wide, places, listed):
                return False
        elif mine is None and wide is None:
            listed[0] += 1
        elif mine.__class__ is int and mine == 1 and wide is None:
            places.append(listed[0])
        elif mine is not wide and mine != wide:
            return False
    return True
