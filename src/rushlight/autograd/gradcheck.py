"""gradcheck: gradients against finite differences, to first and second order.

Complex numbers are treated as pairs of reals throughout: an input moves by eps and by i*eps, and
a cotangent is 1 and i, so one comparison of real matrices covers every combination.
Level: autograd (12).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.autograd.differentiation import grad
from rushlight.base.dtypes import DType, float64, narrow, widen
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.grad_mode import enable_grad, no_grad
from rushlight.tensor.interop import read_array
from rushlight.tensor.storage import alias_without_grad, current_edge
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


class GradcheckError(RuntimeError):
    """A gradient that `gradcheck` found to be wrong.  Source: torch.autograd.gradcheck."""


def _values(tensor: Tensor) -> np.ndarray:
    """A copy of the elements in a type of double precision, as a flat array."""
    array = widen(read_array(tensor), tensor.dtype)
    wide = np.complex128 if tensor.dtype.is_complex else np.float64
    return np.array(array, dtype=wide, order="C").reshape(-1)


def _tensor(values: np.ndarray, shape: Sequence[int], dtype: DType) -> Tensor:
    return tensor_from_numpy(np.array(narrow(values.reshape(tuple(shape)), dtype)), dtype)


def _directions(dtype: DType) -> tuple:
    return (1.0, 1.0j) if dtype.is_complex else (1.0,)


def _real_columns(values: np.ndarray) -> np.ndarray:
    """Real and imaginary parts side by side."""
    if np.iscomplexobj(values):
        return np.stack([values.real, values.imag], axis=-1).reshape(-1)
    return values


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    result = func(*inputs)
    results = result if isinstance(result, (tuple, list)) else (result,)
    return [r for r in results if isinstance(r, Tensor) and r.dtype.is_inexact]


def numerical_jacobian(
    func: Callable[..., Any], inputs: Sequence[Any], position: int, eps: float
) -> list[np.ndarray]:
    """For each output, the real matrix d(output) / d(input `position`) by central differences.

    Rows are the input's elements (real and imaginary direction), columns the output's parts.
    """
    target = inputs[position]
    center = _values(target)
    rows: list[list[np.ndarray]] = []
    for element in range(center.size):
        for direction in _directions(target.dtype):
            sides = []
            for sign in (1, -1):
                moved = center.copy()
                moved[element] += sign * eps * direction
                arguments = list(inputs)
                arguments[position] = _tensor(moved, target.shape, target.dtype)
                with no_grad():
                    outputs = _outputs(func, arguments)
                sides.append([_real_columns(_values(output)) for output in outputs])
            rows.append([(up - down) / (2 * eps) for up, down in zip(*sides)])
    if not rows:
        return []
    return [np.stack(column) for column in zip(*rows)]


def analytical_jacobian(output: Tensor, target: Tensor) -> np.ndarray:
    """The same matrix from autograd: one walk for each part of the output."""
    columns = []
    size = int(np.prod(tuple(output.shape), dtype=int))
    for element in range(size):
        for direction in _directions(output.dtype):
            seed = np.zeros(size, np.complex128 if output.dtype.is_complex else np.float64)
            seed[element] = direction
            cotangent = _tensor(seed, output.shape, output.dtype)
            (found,) = grad([output], [target], [cotangent], retain_graph=True, allow_unused=True)
            if found is None:
                found = _tensor(np.zeros(_values(target).size), target.shape, target.dtype)
            if found.shape != target.shape:
                raise GradcheckError(
                    f"gradcheck: a gradient has shape {list(found.shape)}, its input "
                    f"{list(target.shape)}"
                )
            columns.append(_real_columns(_values(found)))
    if not columns:
        return np.zeros((_real_columns(_values(target)).size, 0))
    return np.stack(columns, axis=1)


def _check_inputs(inputs: Sequence[Any]) -> list[int]:
    positions = [
        i for i, x in enumerate(inputs) if isinstance(x, Tensor) and current_edge(x) is not None
    ]
    if not positions:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the "
            "them have requires_grad=True."
        )
    for position in positions:
        if inputs[position].dtype.to_real() is not float64:
            warnings.warn(
                f"Input #{position} requires gradient and is not a double precision floating point "
                "or complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=3,
            )
    return positions


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether gradients of `func` agree with finite differences.

    Every input that requires gradients is checked; double precision is needed for the default
    tolerances.  `fast_mode` is accepted and the full check is done.
    Raises: GradcheckError unless `raise_exception` is False; ValueError without inputs to check;
    NotImplementedError for forward-mode.  Source: torch.autograd.gradcheck.
    """
    if check_forward_ad or check_batched_forward_grad:
        raise NotImplementedError("gradcheck: forward-mode derivatives are not available")
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    positions = _check_inputs(inputs)
    try:
        _check_all(func, inputs, positions, eps, atol, rtol, nondet_tol, check_grad_dtypes)
        if check_undefined_grad:
            _check_undefined(func, inputs, positions)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check_all(
    func: Callable[..., Any],
    inputs: tuple,
    positions: list[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
    check_grad_dtypes: bool,
) -> None:
    outputs = _outputs(func, inputs)
    for position in positions:
        target = inputs[position]
        numerical = numerical_jacobian(func, inputs, position, eps)
        for number, output in enumerate(outputs):
            if current_edge(output) is None:
                if numerical and np.abs(numerical[number]).max(initial=0.0) > atol:
                    raise GradcheckError(
                        "Numerical gradient for function expected to be zero, but output "
                        f"{number} changes with input {position} and has no graph"
                    )
                continue
            analytical = analytical_jacobian(output, target)
            if check_grad_dtypes:
                _check_dtype(output, target)
            again = analytical_jacobian(output, target)
            if np.abs(again - analytical).max(initial=0.0) > nondet_tol:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and "
                    "grad_output multiple times gives different values, although analytical "
                    f"gradient matches numerical gradient. The tolerance for nondeterminism was "
                    f"{nondet_tol}."
                )
            if numerical and not _close(analytical, numerical[number], atol, rtol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {number} with respect to input {position},\n"
                    f"numerical:{numerical[number]}\nanalytical:{analytical}\n"
                )


