"""Custom functions under vmap: the user's rule, or one that is made from the function itself.

In: an `autograd.Function` and arguments of which some are members of a batch.  Out: its outputs as
members.  A made rule is a Function on the batches: its forward, backward and jvp run the user's on
members, each under a vmap of its own.  Level: autograd (12).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.autograd.function import Function, FunctionCtx
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.tensor import Tensor
from rushlight.transform.interception import Below, Transforms, current_node
from rushlight.transform.mapped import MappedLevel
from rushlight.transform.trees import broadcast_prefix, flatten, unflatten
from rushlight.transform.vectorization import Members, moved


class VmapInfo(NamedTuple):
    """What a user's vmap rule is told."""

    batch_size: int
    randomness: str


def mapped_forward(
    transforms: Transforms, level: MappedLevel, function: type[Function], args: tuple
) -> Any:
    """The outputs of one application, as members of `level`'s batch."""
    own_rule = function.vmap is not Function.vmap
    if own_rule and function.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {function.__name__}, but it has both generate_vmap_rule=True "
            "and an overridden vmap staticmethod. Please set generate_vmap_rule=False or delete "
            "the overridden vmap staticmethod to avoid ambiguity"
        )
    if not own_rule and not function.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {function.__name__}, but it does not have vmap support. "
            "Please override and implement the vmap staticmethod or set generate_vmap_rule=True"
        )
    given = []
    mapped = []
    for a in args:
        node: Any = current_node(a) if isinstance(a, Tensor) else None
        known = node is not None and level.knows(node)
        given.append(node.payload if known else a)
        mapped.append(known and node.mapped)
    with Below(transforms, level):
        if not any(mapped):
            return _as_members(level, function.apply(*given), False)
        if not own_rule:
            rule = _generated(function, level, tuple(mapped))
            return _as_members(level, rule.apply(*given), True)
        dims = tuple(0 if m else None for m in mapped)
        found = function.vmap(VmapInfo(level.size, level.mode), dims, *given)
        if not isinstance(found, tuple) or len(found) != 2:
            raise RuntimeError(
                "Expected the vmap staticmethod to have two returns, an output and out_dims with "
                f"pytree structure compatible with the output. Got a {type(found)} instead"
            )
        leaves, structure = flatten(found[0])
        places = broadcast_prefix(found[1], structure, lambda d: d is None or isinstance(d, int))
        if places is None:
            raise RuntimeError(
                f"{function.__name__}.vmap returned out_dims {found[1]!r} that do not fit its "
                f"{len(leaves)} outputs"
            )
        members = []
        for leaf, place in zip(leaves, places):
            if not isinstance(leaf, Tensor):
                members.append(leaf)
            elif place is None:
                members.append(level.member(leaf, False))
            else:
                rank = len(leaf._node.shape)
                members.append(level.member(moved(leaf, place % rank, 0), True))
        return unflatten(members, structure)


def _as_members(level: MappedLevel, output: Any, mapped: bool) -> Any:
    if isinstance(output, tuple):
        return tuple(_as_members(level, part, mapped) for part in output)
    return level.member(output, mapped) if isinstance(output, Tensor) else output


# ---- rules made from the function ----------------------------------------------------------------


class _MemberCtx(FunctionCtx):
    """The context that the user's methods see; what they saved is kept as batches outside."""

    def __init__(self) -> None:
        super().__init__()
        self.members: tuple = ()

    @property
    def saved_tensors(self) -> tuple:
        return self.members


class _Saved(NamedTuple):
    """Which of the saved tensors are batches."""

    backward: list[bool | None]
    forward: list[bool | None]


def _generated(
    function: type[Function], outer: MappedLevel, mapped: tuple[bool, ...]
) -> type[Function]:
    """A Function on batches; `mapped` says which arguments are."""
    size, mode = outer.size, outer.mode

    class Batched(Function):
        @staticmethod
        def forward(*args: Any) -> Any:
            with Members(size, mode) as work:
                return work.batches(function.forward(*work.members(args, mapped)))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
            inner = _MemberCtx()
            inner.needs_input_grad = ctx.needs_input_grad
            several = isinstance(output, tuple)
            outputs = output if several else (output,)
            with Members(size, mode) as work:
                seen_in = work.members(inputs, mapped)
                seen_out = work.members(outputs, (True,) * len(outputs))
                given = tuple(seen_out) if several else seen_out[0]
                function.setup_context(inner, tuple(seen_in), given)
                back, back_mapped = work.payloads(inner._to_save)
                ahead, ahead_mapped = work.payloads(inner._for_forward)
                for name, value in list(vars(inner).items()):
                    if isinstance(value, Tensor):
                        setattr(inner, name, work.batches(value))
            originals = {id(m): b for m, b in zip(seen_in + seen_out, (*inputs, *outputs))}
            back = [originals.get(id(m), b) for m, b in zip(inner._to_save, back)]
            ctx.save_for_backward(*back)
            ctx.save_for_forward(*ahead)
            ctx.materialize_grads = inner.materialize_grads
            marked = [originals[id(m)] for m in inner._non_differentiable if id(m) in originals]
            ctx.mark_non_differentiable(*marked)
            ctx.inner = inner
            ctx.kinds = _Saved(back_mapped, ahead_mapped)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            with Members(size, mode) as work:
                ctx.inner.members = tuple(work.members(ctx.saved_tensors, ctx.kinds.backward))
                given = work.members(gradients, [g is not None for g in gradients])
                found = function.backward(ctx.inner, *given)
                parts = found if isinstance(found, tuple) else (found,)
                batches = [work.batches(part) for part in parts]
            return tuple(
                part if part is None or m else reduce_sum(part, (0,), False)
                for part, m in zip(batches, mapped)
            )

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            with Members(size, mode) as work:
                ctx.inner.members = tuple(work.members(ctx.saved_tensors, ctx.kinds.forward))
                given = work.members(
                    tangents, [t is not None and m for t, m in zip(tangents, mapped)]
                )
                return work.batches(function.jvp(ctx.inner, *given))

    if function.vjp is not Function.vjp:
        user = function.vjp
        function = type(function.__name__, (function,), {"backward": user})
    Batched.__name__ = Batched.__qualname__ = f"Vmapped{function.__name__}"
    Batched.generate_vmap_rule = True
    return Batched
