"""L-BFGS.  Level 12.

A step runs up to `max_iter` iterations of the two-loop recursion (Nocedal and Wright, algorithm
7.4), evaluating the user's closure; it reads the loss and a few inner products in each, since they
decide what happens next.  All parameters are treated as one flat vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.optim.optimizer import Optimizer
from rushlight.optim.options import check_lr, scalar_option, state_like
from rushlight.optim.wolfe import strong_wolfe
from rushlight.primitives.elementwise import imag, make_complex, real
from rushlight.primitives.movement import pack, unpack
from rushlight.primitives.reduction import reduce_max
from rushlight.tensor.flush import cut_program
from rushlight.tensor.grad_mode import enable_grad, no_grad
from rushlight.tensor.tensor import Tensor

__all__ = ["LBFGS"]

# A pair (y, s) is kept only if y.s exceeds this: otherwise the inverse Hessian may lose positivity.
_CURVATURE_FLOOR = 1e-10

# Pairs of the history in one program.  More would save little: running a program costs about what
# sixteen pairs do.
_PIECE = 16
_POWERS = (1, 2, 4, 8)

_CARRIED = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


class LBFGS(Optimizer):
    """Limited-memory BFGS, with an optional line search for the strong Wolfe conditions.

    `step` needs a closure that clears gradients, computes the loss, calls backward and returns it.
    One parameter group only.  Raises: ValueError for several groups; RuntimeError for an unknown
    line search.  Source: torch.optim.LBFGS.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Minimise along several quasi-Newton directions; returns the loss before the first."""
        with no_grad():
            return self._minimize(enable_grad()(closure))

    def _minimize(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        # The state is one for all, kept with the first parameter so that loading casts it.
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_gradient()
        if _largest(grad) <= group["tolerance_grad"]:
            return first_loss
        search = {name: state.get(name) for name in _CARRIED}
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            self._choose_direction(state, search, grad)
            previous_loss = search["prev_loss"] = loss
            lr = scalar_option(group["lr"])
            search["t"] = lr
            if state["n_iter"] == 1:
                search["t"] = min(1.0, 1.0 / grad.abs().sum()) * lr
            slope = grad.dot(search["d"])
            if slope > -group["tolerance_change"]:
                break
            last = iteration == group["max_iter"]
            limit = group["max_eval"] - evaluations
            loss, grad, used = self._move(closure, search, loss, grad, slope, limit, last)
            evaluations += used
            state["func_evals"] += used
            if last or evaluations >= group["max_eval"]:
                break
            if _largest(grad) <= group["tolerance_grad"]:
                break
            if _largest(search["d"] * search["t"]) <= group["tolerance_change"]:
                break
            if abs(loss - previous_loss) < group["tolerance_change"]:
                break
        state.update(search)
        return first_loss

    def _choose_direction(self, state: dict, search: dict, grad: Tensor) -> None:
        """Set search["d"], after taking the last move into the memory of curvature."""
        if state["n_iter"] == 1:
            search.update(d=-grad, old_dirs=[], old_stps=[], ro=[], H_diag=1)
            search["prev_flat_grad"] = grad.clone()
            return
        history_size = self.param_groups[0]["history_size"]
        y = grad - search["prev_flat_grad"]
        s = search["d"] * search["t"]
        curvature = y.dot(s)
        if curvature > _CURVATURE_FLOOR:
            if len(search["old_dirs"]) == history_size:
                for name in ("old_dirs", "old_stps", "ro"):
                    search[name].pop(0)
            search["old_dirs"].append(y)
            search["old_stps"].append(s)
            search["ro"].append(1.0 / curvature)
            search["H_diag"] = curvature / y.dot(y)
        weights = state.setdefault("al", [None] * history_size)
        search["d"] = _inverse_hessian_times(-grad, search, weights)
        search["prev_flat_grad"] = grad.clone()

    def _move(
        self,
        closure: Callable[[], Any],
        search: dict,
        loss: float,
        grad: Tensor,
        slope: Tensor,
        limit: int,
        last: bool,
    ) -> tuple[float, Tensor, int]:
        """Move along search["d"]; returns loss and gradient there, and evaluations used."""
        line_search = self.param_groups[0]["line_search_fn"]
        direction = search["d"]
        if line_search is None:
            self._add(direction * search["t"])
            if last:
                # Nobody will look at the gradient there.
                return loss, grad, 0
            return float(closure()), self._flat_gradient(), 1
        if line_search != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        start = [param.clone() for param in self._params]

        def evaluate(t: Any) -> tuple[float, Tensor]:
            self._add(direction * t)
            value = float(closure())
            gradient = self._flat_gradient()
            for param, saved in zip(self._params, start):
                param._assign_value(saved.clone())
            return value, gradient

        loss, grad, search["t"], used = strong_wolfe(
            evaluate, search["t"], direction, loss, grad, slope, max_evaluations=limit
        )
        self._add(direction * search["t"])
        return loss, grad, used

    def _flat_gradient(self) -> Tensor:
        """All gradients as one vector, zeros where there is none.  Shapes: (total,)."""
        parts: list[Tensor] = []
        for param in self._params:
            parts += _real_parts(state_like(param) if param.grad is None else param.grad)
        return pack(parts)

    def _add(self, flat: Tensor) -> None:
        """Add the parts of a flat vector to the parameters in place."""
        counts = [2 if param.dtype.is_complex else 1 for param in self._params]
        shapes = [tuple(param.shape) for param in self._params]
        repeated = tuple(shape for shape, n in zip(shapes, counts) for _ in range(n))
        parts = iter(unpack(flat, repeated))
        for param, count in zip(self._params, counts):
            change = next(parts)
            if count == 2:
                change = make_complex(change, next(parts))
            param._assign_value(param + change)


def _largest(flat: Tensor) -> Tensor:
    return reduce_max(flat.abs(), (0,), False)


def _real_parts(tensor: Tensor) -> list[Tensor]:
    """The tensor, or the real and the imaginary part of a complex one."""
    return [real(tensor), imag(tensor)] if tensor.dtype.is_complex else [tensor]


def _pieces(count: int) -> list[range]:
    """The pairs of the history, oldest first, in pieces: what is left over, then whole ones.

    The sizes are powers of two, so that a history of any length is made of a few programs, which
    repeat; as one program each length would be another one, and larger than the one before.
    """
    sizes = [size for size in _POWERS if count % _PIECE & size]
    sizes += [_PIECE] * (count // _PIECE)
    found, start = [], 0
    for size in sizes:
        found.append(range(start, start + size))
        start += size
    return found


def _inverse_hessian_times(q: Tensor, search: dict, weights: list) -> Tensor:
    """The two-loop recursion.  Shapes: (total,) -> (total,)."""
    differences, steps, ro = search["old_dirs"], search["old_stps"], search["ro"]
    pieces = _pieces(len(differences))
    for piece in reversed(pieces):
        cut_program("piece of a history")
        for i in reversed(piece):
            weights[i] = steps[i].dot(q) * ro[i]
            q = q - differences[i] * weights[i]
    cut_program("piece of a history")
    r = q * search["H_diag"]
    for piece in pieces:
        for i in piece:
            correction = differences[i].dot(r) * ro[i]
            r = r + steps[i] * (weights[i] - correction)
        cut_program("piece of a history")
    return r
