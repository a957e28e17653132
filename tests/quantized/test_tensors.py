"""Quantized tensors have PyTorch's codes, numbers and text."""

import contextlib
import copy
import io
import pickle

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import rushlight as rl
from rushlight.primitives.contraction import byte_matmul
from tests.fuzz.machines import MACHINES
from tests.fuzz.outcome import forget

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
DTYPES = ["quint8", "qint8", "qint32"]


def numbers(seed, size, scale=1.0):
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(size) + rng.integers(-2, 3)) * scale).astype(np.float32)


def assert_same(ours, theirs):
    np.testing.assert_array_equal(ours.int_repr().numpy(), theirs.int_repr().numpy())
    np.testing.assert_array_equal(ours.dequantize().numpy(), theirs.dequantize().numpy())
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_quantizing_per_tensor_rounds_and_clamps_as_pytorch(dtype):
    rng = np.random.default_rng(0)
    for seed in range(20):
        size = 10.0 ** rng.integers(-8, 5)
        scale = float(size / 50 * rng.uniform(0.1, 3))
        x, zero_point = numbers(seed, 45, size), int(rng.integers(0, 100))
        ours, theirs = (
            T.quantize_per_tensor(T.tensor(x), scale, zero_point, getattr(T, dtype))
            for T in (rl, torch)
        )
        assert_same(ours, theirs)
        assert (ours.q_scale(), ours.q_zero_point()) == (theirs.q_scale(), theirs.q_zero_point())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_quantizing_per_channel_rounds_and_clamps_as_pytorch(dtype, axis):
    rng = np.random.default_rng(1)
    x = numbers(2, (7, 9), 3.0)
    scales, zero_points = rng.uniform(0.01, 1.0, x.shape[axis]), rng.integers(0, 50, x.shape[axis])
    ours, theirs = (
        T.quantize_per_channel(
            T.tensor(x), T.tensor(scales), T.tensor(zero_points), axis, getattr(T, dtype)
        )
        for T in (rl, torch)
    )
    assert_same(ours, theirs)
    assert ours.qscheme() is rl.per_channel_affine
    assert ours.q_per_channel_axis() == axis
    np.testing.assert_array_equal(ours.q_per_channel_scales().numpy(), scales)
    np.testing.assert_array_equal(ours.q_per_channel_zero_points().numpy(), zero_points)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_without_a_code_become_the_nearest_end(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9, 0.5, 1.5, 2.5], np.float32)
    ours, theirs = (
        T.quantize_per_tensor(T.tensor(x), 1.0, 10, getattr(T, dtype)) for T in (rl, torch)
    )
    np.testing.assert_array_equal(ours.int_repr().numpy(), theirs.int_repr().numpy())


@pytest.mark.parametrize("reduce_range", [False, True])
def test_parameters_are_chosen_from_the_ends(reduce_range):
    rng = np.random.default_rng(3)
    for seed in range(60):
        x = numbers(seed, rng.integers(1, 6), 10.0 ** rng.integers(-9, 6))
        ours, theirs = (
            T._choose_qparams_per_tensor(T.tensor(x), reduce_range) for T in (rl, torch)
        )
        assert ours == theirs, x
    assert rl._choose_qparams_per_tensor(rl.zeros(3)) == (0.1, 0)


def test_quantizing_by_the_numbers_themselves():
    x = numbers(5, (4, 6))
    for dtype in ("quint8", "qint8"):
        for reduce_range in (False, True):
            assert_same(
                *(
                    T.quantize_per_tensor_dynamic(T.tensor(x), getattr(T, dtype), reduce_range)
                    for T in (rl, torch)
                )
            )


def test_facts_of_a_quantized_tensor():
    x = rl.quantize_per_tensor(rl.ones(2, 3), 0.1, 3, rl.quint8)
    assert x.is_quantized and not rl.ones(2).is_quantized
    assert (x.dtype, x.shape, x.dim(), x.numel()) == (rl.quint8, (2, 3), 2, 6)
    assert x.type() == "torch.quantized.QUInt8Tensor"
    assert x.element_size() == 1 and not x.is_floating_point()
    assert x.int_repr().dtype is rl.uint8
    assert isinstance(x, rl.Tensor)
    assert rl.qint8.itemsize == 1 and rl.qint32.itemsize == 4


