"""Einstein sums and tensordot, by permutation and batched matrix product.  Level 11."""

from __future__ import annotations

import string

from rushlight.base.dtypes import int64
from rushlight.base.shapes import numel, wrap_axis
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives.contraction import matmul
from rushlight.primitives.movement import permute, reshape
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.tensor import Tensor

_ELLIPSIS = "."


@spelled()
def einsum(*args) -> Tensor:
    """Sum of products named by letters, as in `einsum("ij,jk->ik", a, b)`.

    Forms: einsum(equation, operands…) or einsum(operand, axes, …, [output axes]).  Operands are
    combined from left to right.  Raises: RuntimeError for an equation that does not fit.
    Source: torch.einsum.
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one "
            "operand and its subscripts list"
        )
    if isinstance(args[0], Tensor):
        equation, operands = _from_sublists(args)
    else:
        equation, operands = args[0], list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = list(operands[0])
    for x in operands:
        check_tensor("einsum", x, "operands")
    return _evaluate(*_parse(equation, operands), operands)


def _from_sublists(args) -> tuple[str, list]:
    letters = string.ascii_letters

    def text(axes) -> str:
        found = []
        for axis in axes:
            if axis is Ellipsis:
                found.append("...")
            elif not 0 <= axis < len(letters):
                raise RuntimeError(
                    f"einsum(): expected subscripts within range [0, 52), but got {axis}"
                )
            else:
                found.append(letters[axis])
        return "".join(found)

    pairs = len(args) // 2
    equation = ",".join(text(args[2 * i + 1]) for i in range(pairs))
    if len(args) % 2:
        equation += "->" + text(args[-1])
    return equation, [args[2 * i] for i in range(pairs)]


def _labels(term: str, rank: int, position: int) -> list[str]:
    """One label for each axis; the axes under "..." are called (".", n), counted from the last."""
    before, dots, after = term.partition("...")
    if _ELLIPSIS in before + after:
        raise RuntimeError(
            f"einsum(): found '.' for operand {position} that is not part of any ellipsis"
        )
    named = list(before) + list(after)
    for letter in named:
        if letter not in string.ascii_letters:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {position} in the equation string, "
                f"subscripts must be in [a-zA-Z], got {letter!r}"
            )
    covered = rank - len(named)
    if covered < 0 or (covered and not dots):
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(named)}) does not match the "
            f"number of dimensions ({rank}) for operand {position}"
            + ("" if dots else " and no ellipsis was given")
        )
    middle = [f"{_ELLIPSIS}{n}" for n in range(covered - 1, -1, -1)]
    return list(before) + middle + list(after)


def _parse(equation: str, operands) -> tuple[list[list[str]], list[str]]:
    """Labels of each operand, and of the output."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        more = "more" if len(terms) < len(operands) else "fewer"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation"
        )
    inputs = [_labels(t, x.ndim, i) for i, (t, x) in enumerate(zip(terms, operands))]
    everything = [label for labels in inputs for label in labels]
    hidden = sorted({label for label in everything if label[0] == _ELLIPSIS}, reverse=True)
    if not arrow:
        once = sorted(
            label for label in set(everything)
            if label[0] != _ELLIPSIS and everything.count(label) == 1
        )  # fmt: skip
        return inputs, hidden + once
    before, dots, after = right.partition("...")
    output = list(before) + (hidden if dots else []) + list(after)
    for label in output:
        if label[0] != _ELLIPSIS and output.count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
        if label not in everything:
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any input "
                "operand"
            )
    return inputs, output


def _evaluate(inputs, output, operands) -> Tensor:
    sizes: dict[str, int] = {}
    for position, (labels, x) in enumerate(zip(inputs, operands)):
        for label, size in zip(labels, x._node.shape):
            known = sizes.get(label, 1)
            if known != 1 and size not in (1, known):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {size} for operand {position} which "
                    f"does not broadcast with previously seen size {known}"
                )
            sizes[label] = size if known == 1 else known
    terms = [_without_repeats(x, labels) for x, labels in zip(operands, inputs)]
    result, labels = terms[0]
    for position in range(1, len(terms)):
        later = {label for _, rest in terms[position + 1 :] for label in rest} | set(output)
        x, y = (result, labels), terms[position]
        last = position == len(terms) - 1
        if last and _comes_second(x[1], y[1], output):
            x, y = y, x
        result, labels = _contract(*x, *y, later, output if last else ())
    lost = tuple(axis for axis, label in enumerate(labels) if label not in output)
    if lost:
        result = _sum(result, lost)
        labels = [label for label in labels if label in output]
    order = tuple(labels.index(label) for label in output)
    return result if order == tuple(range(len(order))) else permute(result, order)


def _comes_second(x_labels, y_labels, output) -> bool:
    """Whether the result's axes that only the second operand has stand before those that only the
    first one has: the product of the two the other way round then has them in this order."""
    first = [place for place, k in enumerate(output) if k in x_labels and k not in y_labels]
    second = [place for place, k in enumerate(output) if k in y_labels and k not in x_labels]
    return bool(first) and bool(second) and max(second) < min(first)


def _without_repeats(x: Tensor, labels: list[str]) -> tuple[Tensor, list[str]]:
    """A label that occurs twice in one operand means its diagonal."""
    labels = list(labels)
    while True:
        repeated = [a for a, label in enumerate(labels) if label in labels[:a]]
        if not repeated:
            return x, labels
        second = repeated[0]
        first = labels.index(labels[second])
        if x._node.shape[first] != x._node.shape[second]:
            raise RuntimeError(
                f"einsum(): subscript {labels[second]} is repeated for one operand but the sizes "
                f"don't match, {x._node.shape[second]} != {x._node.shape[first]}"
            )
        x = x.diagonal(0, first, second)  # the diagonal becomes the last axis
        label = labels[second]
        labels = [k for a, k in enumerate(labels) if a not in (first, second)] + [label]