def _close(x: np.ndarray, y: np.ndarray, atol: float, rtol: float) -> bool:
    return x.shape == y.shape and bool(np.allclose(x, y, rtol=rtol, atol=atol, equal_nan=True))


def _check_dtype(output: Tensor, target: Tensor) -> None:
    ones = _tensor(np.ones(_values(output).size), output.shape, output.dtype)
    (found,) = grad([output], [target], [ones], retain_graph=True, allow_unused=True)
    if found is not None and found.dtype is not target.dtype:
        raise GradcheckError(
            f"gradcheck: a gradient has dtype {found.dtype}, its input {target.dtype}"
        )


def _check_undefined(func: Callable[..., Any], inputs: tuple, positions: list[int]) -> None:
    """With several outputs, each alone must give gradients: the others' cotangents are absent."""
    outputs = [o for o in _outputs(func, inputs) if current_edge(o) is not None]
    if len(outputs) < 2:
        return
    targets = [inputs[i] for i in positions]
    for output in outputs:
        ones = _tensor(np.ones(_values(output).size), output.shape, output.dtype)
        try:
            grad([output], targets, [ones], retain_graph=True, allow_unused=True)
        except Exception as error:
            raise GradcheckError(
                "Expected backward function to handle undefined output grads. Please look at "
                'Notes about undefined output gradients in "tools/autograd/derivatives.yaml"'
            ) from error


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether gradients of gradients of `func` agree with finite differences.

    grad_outputs: cotangents to use; random ones unless given.
    Raises: as `gradcheck`.  Source: torch.autograd.gradgradcheck.
    """
    if check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: forward-mode derivatives are not available")
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    positions = _check_inputs(inputs)
    outputs = [o for o in _outputs(func, inputs) if current_edge(o) is not None]
    if grad_outputs is None:
        cotangents = [_random_like(output, seed) for seed, output in enumerate(outputs)]
    elif isinstance(grad_outputs, (tuple, list)):
        cotangents = list(grad_outputs)
    else:
        cotangents = [grad_outputs]

    def first_order(*arguments: Any) -> tuple:
        xs, vs = arguments[: len(inputs)], arguments[len(inputs) :]
        xs = tuple(_tracked(x, i in positions) for i, x in enumerate(xs))
        found = grad(
            [o for o in _outputs(func, xs) if current_edge(o) is not None],
            [xs[i] for i in positions],
            list(vs),
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in found if g is not None)

    return gradcheck(
        enable_grad()(first_order),
        (*inputs, *cotangents),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
    )


def _tracked(x: Any, wanted: bool) -> Any:
    """An argument to differentiate by; finite differences bring plain tensors."""
    if not wanted or current_edge(x) is not None:
        return x
    handle = alias_without_grad(x)
    require_gradient(handle, True)
    return handle


def _random_like(output: Tensor, seed: int) -> Tensor:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(tuple(output.shape))
    if output.dtype.is_complex:
        values = values + 1j * generator.standard_normal(tuple(output.shape))
    cotangent = _tensor(np.asarray(values), output.shape, output.dtype)
    require_gradient(cotangent, True)
    return cotangent
