"""Every primitive against PyTorch, against finite differences, and against itself cut anywhere.

All checks are generated from the rows in tests/samples/.  Random operands depend on the row alone.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from rushlight.base.config import config
from rushlight.base.dtypes import dtype_by_name
from rushlight.ops.creation import arithmetic_value, tensor
from rushlight.tape.memo import memo, new_root
from rushlight.tape.primitive import all_primitives, primitive_by_name
from rushlight.tape.tape import current_tape
from rushlight.tensor.apply import apply_many
from rushlight.tensor.tensor import Tensor
from rushlight.vjp import rows as _derivatives  # noqa: F401 - fills the table

torch = pytest.importorskip("torch")

FAMILIES = (
    "elementwise",
    "reduction",
    "contraction",
    "source",
    "movement",
    "indexing",
    "ordering",
    "recurrence",
    "attention",
    "spectral",
    "linalg",
)
DEFAULT_TOLERANCE = {
    "float64": 1e-12,
    "float32": 2e-6,
    "float16": 2e-3,
    "bfloat16": 2e-2,
    "complex128": 1e-12,
    "complex64": 2e-6,
}


def load_rows() -> dict:
    """Name of a primitive -> (family, row)."""
    found = {}
    for family in FAMILIES:
        module = importlib.import_module(f"tests.samples.{family}")
        for row in module.ROWS:
            assert row.primitive not in found, f"{row.primitive} has two rows of samples"
            found[row.primitive] = (family, row)
    return found


ROWS = load_rows()


def cases(row, dtypes=None) -> list:
    """(shapes, params, dtype) for a row."""
    found = []
    for dtype in dtypes or row.dtypes:
        for shapes in row.shapes:
            found += [(shapes, p, dtype) for p in row.params_for(shapes)]
    return found


def differentiable_rows() -> list[str]:
    return [name for name, (_, row) in ROWS.items() if row.differentiable]


def ours(array: np.ndarray, dtype: str) -> Tensor:
    """An operand; an array of another kind than `dtype` (an index, a mask) keeps its own."""
    if dtype == "bfloat16" and array.dtype == np.float32:
        return tensor(array, dtype=dtype_by_name("bfloat16"))
    return tensor(array)


def theirs(array: np.ndarray, dtype: str):
    made = torch.tensor(array)
    return made.to(torch.bfloat16) if dtype == "bfloat16" and array.dtype == np.float32 else made


def call(row, operands, params):
    """The primitive on tensors."""
    primitive = primitive_by_name(row.primitive)
    found = apply_many(primitive, tuple(operands), tuple(params))
    return list(found) if primitive.multiple else [found]


def seen(row, operands, params):
    """Of the primitive's results, those that programs see."""
    return row.seen(call(row, operands, params), *params)


def call_torch(row, operands, params) -> list:
    found = row.torch(*operands, *params)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def tolerance_of(row, dtype: str) -> float:
    return row.tolerance.get(dtype, DEFAULT_TOLERANCE.get(dtype, 0.0))


def assert_same(actual: Tensor, expected, row, dtype: str, about: str) -> None:
    assert str(actual.dtype) == str(expected.dtype), about
    assert tuple(actual.shape) == tuple(expected.shape), about
    wide = expected.detach()
    if wide.dtype in (torch.bfloat16, torch.complex32):  # NumPy has neither
        wide = wide.to(torch.promote_types(wide.dtype, torch.float32))
    tolerance = tolerance_of(row, dtype)
    np.testing.assert_allclose(
        arithmetic_value(actual), wide.numpy(), rtol=tolerance, atol=tolerance, err_msg=about
    )


# ---- completeness --------------------------------------------------------------------------------


def test_every_primitive_has_a_row_of_samples_in_its_family() -> None:
    missing = [
        f"tests/samples/{p.family}.py has no row for primitive {p}"
        for p in all_primitives()
        if not p.name.startswith("test_") and ROWS.get(p.name, ("",))[0] != p.family
    ]
    assert not missing, "\n".join(missing)


def test_every_wider_tolerance_has_a_reason() -> None:
    bare = [name for name, (_, row) in ROWS.items() if row.tolerance and not row.reason]
    assert bare == []


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_values_are_those_of_torch(name: str) -> None:
    row = ROWS[name][1]
    for shapes, params, dtype in cases(row):
        arrays = row.arrays(shapes, dtype, params)
        about = f"{name}{shapes}{params} in {dtype}"
        expected = call_torch(row, [theirs(a, dtype) for a in arrays], params)
        actual = call(row, [ours(a, dtype) for a in arrays], params)
        assert len(actual) == len(expected), about
        for a, e in zip(actual, expected):
            assert_same(a, e, row, dtype, about)


