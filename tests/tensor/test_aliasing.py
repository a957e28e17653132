"""Random programs of views, in-place writes and gradients give PyTorch's values, step by step.

A program is a list of steps drawn by Hypothesis; both modules run it.  After every step the two
must agree: on the exception's type if it failed, else on every tensor's values, strides, version
and whether it requires gradients; at the end, on the gradients.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight as rl

torch = pytest.importorskip("torch")


def _axis(tensor, pick):
    return pick % tensor.dim()


def root(tensor):
    """Outside the elements a view shows, PyTorch's as_strided loses gradients."""
    return tensor if tensor._base is None else tensor._base


def unexpanded(tensor):
    """PyTorch lets filling and masks through to expanded tensors; here no in-place write is."""
    if 0 in tensor.stride():
        raise RuntimeError("left out")
    return tensor


VIEWS = {
    "select": lambda m, t, p, q: t.select(_axis(t, p), q % t.shape[_axis(t, p)]),
    "index": lambda m, t, p, q: t[q % t.shape[0]],
    "slice": lambda m, t, p, q: t[p % t.shape[0] :],
    "step": lambda m, t, p, q: t[..., :: 1 + q % 2],
    "narrow": lambda m, t, p, q: t.narrow(_axis(t, p), 0, 1 + q % t.shape[_axis(t, p)]),
    "transpose": lambda m, t, p, q: t.transpose(_axis(t, p), _axis(t, q)),
    "flat": lambda m, t, p, q: t.view(-1),
    "reshape": lambda m, t, p, q: t.reshape(-1),
    "unsqueeze": lambda m, t, p, q: t.unsqueeze(p % (t.dim() + 1)),
    "squeeze": lambda m, t, p, q: t.squeeze(),
    "expand": lambda m, t, p, q: t.unsqueeze(0).expand(2, *t.shape),
    "diagonal": lambda m, t, p, q: t.diagonal(q % 3 - 1),
    "unfold": lambda m, t, p, q: t.unfold(0, 1 + p % 2, 2),  # windows apart
    "as_strided": lambda m, t, p, q: root(t).as_strided((2,), (1 + p % 2,), q % 3),
    "detach": lambda m, t, p, q: t.detach(),
}
WRITES = {
    "add_": lambda m, t, o, p: t.add_(p),
    "mul_": lambda m, t, o, p: t.mul_(p),
    "mul_ self": lambda m, t, o, p: t.mul_(t),
    "add_ other": lambda m, t, o, p: t.add_(o),
    "mul_ other": lambda m, t, o, p: t.mul_(o),
    "copy_": lambda m, t, o, p: t.copy_(o),
    "fill_": lambda m, t, o, p: unexpanded(t).fill_(p),
    "zero_": lambda m, t, o, p: unexpanded(t).zero_(),
    "assign": lambda m, t, o, p: unexpanded(t).__setitem__(
        p % max(1, len(t)), o if p % 2 else float(p)
    ),
    "assign all": lambda m, t, o, p: unexpanded(t).__setitem__(..., p),
    "masked": lambda m, t, o, p: unexpanded(t).__setitem__(t > p, 0.5),
}
RESULTS = {
    "double": lambda m, t, o, p: t * 2,
    "square": lambda m, t, o, p: t * t,
    "add": lambda m, t, o, p: t + o,
    "product": lambda m, t, o, p: t * o,
    "clone": lambda m, t, o, p: t.clone(),
    "sum": lambda m, t, o, p: t.sum(0),
}
STEP = st.tuples(
    st.one_of(
        st.sampled_from([("view", name) for name in VIEWS]),
        st.sampled_from([("write", name) for name in WRITES]),
        st.sampled_from([("no_grad", name) for name in WRITES]),
        st.sampled_from([("result", name) for name in RESULTS]),
        st.just(("backward", "")),
    ),
    st.integers(0, 11),
    st.integers(0, 11),
    st.integers(0, 5),
)


REFUSED = "backward refused"


def run(module, start, steps):
    """Run a program; the log of what each step gave."""
    values = module.tensor(np.arange(1, 7, dtype=np.float64).reshape(2, 3).tolist(),
                           dtype=module.float64)  # fmt: skip
    leaf = values.clone().requires_grad_()
    tensors = {"leaf": [leaf], "result": [leaf * 1], "plain": [values]}[start]
    families = [0]  # tensors of one family may share memory
    log = []
    for (kind, name), first, second, amount in steps:
        chosen = first % len(tensors)
        tensor = tensors[chosen]
        other = tensors[second % len(tensors)]
        if kind in ("write", "no_grad") and families[chosen] == families[second % len(tensors)]:
            # PyTorch refuses a source that overlaps the target; here it is read first.
            other = other.clone()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if kind == "view":
                    tensors.append(VIEWS[name](module, tensor, second, amount))
                    families.append(families[chosen])
                elif kind == "write":
                    WRITES[name](module, tensor, other, amount)
                elif kind == "no_grad":
                    with module.no_grad():
                        WRITES[name](module, tensor, other, amount)
                elif kind == "result":
                    # Of a transposed operand PyTorch's result is transposed, ours is row-major.
                    operands = tensor.contiguous(), other.contiguous()
                    tensors.append(RESULTS[name](module, *operands, amount))
                    families.append(len(families))
                else:
                    total(tensors).backward(retain_graph=True)
        except (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError) as error:
            if kind == "backward":
                return [*log, REFUSED]
            log.append(type(error).__name__)
            continue
        log.append([facts(t) for t in tensors])
    try:
        total(tensors).backward()
        log.append(None if leaf.grad is None else rounded(leaf.grad))
    except RuntimeError:
        log.append(REFUSED)
    return log


def total(tensors):
    """A scalar in which every tensor has a weight of its own."""
    result = 0.0
    for weight, tensor in enumerate(tensors, 1):
        result = result + (tensor * weight).sum()
    return result


def rounded(tensor):
    return np.array(tensor.tolist()).round(6).tolist()


def facts(tensor):
    return (
        rounded(tensor.detach()),
        tuple(tensor.shape),
        tensor.requires_grad,
        tensor.is_leaf,
        tensor._version,
        tensor.storage_offset(),
    )


@settings(max_examples=700, deadline=None)
@given(
    start=st.sampled_from(["leaf", "result", "plain"]),
    steps=st.lists(STEP, min_size=1, max_size=8),
)
def test_random_programs_of_views_and_writes_agree_with_pytorch(start, steps):
    with np.errstate(all="ignore"):
        ours, theirs = run(rl, start, steps), run(torch, start, steps)
    if theirs[-1] == REFUSED:
        # PyTorch visits operations whose result was overwritten since, with a gradient of zeros,
        # and may find there that a saved value has changed; here the walk does not go there.
        ours, theirs = ours[: len(theirs) - 1], theirs[:-1]
    assert ours == theirs