MOVES = {
    "reshape": lambda x: x.reshape(3, 2),
    "view": lambda x: x.view(-1),
    "t": lambda x: x.t(),
    "permute": lambda x: x.permute(1, 0),
    "index": lambda x: x[1],
    "slice": lambda x: x[:, 1:],
    "unsqueeze": lambda x: x.unsqueeze(0),
    "clone": lambda x: x.clone(),
    "contiguous": lambda x: x.t().contiguous(),
    "relu": lambda x: x.relu(),
    "max": lambda x: x.max(),
    "mean": lambda x: x.mean(),
}


@pytest.mark.parametrize("name", MOVES)
def test_codes_move_as_numbers_do(name):
    x = numbers(6, (2, 3))
    ours, theirs = (
        MOVES[name](T.quantize_per_tensor(T.tensor(x), 0.05, 60, T.quint8)) for T in (rl, torch)
    )
    assert_same(ours, theirs)


def test_joining_and_comparing():
    x, y = numbers(7, (2, 3)), numbers(8, (2, 3))

    def program(T):
        first, second = (T.quantize_per_tensor(T.tensor(v), 0.05, 60, T.quint8) for v in (x, y))
        other = T.quantize_per_tensor(T.tensor(y), 0.1, 60, T.quint8)
        equal = [T.equal(first, first.clone()), first.equal(second), second.equal(other)]
        return T.cat([first, second]), T.cat([first, other]), (first == second), equal

    ours, theirs = program(rl), program(torch)
    assert_same(ours[0], theirs[0])
    assert_same(ours[1], theirs[1])
    np.testing.assert_array_equal(ours[2].numpy(), theirs[2].numpy())
    assert ours[3] == theirs[3]


def test_numbers_are_copied_into_the_codes_of_a_tensor():
    def program(T):
        x = T.quantize_per_tensor(T.zeros(4), 0.05, 60, T.quint8)
        x.copy_(T.tensor([0.1, -3.0, 100.0, 0.07]))
        return x

    assert_same(program(rl), program(torch))


def test_copies_pickles_and_files_keep_everything():
    tensors = [
        rl.quantize_per_tensor(rl.arange(6.0).reshape(2, 3).t(), 0.1, 3, rl.quint8),
        rl.quantize_per_channel(
            rl.arange(6.0).reshape(2, 3), rl.tensor([0.1, 0.2]), rl.tensor([1, 2]), 0, rl.qint8
        ),
    ]
    file = io.BytesIO()
    rl.save([*tensors, rl.qint8, rl.per_tensor_affine], file)
    file.seek(0)
    loaded = rl.load(file)
    assert loaded[2:] == [rl.qint8, rl.per_tensor_affine]
    for x, *others in zip(
        tensors, copy.deepcopy(tensors), pickle.loads(pickle.dumps(tensors)), loaded
    ):
        for other in others:
            assert repr(other) == repr(x)
            assert rl.equal(other, x)


def test_files_are_exchanged_with_pytorch():
    def tensors(T):
        parts = T.tensor([0.1, 0.2]), T.tensor([1, 2])
        return {
            "a": T.quantize_per_tensor(T.arange(6.0).reshape(2, 3).t(), 0.1, 3, T.quint8),
            "b": T.quantize_per_channel(T.arange(6.0).reshape(2, 3), *parts, 0, T.qint8),
            "c": T.quantize_per_tensor(T.arange(6.0), 0.1, 3, T.qint32),
            "dtype": T.qint8,
            "scheme": T.per_channel_symmetric,
        }

    for writer, reader in ((rl, torch), (torch, rl)):
        file = io.BytesIO()
        writer.save(tensors(writer), file)
        file.seek(0)
        assert repr(reader.load(file)) == repr(tensors(reader))


def test_operations_without_a_quantized_form_say_so():
    x = rl.quantize_per_tensor(rl.ones(2), 0.1, 3, rl.quint8)
    with pytest.raises(NotImplementedError, match=r"'QuantizedCPU' backend.*dequantize"):
        (x + x).dequantize()
    with pytest.raises(TypeError, match="unsupported ScalarType"):
        x.numpy()
    with pytest.raises(RuntimeError, match="requires quantized dtype"):
        x.float()
    with pytest.raises(NotImplementedError, match=r"'aten::int_repr'.*'CPU' backend"):
        rl.ones(2).int_repr()
    assert rl.ones(2).dequantize().tolist() == [1.0, 1.0]