@pytest.mark.parametrize("name", [name for name, (_, row) in ROWS.items() if row.errors])
def test_wrong_operands_are_refused(name: str) -> None:
    row = ROWS[name][1]
    for error in row.errors:
        operands = [
            tensor(np.ones(shape, dtype), dtype=dtype_by_name(dtype))
            for shape, dtype in error.operands
        ]
        with pytest.raises(error.exception, match=error.message):
            for result in call(row, operands, error.params):
                arithmetic_value(result)


# ---- derivatives ---------------------------------------------------------------------------------


def weighted_sum(results, weights):
    total = None
    for result, weight in zip(results, weights):
        if not result.dtype.is_inexact:
            continue
        part = (result * weight).sum()
        total = part if total is None else total + part
    return total


def shapes_of_results(row, arrays, params) -> list:
    return [tuple(r.shape) for r in seen(row, [tensor(a) for a in arrays], params)]


def small(shapes) -> bool:
    return all(0 not in s for s in shapes)


@pytest.mark.parametrize("name", differentiable_rows())
def test_gradients_are_those_of_torch(name: str) -> None:
    row = ROWS[name][1]
    generator = np.random.default_rng(1)
    dtypes = [d for d in ("float64", "complex128") if d in row.dtypes]
    for shapes, params, dtype in cases(row, dtypes):
        arrays = row.arrays(shapes, dtype, params)
        known = [torch.tensor(a) for a in arrays]
        for position in row.differentiable:
            known[position].requires_grad_()
        expected = row.seen(call_torch(row, known, params), *params)
        if not any(e.requires_grad for e in expected):
            continue
        raw = []
        for e in expected:
            weight = generator.normal(size=tuple(e.shape))
            if e.is_complex():
                weight = weight + 1j * generator.normal(size=tuple(e.shape))
            raw.append(np.asarray(weight))
        total = sum(
            torch.real((e * torch.tensor(w)).sum())
            for e, w in zip(expected, raw)
            if e.requires_grad
        )
        total.backward()
        operands = [tensor(a) for a in arrays]
        for position in row.differentiable:
            operands[position].requires_grad_()
        results = seen(row, operands, params)
        ours_total = weighted_sum(results, [tensor(w) for w in raw])
        if ours_total.dtype.is_complex:
            ours_total = ours_total.real
        ours_total.backward()
        for position in row.differentiable:
            about = f"gradient {position} of {name}{shapes}{params} in {dtype}"
            theirs_grad = known[position].grad
            if theirs_grad is None:
                theirs_grad = torch.zeros_like(known[position])
            np.testing.assert_allclose(
                operands[position].grad.detach().numpy(),
                theirs_grad.resolve_conj().numpy(force=True),
                rtol=1e-9, atol=1e-9, err_msg=about,
            )  # fmt: skip


STEP = 1e-5


def directional_difference(function, arrays, directions):
    """(f(x + h v) - f(x - h v)) / 2h of a scalar function of arrays."""

    def moved(step: float) -> list:
        return [a if v is None else a + step * v for a, v in zip(arrays, directions)]

    ahead, behind = function(moved(STEP)), function(moved(-STEP))
    return (ahead - behind) / (2 * STEP)


def small_cases(row) -> list:
    """Cases in float64 without empty operands."""
    if "float64" not in row.dtypes or not row.finite_differences:
        return []
    return [case for case in cases(row, ["float64"]) if small(case[0])]


def directions_for(row, arrays, generator) -> list:
    """A random direction; None for operands that are not differentiated."""
    return [
        np.asarray(generator.normal(size=a.shape)) if position in row.differentiable else None
        for position, a in enumerate(arrays)
    ]


@pytest.mark.parametrize("name", differentiable_rows())
def test_gradients_are_finite_differences(name: str) -> None:
    row = ROWS[name][1]
    generator = np.random.default_rng(2)
    for shapes, params, dtype in small_cases(row):
        arrays = row.arrays(shapes, dtype, params)
        weights = [
            tensor(np.asarray(generator.normal(size=s)))
            for s in shapes_of_results(row, arrays, params)
        ]
        directions = directions_for(row, arrays, generator)

        def value(given, params=params, weights=weights) -> float:
            total = weighted_sum(seen(row, [tensor(a) for a in given], params), weights)
            return total.real.item() if total.dtype.is_complex else total.item()

        _, found = gradient(row, arrays, params, weights)
        expected = directional_difference(value, arrays, directions)
        actual = sum(
            float((np.asarray(g.detach().numpy()) * directions[p]).sum())
            for p, g in zip(row.differentiable, found)
        )
        about = f"{name}{shapes}{params}"
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5, err_msg=about)


