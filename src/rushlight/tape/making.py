"""Making the steps of the memo: what is inferred, checked and remembered of an operation.

Most steps that are made differ from one known only in sizes: a batch of another length goes through
the same forms (`tape/form.py`).  What does not depend on sizes is then taken over from the first
step of that form.  Level 1.
"""

from __future__ import annotations

from rushlight.base.config import config
from rushlight.base.device import CPU, META, placing
from rushlight.base.shapes import numel
from rushlight.tape.form import Form, without_sizes
from rushlight.tape.memo import (
    BYTE_BUDGET,
    LeafSpec,
    Operand,
    OutputKind,
    Step,
    forms,
    user_line,
)
from rushlight.tape.placing import device_of_result
from rushlight.tape.primitive import Primitive


def make_step(parent: Step, key, primitive: Primitive, inputs, params) -> Step:
    """Infer and check one operation that the trie does not hold yet.  Raises: the user's errors.

    key: None if it is on no tape, and somebody asks what would be recorded.
    """
    if key is not None:
        expected = parent.form.expected
        if expected is not None and expected.model.primitive is primitive:
            step = _step_like(expected, parent, key, inputs, params)
            if step is not None:
                return step
    inferred = primitive.result(*inputs, *params)
    if placing.begun:
        device = device_of_result(primitive, inputs, params)
    else:
        device = META if any([n.device is META for n in inputs]) else CPU
    if primitive.multiple:
        step = Step(key, parent, primitive, params, (), inputs[0].dtype, device)
        step.outputs = tuple(
            [_output_step(step, index, *each) for index, each in enumerate(inferred)]
        )
    else:
        shape, dtype = inferred
        step = Step(key, parent, primitive, params, shape, dtype, device)
        if primitive.order is not None:
            step.order = primitive.order(inputs, params, shape)
    model = None
    if key is None:
        step.operands = tuple([Operand(n.shape, n.dtype, n.device, n.step.order) for n in inputs])
    else:
        _note_form(parent, step)
        # How an operand was recorded says its shape, dtype and device, and holds no value.
        step.operands = tuple([n.step for n in inputs])
        model = step.form.model
        if model is None:
            step.form.model = step
        parent.form.expected = step.form
    if model is None:
        step.vjp = primitive.vjp
        if step.vjp is not None:
            step.saves = step.vjp.saves_by_mask(len(inputs))
        step.line = user_line()
    else:
        step.vjp, step.saves, step.line = model.vjp, model.saves, model.line
    _place(step, parent)
    return step


def _step_like(form: Form, parent: Step, key, inputs, params) -> Step | None:
    """A step of a form that is expected here; None if it is of another.

    The forms before are the same, so the operands have the dtypes of the model's.
    Raises: the user's errors.
    """
    model = form.model
    if model.outputs:
        return None
    device = model.device
    if placing.begun:
        device = device_of_result(model.primitive, inputs, params)
    order = model.order
    known, primitive = model.key, model.primitive
    if known == key:
        key = known  # one tuple for all of them: there are as many keys as steps
        # The same sizes as the model's, as it is for most of a program in which one size varies.
        for operand, node in zip(model.operands, inputs):
            if operand.shape != node.shape:
                break
        else:
            step = Step(key, parent, primitive, model.params, model.shape, model.dtype, device)
            step.sizes = model.sizes
            step.order = order
            return _finished(step, model, inputs)
    elif known[1:-1] != key[1:-1]:
        return None
    shape, dtype = primitive.result(*inputs, *params)
    sizes: list[int] = []
    if params != model.params:
        sized = primitive.sized
        for place, (parameter, before) in enumerate(zip(params, model.params)):
            if place not in sized:
                if parameter != before:
                    return None
            elif not _is_alike(parameter, before, sizes):
                return None
    elif primitive.sized:
        without_sizes([params[place] for place in primitive.sized], sizes)
    if dtype is not model.dtype or not _is_alike(shape, model.shape, sizes):
        return None
    if primitive.order is not None and primitive.order(inputs, params, shape) != order:
        return None
    step = Step(key, parent, primitive, params, shape, dtype, device)
    step.sizes = tuple(sizes)
    step.order = order
    return _finished(step, model, inputs)


