"""vmap: a function of members as a function of batches.

In: a function, which axes of its arguments are batches, where they go in its results.  Out: a
function that records each operation once, for the whole batch.  Level: transform.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides
from rushlight.ops.generator import default_generator
from rushlight.primitives.movement import concatenate, expand, permute, reshape, strided_read
from rushlight.tape.tape import current_tape
from rushlight.tensor.storage import write
from rushlight.tensor.tensor import Tensor
from rushlight.transform.interception import Below, current_node, enter, frozen, leave
from rushlight.transform.mapped import RANDOMNESS, MappedLevel
from rushlight.transform.trees import Structure, broadcast_prefix, flatten, unflatten


class _Call(NamedTuple):
    """The arguments of one call.  dims: the batch's axis of each leaf, or None."""

    leaves: list
    structure: Structure
    dims: list[int | None]
    size: int


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that applies `func` to each member of a batch, all at once.

    in_dims: axis of the batch in the arguments: one for all, or a tree that begins like the
        arguments' tree; None for what all members share.  Keyword arguments are shared.
    out_dims: where the axis goes in the results, likewise; None for a result all members share.
    randomness: what a random operation does: "error", "different" numbers for each member, "same".
    chunk_size: members computed at once; None for all.
    Raises: ValueError if axes and arguments do not fit; RuntimeError where `func` reads a value
        that differs by member.  Source: torch.func.vmap.
    """
    if randomness not in RANDOMNESS:
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = _prepared(name, in_dims, args)
        if chunk_size is None or chunk_size >= call.size:
            return _mapped(func, name, call, out_dims, randomness, kwargs)
        return _in_chunks(func, name, call, out_dims, randomness, kwargs, chunk_size)

    return wrapped


# ---- arguments -----------------------------------------------------------------------------------


def _is_dim(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _maps_itself(value: Any) -> bool:
    """Whether an argument is a container of another library's that makes members of its tensors."""
    return not isinstance(value, Tensor) and hasattr(value, "_add_batch_dim")


def _prepared(name: str, in_dims: Any, args: tuple) -> _Call:
    where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(
            f"{where}: expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, structure = flatten(args)
    dims = broadcast_prefix(in_dims, structure, _is_dim)
    if dims is None:
        raise ValueError(
            f"{where}: in_dims is not compatible with the structure of `inputs`; it must be one "
            f"axis, or begin like the {len(args)} positional arguments"
        )
    sizes = []
    chosen: list[int | None] = []
    for leaf, dim in zip(leaves, dims):
        if dim is None:
            chosen.append(None)
            continue
        if _maps_itself(leaf):
            chosen.append(dim)
            sizes.append(leaf.batch_size[dim])
            continue
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"{where}: Got in_dim={dim} for an input but the input is of type {type(leaf)}. We "
                "cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        rank = len(leaf._node.shape)
        if not -rank <= dim < rank:
            raise ValueError(
                f"{where}: Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {rank} so expected in_dim to satisfy -{rank} <= in_dim < {rank}."
            )
        chosen.append(dim % rank)
        sizes.append(leaf._node.shape[dim % rank])
    if not sizes:
        raise ValueError(f"{where}: at least one input must be mapped; every in_dim is None")
    if len(set(sizes)) > 1:
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return _Call(leaves, structure, chosen, sizes[0])


def moved(tensor: Tensor, source: int, target: int) -> Tensor:
    """The tensor with one axis at another place."""
    if source == target:
        return tensor
    axes = list(range(len(tensor._node.shape)))
    axes.insert(target, axes.pop(source))
    return permute(tensor, tuple(axes))


# ---- one call ------------------------------------------------------------------------------------


def _mapped(func, name: str, call: _Call, out_dims: Any, randomness: str, kwargs: dict) -> Any:
    level = MappedLevel(call.size, randomness)
    payloads = [
        None if dim is None or _maps_itself(leaf) else moved(frozen(leaf), dim, 0)
        for leaf, dim in zip(call.leaves, call.dims)
    ]
    entered = enter(level)
    try:
        members = []
        for leaf, dim, payload in zip(call.leaves, call.dims, payloads):
            if payload is not None:
                leaf = level.member(payload)
            elif dim is not None:
                leaf = leaf._add_batch_dim(in_dim=dim, vmap_level=level.depth)
            members.append(leaf)
        outputs = func(*unflatten(members, call.structure), **kwargs)
        leaves, structure = flatten(outputs)
        dims = _output_dims(name, leaves, structure, out_dims)
        batches = [
            _batch_of(entered.transforms, level, name, leaf, dim) for leaf, dim in zip(leaves, dims)
        ]
        written = [
            (leaf, dim, _batch_of(entered.transforms, level, name, member, 0))
            for leaf, dim, member in zip(call.leaves, call.dims, members)
            if dim is not None and isinstance(member, Tensor) and member._version
        ]
    finally:
        leave(entered)
    for leaf, dim, batch in written:
        write(leaf, moved(batch, 0, dim))
    return unflatten(batches, structure)


def _output_dims(name: str, leaves: list, structure: Structure, out_dims: Any) -> list:
    dims = broadcast_prefix(out_dims, structure, _is_dim)
    if dims is None and structure.kind is None and isinstance(out_dims, tuple):
        if len(out_dims) == 1:
            dims = broadcast_prefix(out_dims[0], structure, _is_dim)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            f"the structure of `outputs`; it must be one axis, or begin like the {len(leaves)} "
            "results"
        )
    for leaf, dim in zip(leaves, dims):
        if not isinstance(leaf, Tensor) and dim is not None and not _maps_itself(leaf):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(leaf)}. Did "
                "you mean to set out_dims= to None for output?"
            )
    return dims