def gradient(row, arrays, params, weights, *, create_graph=False):
    """(operands that are differentiated, their gradients)."""
    operands = [tensor(a) for a in arrays]
    wanted = [operands[position] for position in row.differentiable]
    for x in wanted:
        x.requires_grad_()
    total = weighted_sum(seen(row, operands, params), weights)
    if total.dtype.is_complex:
        total = total.real
    total.backward(create_graph=create_graph)
    return wanted, [x.grad for x in wanted]


@pytest.mark.parametrize(
    "name", [name for name in differentiable_rows() if ROWS[name][1].second_order]
)
@pytest.mark.filterwarnings("ignore:Using backward")
def test_second_derivatives_are_finite_differences_of_the_first(name: str) -> None:
    row = ROWS[name][1]
    generator = np.random.default_rng(3)
    for shapes, params, dtype in small_cases(row):
        arrays = row.arrays(shapes, dtype, params)
        weights = [
            tensor(np.asarray(generator.normal(size=s)))
            for s in shapes_of_results(row, arrays, params)
        ]
        inner = [np.asarray(generator.normal(size=arrays[p].shape)) for p in row.differentiable]
        directions = directions_for(row, arrays, generator)

        def slope(given, params=params, weights=weights, inner=inner) -> float:
            _, found = gradient(row, given, params, weights)
            return sum(float((g.detach().numpy() * v).sum()) for g, v in zip(found, inner))

        wanted, first = gradient(row, arrays, params, weights, create_graph=True)
        total = None
        for g, v in zip(first, inner):
            part = (g * tensor(v)).sum()
            total = part if total is None else total + part
        for x in wanted:
            x.grad = None
        if total.requires_grad:
            total.backward()
        actual = sum(
            float((x.grad.detach().numpy() * directions[p]).sum())
            for p, x in zip(row.differentiable, wanted)
            if x.grad is not None
        )
        expected = directional_difference(slope, arrays, directions)
        about = f"{name}{shapes}{params}"
        np.testing.assert_allclose(actual, expected, rtol=5e-5, atol=5e-5, err_msg=about)


# ---- cuts ----------------------------------------------------------------------------------------


@pytest.fixture
def fresh_memo():
    """An empty memo, since its steps remember where the tape was cut."""
    current_tape().flush("test")
    memo.root = new_root()
    current_tape()._begin_segment()
    yield
    config.eager = False
    current_tape().flush("test")
    memo.root = new_root()
    current_tape()._begin_segment()


@pytest.mark.parametrize("name", ROWS)
def test_values_and_gradients_do_not_depend_on_where_the_tape_is_cut(name, fresh_memo) -> None:
    row = ROWS[name][1]
    dtypes = [d for d in ("float64", "int64", "bool") if d in row.dtypes][:1] or row.dtypes[:1]
    for shapes, params, dtype in cases(row, dtypes):
        arrays = row.arrays(shapes, dtype, params)
        whole = values_and_gradients(row, arrays, params, dtype)
        config.eager = True
        memo.root = new_root()
        current_tape()._begin_segment()
        cut = values_and_gradients(row, arrays, params, dtype)
        config.eager = False
        memo.root = new_root()
        current_tape()._begin_segment()
        for a, b in zip(whole, cut):
            assert a.tobytes() == b.tobytes(), f"{name}{shapes}{params} in {dtype}"


def values_and_gradients(row, arrays, params, dtype) -> list:
    """All results and gradients as arrays, read at the end only."""
    operands = [ours(a, dtype) for a in arrays]
    wanted = []
    if row.differentiable and dtype in ("float64", "complex128"):
        wanted = [operands[position] for position in row.differentiable]
        for x in wanted:
            x.requires_grad_()
    results = call(row, operands, params)
    if wanted:
        total = None
        for result in results:
            if result.requires_grad:
                part = (result * result).sum()
                total = part if total is None else total + part
        if total is not None:
            (total.real if total.dtype.is_complex else total).backward()
    read = [x.grad for x in wanted if x.grad is not None] + results
    return [arithmetic_value(x.detach()) for x in read]