def _is_alike(value, before, sizes: list[int]) -> bool:
    """Whether two shapes, or tuples of them, differ in listed sizes only; those go to `sizes`."""
    if value.__class__ is not tuple or before.__class__ is not tuple or len(value) != len(before):
        if value.__class__ is int and before.__class__ is int:
            return _is_alike((value,), (before,), sizes)
        return value == before
    for part, other in zip(value, before):
        if part.__class__ is int:
            if part > 1:
                if other.__class__ is not int or other < 2:
                    return False
                sizes.append(part)
            elif part != other:
                return False
        elif not _is_alike(part, other, sizes):
            return False
    return True


def _finished(step: Step, model: Step, inputs) -> Step:
    """With what does not depend on sizes."""
    step.form = model.form
    step.operands = tuple([n.step for n in inputs])
    step.vjp, step.saves, step.line = model.vjp, model.saves, model.line
    _place(step, step.parent)
    return step


def _place(step: Step, parent) -> None:
    """Say where in the segment an operation stands, and whether the tape is cut after it."""
    step.depth = parent.depth + 1 + len(step.outputs)
    step.leaf_bytes = parent.leaf_bytes
    step.first = parent.first or step
    if config.eager:
        step.cut = "eager mode"
    elif step.depth >= config.node_cap:
        step.cut = f"node cap of {config.node_cap}"
    elif step.leaf_bytes >= config.byte_budget:
        step.cut = f"{BYTE_BUDGET} of {config.byte_budget}"


def _note_form(parent: Step, step: Step) -> None:
    """Say what an operation is apart from its sizes, and which sizes those are."""
    primitive = step.primitive
    sizes: list[int] = []
    params = step.params
    if primitive.sized:
        params = tuple(
            [
                without_sizes((p,), sizes) if place in primitive.sized else p
                for place, p in enumerate(params)
            ]
        )
    shape = tuple([n if n < 2 else None for n in step.shape])
    sizes += [n for n in step.shape if n > 1]
    outputs: tuple = ()
    if step.outputs:
        outputs = tuple([(_note_output(output), output.dtype) for output in step.outputs])
    device = step.device.type, step.device.index  # whose hash is not Python
    name = (primitive, *step.key[1:-1], params, shape, step.dtype, device, outputs, step.order)
    step.form = forms.after(parent.form, name)
    step.sizes = tuple(sizes)


def _note_output(step: Step) -> tuple:
    sizes: list[int] = []
    shape = without_sizes(step.shape, sizes)
    step.sizes = tuple(sizes)
    return shape


def make_leaf_step(parent: Step, spec: LeafSpec) -> Step:
    """The step of a leaf's first use."""
    step = Step(spec.key, parent, spec.primitive, (), spec.shape, spec.dtype, spec.device)
    step.order = spec.order
    form = parent.form.expected
    if form is None or form.leaf_key is not spec.form_key:
        form = forms.after(parent.form, spec.form_key)
        form.leaf_key = spec.form_key
        parent.form.expected = form
    step.form = form
    step.sizes = spec.sizes
    if form.model is None:
        form.model = step
    step.depth = parent.depth + 1
    # A pending tape keeps its leaves alive.  Results take no memory before the flush, and then only
    # while they are read.
    own = 0 if spec.device is META else numel(spec.shape) * spec.dtype.itemsize
    step.leaf_bytes = parent.leaf_bytes + own
    step.first = parent.first
    return step


def _output_step(owner: Step, index: int, shape, dtype) -> Step:
    return Step(None, owner, OutputKind(index), (), shape, dtype, owner.device)
