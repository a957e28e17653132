"""uint16, uint32, uint64 and complex32: memory of other programs, with PyTorch's conversions."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

import rushlight

reference = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental"),
    pytest.mark.filterwarnings("ignore:Casting complex values to real"),
]

UNSIGNED = ("uint16", "uint32", "uint64")


def outcome(run, torch):
    try:
        found = run(torch)
    except (RuntimeError, TypeError, OverflowError) as error:
        return "RuntimeError" if isinstance(error, NotImplementedError) else type(error).__name__
    if isinstance(found, (reference.Tensor, rushlight.Tensor)):
        return str(found.dtype), found.tolist()
    return str(found)


def check(run) -> None:
    assert outcome(run, rushlight) == outcome(run, reference)


def sample(torch, name, values=(1, 2, 60000)):
    return torch.from_numpy(np.array(values, dtype=name))


@pytest.mark.parametrize("name", UNSIGNED)
@pytest.mark.parametrize(
    "run",
    [
        lambda T, x: x * x,
        lambda T, x: x / 3,
        lambda T, x: x * 1.5,
        lambda T, x: x == 2,
        lambda T, x: x & x,
        lambda T, x: x.sum(),
        lambda T, x: x.cumsum(0),
        lambda T, x: T.sort(x, descending=True)[0],
        lambda T, x: T.unique(T.cat([x, x])),
        lambda T, x: T.stack([x, x])[:, 1:],
        lambda T, x: x.sqrt(),
        lambda T, x: x[T.tensor([2, 0])],
        lambda T, x: x.clone().fill_(7),
        lambda T, x: T.zeros_like(x),
        lambda T, x: T.iinfo(x.dtype).max,
        lambda T, x: x.dtype.is_signed,
        lambda T, x: x.element_size(),
        lambda T, x: x.type(),
        lambda T, x: T.full((2,), 9, dtype=x.dtype),
        lambda T, x: T.randint(0, 9, (3,), dtype=x.dtype, generator=T.Generator().manual_seed(1)),
        lambda T, x: x.view(T.uint8),
        lambda T, x: T.from_dlpack(x),
    ],
)
def test_wide_unsigned_integers_compute_as_in_pytorch(name, run):
    check(lambda torch: run(torch, sample(torch, name)))


@pytest.mark.parametrize("name", UNSIGNED)
def test_every_conversion_is_pytorchs(name):
    others = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64".split()
    for other in (*others, *UNSIGNED):
        check(lambda torch, other=other: sample(torch, name).to(getattr(torch, other)))
        check(
            lambda torch, other=other: torch.tensor([0, 1, 100], dtype=getattr(torch, other)).to(
                getattr(torch, name)
            )
        )
    check(lambda torch: torch.tensor([-1, -2]).to(getattr(torch, name)))
    check(lambda torch: torch.tensor([1.5, 2.9]).to(getattr(torch, name)))


@pytest.mark.parametrize("name", UNSIGNED)
def test_promotion_is_with_floating_dtypes_only(name):
    for other in "bool uint8 int64 float16 float64 complex64 uint16 uint32 uint64".split():
        check(
            lambda torch, other=other: str(
                torch.promote_types(getattr(torch, name), getattr(torch, other))
            )
        )


@pytest.mark.parametrize(
    "run",
    [
        lambda T: T.tensor([2**64 - 1, 3], dtype=T.uint64),
        lambda T: T.full((2,), 2**64 - 1, dtype=T.uint64),
        lambda T: T.zeros(2, dtype=T.uint64).fill_(2**63),
        lambda T: sample(T, "uint64", (2**63 + 5, 2**64 - 1)).double(),
        lambda T: sample(T, "uint64", (2**63 + 5, 2**64 - 1)).long(),
        lambda T: sample(T, "uint64", (2**63 + 5, 2**64 - 1)) * sample(T, "uint64", (3, 2)),
        lambda T: T.sort(sample(T, "uint64", (2**64 - 1, 3, 2**63)))[0],
        lambda T: T.tensor([1e19, 2.0**63, 5.5], dtype=T.float64).to(T.uint64),
        lambda T: T.tensor([1e19, 5.5]).to(T.uint64),
        lambda T: sample(T, "uint64", (2**64 - 1,)).item(),
        lambda T: T.tensor([70000], dtype=T.uint16),
        lambda T: T.tensor([300], dtype=T.uint8),
        lambda T: T.tensor([-1], dtype=T.uint8),
        lambda T: T.tensor(40000, dtype=T.int16),
    ],
)
def test_the_ends_of_the_ranges(run):
    check(run)


@pytest.mark.parametrize("executor", ["compiled", "reference"])
def test_large_unsigned_numbers_on_both_executors(executor, monkeypatch):
    monkeypatch.setattr(rushlight.base.config.config, "executor", executor)
    x = rushlight.tensor([2.0**63, 1e19, 3.7], dtype=rushlight.float64)
    assert x.to(rushlight.uint64).tolist() == [2**63, 10**19, 3]
    y = rushlight.tensor([2**63 + 1, 4], dtype=rushlight.uint64)
    assert (y // 2).tolist() == [2**62, 2]
    assert (y > 5).tolist() == [True, False]
    assert y.abs().tolist() == y.tolist()


@pytest.mark.parametrize("name", [*UNSIGNED, "complex32"])
def test_checkpoints_go_both_ways(name):
    for writer, reader in ((rushlight, reference), (reference, rushlight), (rushlight,) * 2):
        x = writer.tensor([1, 2, 3]).to(getattr(writer, name))
        stream = io.BytesIO()
        writer.save({"x": x, "part": x[1:]}, stream)
        stream.seek(0)
        found = reader.load(stream)
        assert str(found["x"].dtype) == f"torch.{name}"
        assert found["x"].tolist() == x.tolist()
        found["part"].fill_(7)
        assert found["x"].tolist() == [1, 7, 7]
    own = rushlight.tensor([1, 2]).to(getattr(rushlight, name))
    assert pickle.loads(pickle.dumps(own)).tolist() == own.tolist()


@pytest.mark.parametrize(
    "run",
    [
        lambda T, x: x,
        lambda T, x: x + x,
        lambda T, x: x * 2j,
        lambda T, x: x + T.ones(2),
        lambda T, x: x.abs(),
        lambda T, x: x.real,
        lambda T, x: x.conj().resolve_conj(),
        lambda T, x: x.to(T.complex64),
        lambda T, x: T.ones(2).chalf(),
        lambda T, x: T.ones(2, dtype=T.half) * 1j,
        lambda T, x: T.complex(T.ones(2).half(), T.ones(2).half()),
        lambda T, x: T.view_as_real(x),
        lambda T, x: x.numpy(),
        lambda T, x: x.bool(),
        lambda T, x: T.cat([x, x]),
        lambda T, x: T.randn(2, dtype=x.dtype, generator=T.Generator().manual_seed(0)),
        lambda T, x: [x.dtype.to_real(), T.float16.to_complex(), x.element_size(), x.type()],
    ],
)
def test_pairs_of_halves_compute_as_in_pytorch(run):
    check(lambda torch: run(torch, torch.tensor([1 + 2j, 0.5j], dtype=torch.complex32)))


@pytest.mark.parametrize("kind", [bool, int, float, complex])
def test_number_types_of_python_are_dtypes(kind):
    for run in (
        lambda T: T.ones(2, dtype=kind),
        lambda T: T.tensor([1, 0], dtype=kind),
        lambda T: T.full((1,), 1, dtype=kind),
        lambda T: T.empty(1, dtype=kind).dtype,
        lambda T: T.zeros_like(T.ones(1), dtype=kind),
        lambda T: T.ones(2).to(kind),
        lambda T: T.ones(2).sum(dtype=kind),
        lambda T: T.as_tensor([1], dtype=kind),
    ):
        check(run)


def test_a_complex_number_is_true_unless_both_parts_are_zero():
    check(lambda torch: torch.tensor([1j, 0, 1, complex(0, float("nan"))]).bool())


@pytest.mark.parametrize("name", [*UNSIGNED, "complex32"])
def test_they_print_as_in_pytorch(name):
    check(lambda torch: repr(torch.tensor([[1, 2], [3, 40]]).to(getattr(torch, name))))


def test_the_class_of_dtypes_has_pytorchs_name():
    assert type(rushlight.float32).__name__ == "dtype"
    assert type(rushlight.float32) is rushlight.dtype
    assert pickle.loads(pickle.dumps(rushlight.dtype)) is rushlight.dtype
