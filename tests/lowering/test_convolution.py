"""Convolutions in machine code, forward and backward, against the reference rules and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.config import config
from rushlight.base.target import without_avx512
from rushlight.codegen.convolution import ConvolutionSpec, convolution_text
from rushlight.engine import convolutions
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import compile_text
from tests.lowering.executors import compare, fallbacks, run

torch = pytest.importorskip("torch")

# (input, weight, arguments): all ranks, kernels larger and smaller than the output, few and many
# positions and channels, groups, and every way to step.
FORWARD = [
    ((2, 3, 8, 8), (4, 3, 3, 3), {}),
    ((2, 3, 9, 9), (4, 3, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 3, 29, 37), (14, 3, 3, 3), {"padding": 1, "stride": 2}),
    ((3, 4, 29, 37), (14, 2, 3, 5), {"padding": (1, 2), "groups": 2}),
    ((3, 4, 9, 17), (8, 1, 3, 3), {"padding": 1, "groups": 4}),
    ((2, 5, 19, 40), (5, 1, 3, 3), {"padding": 1, "groups": 5, "stride": 2}),
    ((5, 6, 8, 8), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
    ((4, 6, 5, 7), (6, 1, 5, 5), {"padding": 2, "groups": 6}),
    ((6, 4, 3, 4, 5), (4, 1, 3, 3, 3), {"padding": 1, "groups": 4}),
    ((2, 5, 19), (10, 1, 4), {"padding": 2, "groups": 5, "dilation": 3}),
    ((3, 4, 29, 37), (13, 4, 3, 3), {"padding": 1, "dilation": 2}),
    ((3, 4, 30), (13, 4, 3), {"padding": 1, "stride": 3}),
    ((2, 4, 3, 99), (13, 4, 3, 6), {"padding": (1, 4), "stride": 2}),
    ((2, 4, 7, 98), (13, 4, 2, 2), {"stride": 2}),
    ((3, 4, 30), (13, 4, 30), {}),
    ((300, 2, 3), (1, 2, 3), {"padding": 1}),
    ((2, 3, 6, 7, 8), (4, 3, 3, 2, 3), {"padding": 1, "stride": 2}),
    ((5, 3, 8, 8), (4, 3, 1, 1), {}),
    ((5, 4, 8, 8), (6, 2, 1, 1), {"groups": 2}),
    ((5, 3, 8, 8), (4, 3, 1, 1), {"stride": 2}),
    ((5, 64, 4, 4), (70, 64, 3, 3), {"padding": 1}),
    ((2, 64, 24, 24), (30, 64, 3, 3), {"padding": 1}),
    ((3, 5, 25, 25), (6, 5, 3, 3), {"padding": 1}),
    ((2, 3, 40, 1), (4, 3, 5, 1), {"padding": (2, 0)}),
    ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    ((4, 5, 2, 2), (3, 5, 2, 2), {}),
]  # fmt: skip
TRANSPOSED = [
    ((2, 3, 8, 8), (3, 4, 3, 3), {}),
    ((2, 3, 8, 8), (3, 4, 4, 4), {"stride": 2, "padding": 1}),
    ((2, 3, 17, 18), (3, 4, 2, 2), {"stride": 2}),
    ((2, 3, 7, 8), (3, 4, 1, 1), {"stride": 2}),
    ((2, 4, 8, 9), (4, 4, 3, 3), {"stride": 2, "padding": 1, "groups": 2, "output_padding": 1}),
    ((2, 4, 8, 9), (4, 4, 3, 3), {"stride": 3, "padding": 1, "dilation": 2}),
    ((2, 4, 8, 9), (4, 1, 3, 3), {"stride": 2, "padding": 1, "groups": 4}),
    ((2, 4, 9), (4, 4, 3), {"stride": 2, "padding": 1, "dilation": 2}),
    ((1, 2, 3, 4, 5), (2, 3, 2, 2, 2), {"stride": 2}),
]
CASES = [(False, *case) for case in FORWARD] + [(True, *case) for case in TRANSPOSED]
TOLERANCE = {"float32": 3e-6, "float64": 1e-14, "float16": 3e-3, "bfloat16": 2e-2}


def arrays(shapes, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def function_of(library, transposed: bool, rank: int):
    return getattr(library.nn.functional, f"conv{'_transpose' if transposed else ''}{rank}d")


def differentiated(library, transposed, shapes, dtype, arguments) -> list:
    """[result, gradients of input and weight]"""
    x, w = (library.tensor(a, dtype=getattr(library, dtype)) for a in arrays(shapes))
    x.requires_grad_(), w.requires_grad_()
    y = function_of(library, transposed, len(shapes[0]) - 2)(x, w, **arguments)
    (g,) = arrays([tuple(y.shape)], 1)
    y.backward(library.tensor(g, dtype=y.dtype))
    return [y.detach(), x.grad, w.grad]


@pytest.mark.parametrize(("transposed", "x", "w", "arguments"), CASES)
def test_results_and_gradients_are_those_of_torch(transposed, x, w, arguments) -> None:
    for dtype in ("float32", "float64"):

        def program(dtype=dtype):
            return differentiated(rl, transposed, (x, w), dtype, arguments)

        found, plans = run(program, "compiled")
        assert fallbacks(plans) == []
        for ours, theirs in zip(found, differentiated(torch, transposed, (x, w), dtype, arguments)):
            expected = theirs.double().numpy()
            scale = np.abs(expected).max() + 1e-30
            assert np.abs(ours - expected).max() <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("transposed", "x", "w", "arguments"), CASES[::5])
def test_16_bit_convolutions_round_once(dtype, transposed, x, w, arguments) -> None:
    def program():
        return differentiated(rl, transposed, (x, w), dtype, arguments)

    tolerance = TOLERANCE[dtype]
    compare(program, rtol=tolerance, atol=tolerance * 8)


@pytest.mark.parametrize(("transposed", "x", "w", "arguments"), CASES)
def test_threads_change_no_bit(transposed, x, w, arguments) -> None:
    def program():
        return differentiated(rl, transposed, (x, w), "float32", arguments)

    before = rl.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            rl.set_num_threads(threads)
            found.append([a.tobytes() for a in run(program, "compiled")[0]])
    finally:
        rl.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("transposed", "x", "w", "arguments"), CASES)
def test_flushing_after_every_operation_changes_no_bit(transposed, x, w, arguments) -> None:
    """Operands that are read as views otherwise lie in memory of their own."""

    def program():
        return differentiated(rl, transposed, (x, w), "float32", arguments)

    whole = [a.tobytes() for a in run(program, "compiled")[0]]
    config.eager = True
    try:
        assert [a.tobytes() for a in run(program, "compiled")[0]] == whole
    finally:
        config.eager = False


@pytest.mark.parametrize("stride", [1, 2])
def test_nan_and_infinity_stay_where_windows_meet_them(stride) -> None:
    def program():
        x = rl.tensor(arrays([(2, 2, 9, 19)])[0], dtype=rl.float32)
        x[0, 0, 4, 5] = float("nan")
        x[1, 1, 0, 18] = float("inf")
        w = rl.ones(3, 2, 3, 3)
        return [rl.nn.functional.conv2d(x, w, padding=1, stride=stride)]

    compare(program, rtol=1e-5, atol=1e-5)


def test_operands_that_are_views() -> None:
    def program():
        base, w = (rl.tensor(a, dtype=rl.float32) for a in arrays([(20, 3, 8, 4), (5, 4, 3, 3)]))
        seen = base.permute(1, 3, 2, 0)  # (3, 4, 8, 20)
        turned = w.permute(0, 1, 3, 2)
        repeated = base[:1, :1].expand(2, 4, 8, 4)
        return [
            rl.nn.functional.conv2d(seen, turned, padding=1),
            rl.nn.functional.conv2d(repeated, w, padding=1),
            rl.nn.functional.conv2d(base[:, :, ::2], w[:, :3]),
        ]

    compare(program, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(7, 7, 4, 4), (1, 300, 3, 3), (33, 12, 16, 17)])
def test_a_short_last_batch_compiles_nothing(sizes) -> None:
    channels, outputs, height, width = sizes
    weight = (outputs, channels, 3, 3)

    def program(batch: int):
        return lambda: differentiated(
            rl, False, ((batch, channels, height, width), weight), "float32", {"padding": 1}
        )

    run(program(64), "compiled")
    before = rl.stats()["kernels_compiled"]
    run(program(5), "compiled")
    assert rl.stats()["kernels_compiled"] == before


def test_narrower_vectors_give_the_same_bits(monkeypatch) -> None:
    """Code for AVX2 and for AVX-512 adds in one order."""
    host = host_target()
    if host.architecture != "x86_64" or host.vector_bytes < 64:
        pytest.skip("needs AVX-512")
    cases = [c for c in CASES if c[1][0] < 10]

    def programs() -> list[bytes]:
        found = []
        for transposed, x, w, arguments in cases:

            def program(t=transposed, shapes=(x, w), arguments=arguments):
                return differentiated(rl, t, shapes, "float32", arguments)

            found += [a.tobytes() for a in run(program, "compiled")[0]]
        return found

    wide = programs()
    narrow = without_avx512(host)
    monkeypatch.setattr(convolutions, "host_target", lambda: narrow)
    text = convolutions.library_of_text
    monkeypatch.setattr(
        convolutions, "library_of_text", lambda key, names, make: text(key + " avx2", names, make)
    )
    assert programs() == wide


@pytest.mark.parametrize("form", ["positions", "transposed"])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_code_for_a_machine_without_masks_compiles(form, step) -> None:
    host = host_target()
    if host.architecture != "x86_64":
        pytest.skip("needs x86")
    target = without_avx512(host)
    spec = ConvolutionSpec(
        "c", "float64", form, (6, 4, 1), 2, ("full", "narrow", "partial"), 3, step
    )
    assert compile_text(convolution_text(spec, target), target)
