"""jvp, and whole Jacobians and Hessians: one vmap over unit vectors.  Level: func."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.func.derivatives import (
    Argnums,
    chosen_arguments,
    require_tensors,
    split_aux,
    vjp,
    with_arguments,
    zeros_like,
)
from rushlight.primitives.movement import permute
from rushlight.tensor.tensor import Tensor
from rushlight.transform.bases import pieces, unit_vectors
from rushlight.transform.forward import ForwardLevel, check_tangent
from rushlight.transform.interception import enter, leave
from rushlight.transform.trees import Structure, flatten, unflatten
from rushlight.transform.vectorization import vmap

# ---- jvp -----------------------------------------------------------------------------------------


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """(outputs of `func` at `primals`, their tangents in the direction of `tangents`).

    primals, tangents: tuples of the same structure, shapes and dtypes.
    strict: raise an error for an output that does not depend on the primals.
    has_aux: `func` returns (outputs, aux), and aux comes third.
    Raises: RuntimeError as PyTorch.  Source: torch.func.jvp.
    """
    where = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{where}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    leaves, structure = flatten(primals)
    directions, direction_structure = flatten(tangents)
    if _kinds(structure) != _kinds(direction_structure):
        raise RuntimeError(
            f"{where}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got "
            f"{len(leaves)} primals and {len(directions)} tangents in {type(tangents).__name__}"
        )
    if not leaves:
        raise RuntimeError(f"{where}: Expected primals to contain at least one Tensor.")
    for leaf in (*leaves, *directions):
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"{where}: Expected only tensors, got unsupported type {type(leaf)}")
    for primal, tangent in zip(leaves, directions):
        check_tangent(primal, tangent)
    level = ForwardLevel()
    entered = enter(level)
    try:
        duals = [level.dual(entered.transforms, p, t) for p, t in zip(leaves, directions)]
        outputs, aux = split_aux(where, func(*unflatten(duals, structure)), has_aux)
        results, result_structure = flatten(outputs)
        for result in results:
            if not isinstance(result, Tensor):
                raise RuntimeError(
                    f"{where}: expected f(*primals) to return only tensors, got unsupported type "
                    f"{type(result)}"
                )
        found = [level.tangent_of(result) for result in results]
    finally:
        leave(entered)
    if strict and any(t is None for t in found):
        raise RuntimeError(
            f"{where}: The output of f is independent of the inputs. This is not allowed with "
            "strict=True."
        )
    moved = [zeros_like(r) if t is None else t for r, t in zip(results, found)]
    shown = unflatten(results, result_structure), unflatten(moved, result_structure)
    return (*shown, aux) if has_aux else shown


def _kinds(structure: Structure) -> Any:
    return structure.kind, tuple(_kinds(child) for child in structure.children)


# ---- Jacobians -----------------------------------------------------------------------------------


def _require_real(where: str, what: str, tensors: list[Tensor]) -> None:
    for x in tensors:
        if x._node.dtype.is_complex:
            raise RuntimeError(
                f"{where}: Expected all {what} to be real but received a complex tensor of dtype "
                f"{x._node.dtype}; its derivative is no matrix of its elements"
            )


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func`, by reverse mode: one VJP for each output.

    Shapes: output's, then input's; a tree of the outputs that holds trees of the inputs.
    argnums: position of the argument to differentiate by, or several; as in `grad`.
    chunk_size: rows computed at once; None for all.
    Source: torch.func.jacrev.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = chosen_arguments(args, argnums)
        inputs, structure = flatten(chosen)
        require_tensors(inputs)
        _require_real("jacrev", "inputs", inputs)

        def of_chosen(*values: Any) -> Any:
            given = with_arguments(args, argnums, unflatten(list(values), structure))
            return func(*given, **kwargs)

        made = vjp(of_chosen, *inputs, has_aux=has_aux)
        results, result_structure = flatten(made[0])
        _require_real("jacrev", "outputs", results)
        pullback = made[1]

        def row(*cotangents: Tensor) -> Any:
            return pullback(unflatten(list(cotangents), result_structure))

        tables = vmap(row, chunk_size=chunk_size)(*unit_vectors(results))
        columns = [pieces(table, 0, results) for table in tables]
        blocks = [unflatten(list(parts), structure) for parts in zip(*columns)]
        found = unflatten(blocks, result_structure)
        return (found, made[2]) if has_aux else found

    return wrapped


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func`, by forward mode: one JVP for each input.

    Shapes: as `jacrev`.  Source: torch.func.jacfwd.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = chosen_arguments(args, argnums)
        inputs, structure = flatten(chosen)
        require_tensors(inputs)
        _require_real("jacfwd", "inputs", inputs)
        kept: list[Any] = []

        def of_chosen(*values: Any) -> Any:
            given = with_arguments(args, argnums, unflatten(list(values), structure))
            return func(*given, **kwargs)

        def column(*tangents: Tensor) -> Any:
            found = jvp(of_chosen, tuple(inputs), tangents, has_aux=has_aux)
            results, result_structure = flatten(found[1])
            kept[:] = [result_structure]
            return (tuple(results), found[2]) if has_aux else tuple(results)

        # All unit vectors see the same aux.
        dims = (0, None) if has_aux else 0
        tables = vmap(column, out_dims=dims, randomness=randomness)(*unit_vectors(inputs))
        tables, aux = tables if has_aux else (tables, None)
        _require_real("jacfwd", "outputs", list(tables))
        blocks = []
        for table in tables:
            axes = (*range(1, len(table._node.shape)), 0)
            parts = pieces(permute(table, axes), len(axes) - 1, inputs)
            blocks.append(unflatten(parts, structure))
        found = unflatten(blocks, kept[0])
        return (found, aux) if has_aux else found

    return wrapped


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the Hessian of `func`: forward mode over reverse mode.

    Source: torch.func.hessian.
    """
    return jacfwd(jacrev(func, argnums), argnums)
