"""What `gradcheck` asks of forward mode, and of many derivatives at once.

In: a function, its inputs, finite differences.  Out: nothing, or a GradcheckError.
Level: autograd (12).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.autograd import forward_ad
from rushlight.autograd.differentiation import grad
from rushlight.autograd.gradcheck import (
    GradcheckError,
    close,
    directions,
    outputs_of,
    real_columns,
    tensor_of,
    values_of,
)
from rushlight.primitives.movement import concatenate, reshape
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor
from rushlight.transform.vectorization import Members


def forward_rows(func: Callable[..., Any], inputs: Sequence[Any], position: int) -> list[list]:
    """For each direction of the input, the outputs' tangents as real columns."""
    target = inputs[position]
    size = values_of(target).size
    rows = []
    for element in range(size):
        for direction in directions(target.dtype):
            seed = np.zeros(size, np.complex128 if target.dtype.is_complex else np.float64)
            seed[element] = direction
            tangent = tensor_of(seed, target.shape, target.dtype)
            pushed = _pushed(func, inputs, [tangent], [position])
            rows.append([real_columns(values_of(t)) for t in pushed])
    return rows


def _pushed(
    func: Callable[..., Any], inputs: Sequence[Any], tangents: list, positions: list[int]
) -> list[Tensor]:
    """Tangents of the outputs; zeros where an output has none."""
    arguments = list(inputs)
    with forward_ad.dual_level():
        for position, tangent in zip(positions, tangents):
            arguments[position] = forward_ad.make_dual(inputs[position], tangent)
        pairs = [forward_ad.unpack_dual(output) for output in outputs_of(func, arguments)]
        return [p.primal * 0 if p.tangent is None else p.tangent for p in pairs]


def check_forward(
    func: Callable[..., Any],
    inputs: Sequence[Any],
    position: int,
    numerical: list[np.ndarray],
    atol: float,
    rtol: float,
) -> None:
    """Compare forward derivatives by one input with the finite differences."""
    rows = forward_rows(func, inputs, position)
    for number, expected in enumerate(numerical):
        found = np.stack([row[number] for row in rows])
        if not close(found, expected, atol, rtol):
            raise GradcheckError(
                f"Jacobian computed with forward mode mismatch for output {number} with respect to "
                f"input {position},\nnumerical:{expected}\nanalytical:{found}\n"
            )


def _random(like: Tensor, seed: int, count: int) -> list[Tensor]:
    generator = np.random.default_rng(seed)
    size = values_of(like).size
    made = []
    for _ in range(count):
        values = generator.uniform(-1, 1, size)
        if like.dtype.is_complex:
            values = values + 1j * generator.uniform(-1, 1, size)
        made.append(tensor_of(values, like.shape, like.dtype))
    return made


def _compare(found: list, rows: list[list], what: str, atol: float, rtol: float) -> None:
    for number, batch in enumerate(found):
        for index, row in enumerate(rows):
            one, other = values_of(batch[index]), values_of(row[number])
            if not close(real_columns(one), real_columns(other), atol, rtol):
                raise GradcheckError(
                    f"{what} computed for a batch by vmap differs from the one computed alone, at "
                    f"{number}: {one} and {other}"
                )


def check_batched_backward(
    func: Callable[..., Any], inputs: Sequence[Any], positions: list[int], atol: float, rtol: float
) -> None:
    """Compare gradients of a batch of cotangents with those of each."""
    targets = [inputs[i] for i in positions]
    for seed, output in enumerate(outputs_of(func, inputs)):
        if current_edge(output) is None:
            continue
        cotangents = _random(output, seed, 2)
        options: dict[str, Any] = {"retain_graph": True, "allow_unused": True}
        options["materialize_grads"] = True
        rows = [list(grad([output], targets, [c], **options)) for c in cotangents]
        found = grad([output], targets, [_stack(cotangents)], is_grads_batched=True, **options)
        _compare(list(found), rows, "A gradient", atol, rtol)


def check_batched_forward(
    func: Callable[..., Any], inputs: Sequence[Any], positions: list[int], atol: float, rtol: float
) -> None:
    """Compare tangents of a batch of directions with those of each."""
    chosen = [_random(inputs[p], p, 2) for p in positions]
    rows = [_pushed(func, inputs, list(tangents), positions) for tangents in zip(*chosen)]
    batches = [_stack(tangents) for tangents in chosen]
    with Members(2, "error") as work:
        given = work.members(batches, [True] * len(batches))
        found = [work.batches(t) for t in _pushed(func, inputs, given, positions)]
    _compare(found, rows, "A forward derivative", atol, rtol)


def _stack(tensors: list[Tensor]) -> Tensor:
    return concatenate(tuple(reshape(x, (1, *x.shape)) for x in tensors), 0)
