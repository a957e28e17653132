"""Many cotangents, or tangents, in one walk: what autograd does by vmap.

In: a graph, or a function, and a batch of vectors.  Out: a batch of products with the Jacobian.
Level: autograd (12).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.primitives.movement import permute
from rushlight.tape.tape import current_tape
from rushlight.tensor.tensor import Tensor
from rushlight.transform.bases import pieces, unit_vectors
from rushlight.transform.forward import ForwardLevel
from rushlight.transform.interception import differentiate_by, enter, frozen, leave
from rushlight.transform.vectorization import Members
from rushlight.vjp.broadcast import filled


def batched_gradients(
    walk: Callable[[list], list], cotangents: Sequence[Any], create_graph: bool
) -> list:
    """What `walk` gives for each member of the cotangents, as batches; None stays None."""
    sizes = {c.shape[0] for c in cotangents if c is not None}
    if len(sizes) != 1:
        raise RuntimeError("grad: is_grads_batched needs grad_outputs with one common leading size")
    (size,) = sizes
    with Members(size, "error") as work:
        current_tape().transforms.user_mode = create_graph
        found = walk(work.members(cotangents, [c is not None for c in cotangents]))
        return [None if g is None else work.batches(g) for g in found]


def leaves(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Handles with the tensors' values, and tangents, that require gradients."""
    made = []
    for x in tensors:
        handle = frozen(x)
        differentiate_by(handle)
        made.append(handle)
    return tuple(made)


def reverse_blocks(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], gradients: Callable[[list], Sequence]
) -> list[list[Tensor]]:
    """For each output, the blocks of the Jacobian: (output shape, input shape) for each input.

    gradients: from a batch of cotangents for each output to a batch of gradients for each input.
    """
    tables = gradients(unit_vectors(list(outputs)))
    columns = [pieces(table, 0, list(outputs)) for table in tables]
    return [list(blocks) for blocks in zip(*columns)]


def forward_blocks(
    func: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]
) -> list[list[Tensor]]:
    """The same by forward mode; `func` gives a sequence of tensors."""
    units = unit_vectors(list(inputs))
    with Members(units[0].shape[0], "error") as work:
        tangents = work.members(units, [True] * len(units))
        level = ForwardLevel()
        entered = enter(level)
        try:
            duals = [level.dual(entered.transforms, x, t) for x, t in zip(inputs, tangents)]
            outputs = func(*duals)
            moved = [
                filled(out, 0.0, out.shape) if t is None else t
                for out, t in ((out, level.tangent_of(out)) for out in outputs)
            ]
        finally:
            leave(entered)
        tables = [work.batches(t) for t in moved]
    blocks = []
    for table in tables:
        axes = (*range(1, len(table.shape)), 0)
        blocks.append(pieces(permute(table, axes), len(axes) - 1, list(inputs)))
    return blocks