def _contract(x, x_labels, y, y_labels, kept: set, order=()) -> tuple[Tensor, list[str]]:
    """Product of two operands, summed over the labels that nothing needs later.

    order: of labels in the final result, which the product's labels follow where they can.
    """
    x, x_labels = _summed_alone(x, x_labels, y_labels, kept)
    y, y_labels = _summed_alone(y, y_labels, x_labels, kept)
    shared = [label for label in x_labels if label in y_labels]
    x_size = dict(zip(x_labels, x._node.shape))
    y_size = dict(zip(y_labels, y._node.shape))
    x, y, summed = _equal_sizes(x, x_labels, y, y_labels, shared, kept)
    batch = [label for label in shared if label not in summed]
    rows = [label for label in x_labels if label not in shared]
    columns = [label for label in y_labels if label not in shared]
    for labels in (batch, rows, columns):
        labels.sort(key=lambda label: order.index(label) if label in order else len(order))
    if x._node.dtype is not y._node.dtype:  # one of them was summed before
        x, y = e.cast(x, int64), e.cast(y, int64)
    if not summed:
        labels = batch + rows + columns
        return e.mul(_spread(x, x_labels, labels), _spread(y, y_labels, labels)), labels
    both = {label: max(x_size[label], y_size[label]) for label in shared}
    batch_shape = [both[label] for label in batch]
    k = numel([both[label] for label in summed])
    left = _grouped(x, x_labels, (batch, rows, summed))
    right = _grouped(y, y_labels, (batch, summed, columns))
    m = numel([x_size[label] for label in rows])
    n = numel([y_size[label] for label in columns])
    count = numel(batch_shape)
    if batch:
        product = matmul(reshape(left, (count, m, k)), reshape(right, (count, k, n)), False, False)
    else:
        product = matmul(reshape(left, (m, k)), reshape(right, (k, n)), False, False)
    shape = (*batch_shape, *(x_size[r] for r in rows), *(y_size[c] for c in columns))
    return reshape(product, shape), batch + rows + columns


def _sum(x, axes) -> Tensor:
    """As `torch.sum`: integers are counted in int64."""
    return reduce_sum(x if x._node.dtype.is_inexact else e.cast(x, int64), axes, False)


def _summed_alone(x, labels, other_labels, kept):
    """Sum over labels that only this operand has and nothing needs."""
    axes = tuple(
        a for a, label in enumerate(labels) if label not in other_labels and label not in kept
    )
    if not axes:
        return x, labels
    return _sum(x, axes), [k for a, k in enumerate(labels) if a not in axes]


def _equal_sizes(x, x_labels, y, y_labels, shared, kept):
    """Expand shared axes of size 1 where the other operand's is larger; labels to be summed."""
    x_shape, y_shape = list(x._node.shape), list(y._node.shape)
    for label in shared:
        i, j = x_labels.index(label), y_labels.index(label)
        x_shape[i] = y_shape[j] = y_shape[j] if x_shape[i] == 1 else x_shape[i]
    if tuple(x_shape) != x._node.shape:
        x = x.expand(tuple(x_shape))
    if tuple(y_shape) != y._node.shape:
        y = y.expand(tuple(y_shape))
    return x, y, [label for label in shared if label not in kept]


def _grouped(x: Tensor, labels, groups) -> Tensor:
    order = tuple(labels.index(label) for group in groups for label in group)
    return x if order == tuple(range(len(order))) else permute(x, order)


def _spread(x: Tensor, labels, wanted) -> Tensor:
    """x with axes in the wanted order, size 1 where it has none."""
    sizes = dict(zip(labels, x._node.shape))
    x = _grouped(x, labels, ([label for label in wanted if label in sizes],))
    return reshape(x, tuple(sizes.get(label, 1) for label in wanted))


# ---- tensordot -----------------------------------------------------------------------------------


@spelled()
def tensordot(a, b, dims=2, out=None) -> Tensor:
    """Sum of products over pairs of axes: the last and first `dims`, or two lists of axes.

    Raises: RuntimeError if their sizes differ.  Source: torch.tensordot.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims.ndim else dims.item()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(
                f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}, {a.ndim},"
                f" {b.ndim}"
            )
        first, second = tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    else:
        first, second = dims
        first = (first,) if isinstance(first, int) else tuple(first)
        second = (second,) if isinstance(second, int) else tuple(second)
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    if a._node.dtype is not b._node.dtype:
        raise RuntimeError(
            f"both inputs should have same dtype, got {a._node.dtype} and {b._node.dtype}"
        )
    first = [wrap_axis(d, a.ndim) for d in first]
    second = [wrap_axis(d, b.ndim) for d in second]
    letters = string.ascii_letters
    a_labels = list(letters[: a.ndim])
    b_labels = list(letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(first, second):
        if a._node.shape[i] != b._node.shape[j] and 1 not in (a._node.shape[i], b._node.shape[j]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._node.shape[i]}"
                f" in dim {i} and second has size {b._node.shape[j]} in dim {j}"
            )
        b_labels[j] = a_labels[i]
    kept = [label for n, label in enumerate(a_labels) if n not in first]
    kept += [label for n, label in enumerate(b_labels) if n not in second]
    found = _evaluate([a_labels, b_labels], kept, [a, b])
    return found if out is None else out.copy_(found)