ERRORS = {
    "zero point": (lambda T, x: T.quantize_per_tensor(x, 0.1, 300, T.quint8), "above upper bound"),
    "double": (lambda T, x: T.quantize_per_tensor(x.double(), 0.1, 3, T.quint8), "only works on"),
    "dtype": (lambda T, x: T.quantize_per_tensor(x, 0.1, 3, T.uint8), "is not supported"),
    "axis": (
        lambda T, x: T.quantize_per_channel(x, T.ones(2), T.zeros(2), 2, T.qint8), "out of range"
    ),
    "scales": (
        lambda T, x: T.quantize_per_channel(x, T.ones(3), T.zeros(2), 0, T.qint8), "must match"
    ),
    "one scale": (
        lambda T, x: T.quantize_per_tensor(x, 0.1, 3, T.quint8).q_per_channel_axis(), "to be true"
    ),
    "fake range": (lambda T, x: T.fake_quantize_per_tensor_affine(x, 0.1, 0, 5, 4), "less than"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_refused_with_pytorchs_exception(name):
    call, message = ERRORS[name]
    for T in (rl, torch):
        with pytest.raises(RuntimeError, match=message):
            call(T, T.ones(2, 2))


def test_fake_quantization_and_its_gradient():
    x = numbers(9, (6, 5), 2.0)

    def program(T):
        results = []
        for per_channel in (False, True):
            given = T.tensor(x, requires_grad=True)
            if per_channel:
                scale, zero_point = T.linspace(0.01, 0.2, 5), T.arange(5, dtype=T.int32)
                y = T.fake_quantize_per_channel_affine(given, scale, zero_point, 1, -20, 20)
            else:
                y = T.fake_quantize_per_tensor_affine(given, 0.03, 2, -20, 20)
            (y * T.arange(5.0)).sum().backward()
            results += [y.detach(), given.grad]
        return results

    for ours, theirs in zip(program(rl), program(torch)):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("machine", ["this one", *MACHINES])
def test_rows_of_bytes_times_lines_of_bytes_are_exact(machine):
    rng = np.random.default_rng(11)
    change = MACHINES.get(machine, contextlib.nullcontext)
    for m, k, n in (
        (1, 1, 1), (1, 2, 3), (1, 63, 5), (1, 64, 9), (1, 200, 70), (1, 700, 33), (2, 64, 17),
        (3, 130, 21), (5, 65, 35), (16, 300, 7), (17, 70, 9),
    ):  # fmt: skip
        a = rng.integers(0, 256, (3, m, k)).astype(np.uint8)
        b = rng.integers(-128, 128, (n, k)).astype(np.int8)
        with change():
            forget()
            found = byte_matmul(rl.tensor(a), rl.tensor(b), False, True).numpy()
            shifted = byte_matmul(
                rl.tensor(a)[1:, :, k // 2 :], rl.tensor(b)[:, k // 2 :], False, True
            )
            shifted = shifted.numpy()
        exact = a.astype(np.int32) @ b.T.astype(np.int32)
        np.testing.assert_array_equal(found, exact)
        rest = a[1:, :, k // 2 :].astype(np.int32) @ b[:, k // 2 :].T.astype(np.int32)
        np.testing.assert_array_equal(shifted, rest)


def test_products_of_int8_matrices_are_exact():
    rng = np.random.default_rng(10)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((19, 70), (70, 33)))
    exact = a.astype(np.int32) @ b.astype(np.int32)
    np.testing.assert_array_equal(rl._int_mm(rl.tensor(a), rl.tensor(b)).numpy(), exact)
    transposed = rl.tensor(np.ascontiguousarray(b.T)).t()
    np.testing.assert_array_equal(rl._int_mm(rl.tensor(a), transposed).numpy(), exact)
    for T in (rl, torch):
        with pytest.raises(RuntimeError, match=r"[Ee]xpected"):
            T._int_mm(T.tensor(a), T.tensor(b).float())