def _batch_of(transforms, level: MappedLevel, name: str, leaf: Any, dim: int | None) -> Any:
    """A result for all members, with the batch's axis at `dim`."""
    if _maps_itself(leaf) and dim is not None:
        return leaf._maybe_remove_batch_dim(
            name, vmap_level=level.depth, batch_size=level.size, out_dim=dim
        )
    if not isinstance(leaf, Tensor):
        return leaf
    node: Any = current_node(leaf)
    known = level.knows(node)
    if dim is None:
        if known and node.mapped:
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return node.payload if known else leaf
    payload = node.payload if known else frozen(leaf)
    with Below(transforms, level):
        if not (known and node.mapped):
            shape = payload._node.shape
            payload = expand(reshape(payload, (1, *shape)), (level.size, *shape))
        rank = len(payload._node.shape)
        if not -rank <= dim < rank:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{rank}, {rank - 1}], but "
                f"got {dim})"
            )
        return moved(payload, 0, dim % rank)


# ---- in chunks -----------------------------------------------------------------------------------


def _part(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    shape = x._node.shape
    strides = contiguous_strides(shape)
    offset = x._scalar(start * strides[axis], int64)
    size = (*shape[:axis], stop - start, *shape[axis + 1 :])
    return strided_read(x, offset, size, strides)


def _in_chunks(
    func, name: str, call: _Call, out_dims: Any, randomness: str, kwargs: dict, chunk_size: int
) -> Any:
    columns: list[list] = []
    structure: Any = None
    state = default_generator.get_state() if randomness == "same" else None
    for start in range(0, call.size, chunk_size):
        if state is not None:
            default_generator.set_state(state)
        stop = min(start + chunk_size, call.size)
        leaves = [
            leaf if dim is None else _part(leaf, dim, start, stop)
            for leaf, dim in zip(call.leaves, call.dims)
        ]
        part = call._replace(leaves=leaves, size=stop - start)
        found, structure = flatten(_mapped(func, name, part, out_dims, randomness, kwargs))
        columns.append(found)
    dims = _output_dims(name, columns[0], structure, out_dims)
    joined = []
    for parts, dim in zip(zip(*columns), dims):
        if dim is None:
            joined.append(parts[0])
        else:
            joined.append(concatenate(parts, dim % len(parts[0]._node.shape)))
    return unflatten(joined, structure)


# ---- by hand -------------------------------------------------------------------------------------


class Members:
    """A vmap for the length of a block, by hand."""

    def __init__(self, size: int, mode: str) -> None:
        self.level = MappedLevel(size, mode)

    def __enter__(self) -> Members:
        self._entered = enter(self.level)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        leave(self._entered)

    def members(self, values: Sequence[Any], mapped: Sequence[Any]) -> list:
        """Members of the batches among the values; others as they are."""
        return [
            self.level.member(v) if m and isinstance(v, Tensor) else v
            for v, m in zip(values, mapped)
        ]

    def payloads(self, values: Sequence[Any]) -> tuple[list, list]:
        """What stands behind the values, and whether each is a batch."""
        found, kinds = [], []
        for value in values:
            node: Any = current_node(value) if isinstance(value, Tensor) else None
            known = node is not None and self.level.knows(node)
            found.append(node.payload if known else value)
            kinds.append(known and node.mapped)
        return found, kinds

    def batches(self, output: Any) -> Any:
        """The batch behind each tensor; what all members share is repeated."""
        if isinstance(output, tuple):
            return tuple(self.batches(part) for part in output)
        if not isinstance(output, Tensor):
            return output
        (payload,), (mapped,) = self.payloads([output])
        if mapped:
            return payload
        with Below(current_tape().transforms, self.level):
            shape = payload._node.shape
            return expand(reshape(payload, (1, *shape)), (self.level.size, *shape))
