"""The same bits from compiled code, however it is cut, shared among threads and vectorised.

Over the samples of every primitive and over models and training steps: flushing after each
operation, two threads that share even the smallest kernel, code for AVX2, and code for many
elements where there are few give the bits of the default.  tests/fuzz judges random programs.

One thing is left out: a product of bfloat16 matrices in which a denormal number (below 2**-126 in
size) is an operand or a partial sum.  The instruction that multiplies pairs of bfloat16 takes
denormals for zeros; machines without it do not.  tests/codegen/test_gemm_narrow.py holds that
nothing else differs.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

pytest.importorskip("torch")

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.base.config import config
from rushlight.engine import kernels
from rushlight.ops import attention
from rushlight.runtime.kernel_cache import KernelCache
from rushlight.runtime.threads import pool
from tests.fuzz.machines import MACHINES
from tests.fuzz.outcome import bits_of, forget
from tests.programs.test_cuts import PROGRAMS
from tests.test_primitives import ROWS, call, cases, ours

# One dtype a primitive in the default run; the endurance run takes them all.
FIRST = ("float32", "int64", "bool")


@contextlib.contextmanager
def eager():
    config.eager = True
    try:
        yield
    finally:
        config.eager = False


VARIANTS = {"flush after each operation": eager, **MACHINES}


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    yield
    forget()


def bits(program) -> list[bytes]:
    """What a program returns, as bytes, from a memo that knows nothing."""
    forget()
    wider = {rl.bfloat16: rl.float32, rl.complex32: rl.complex64}  # NumPy has neither
    arrays = [t.detach().to(wider.get(t.dtype, t.dtype)) for t in program()]
    return [bits_of(np.ascontiguousarray(t.numpy())) for t in arrays]


def assert_same_bits(program, about) -> None:
    """All variants give the bits of the default."""
    expected = bits(program)
    for name, variant in VARIANTS.items():
        with variant():
            found = bits(program)
        different = [place for place, (x, y) in enumerate(zip(expected, found)) if x != y]
        assert not different, f"{about}, {name}: results {different}"
        assert len(found) == len(expected)


# ---- primitives ----------------------------------------------------------------------------------


def sample_program(row, dtype: str):
    """A function to the results of all samples of one dtype, what follows them, and gradients."""
    samples = [
        (row.arrays(shapes, dtype, params), params) for shapes, params, _ in cases(row, [dtype])
    ]

    def program():
        found = []
        for arrays, params in samples:
            operands = [ours(a, dtype) for a in arrays]
            wanted = [operands[place] for place in gradient_places(row, dtype)]
            for x in wanted:
                x.requires_grad_()
            results = call(row, operands, params)
            found += results
            # A consumer that fuses where it can.
            found += [r * r + r for r in results if r.dtype is not rl.bool]
            needing = [r for r in results if r.requires_grad]
            if needing and not needing[0].dtype.is_complex:
                sum((r * 0.5).sum() for r in needing).backward()
                found += [x.grad for x in wanted if x.grad is not None]
        return found

    return program


def gradient_places(row, dtype: str) -> tuple[int, ...]:
    return tuple(row.differentiable or ()) if "float" in dtype else ()


@pytest.mark.parametrize("name", ROWS)
def test_samples_of_each_primitive(name):
    row = ROWS[name][1]
    dtype = next((d for d in FIRST if d in row.dtypes), row.dtypes[0])
    assert_same_bits(sample_program(row, dtype), f"{name} in {dtype}")


@pytest.mark.endurance
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ROWS)
def test_samples_of_each_primitive_in_every_dtype(name):
    row = ROWS[name][1]
    for dtype in row.dtypes:
        assert_same_bits(sample_program(row, dtype), f"{name} in {dtype}")


# ---- models --------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__.strip("_"))
def test_training_steps(program):
    assert_same_bits(program, program.__name__)


class LastOutput(nn.Module):
    """A recurrent layer without its state."""

    def __init__(self, layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


# A way to make a module, and the shape of what it takes.
MODELS = {
    "wide linear": (lambda: nn.Sequential(nn.Linear(70, 33), nn.GELU(), nn.Linear(33, 5)), (9, 70)),
    "one row": (lambda: nn.Sequential(nn.Linear(70, 33), nn.Tanh(), nn.Linear(33, 5)), (1, 70)),
    "one column": (lambda: nn.Sequential(nn.Linear(90, 40), nn.Tanh(), nn.Linear(40, 1)), (9, 90)),
    "activations": (
        lambda: nn.Sequential(
            nn.Linear(20, 40), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.ELU(), nn.Tanh(),
            nn.LogSigmoid(), nn.Hardswish(), nn.GLU(), nn.Softmax(-1), nn.LogSoftmax(-1),
        ),
        (7, 20),
    ),
    "norms": (
        lambda: nn.Sequential(
            nn.LayerNorm(48), nn.Linear(48, 24), nn.BatchNorm1d(24), nn.RMSNorm(24),
            nn.GroupNorm(4, 24),
        ),
        (11, 48),
    ),
    "images": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1, stride=2), nn.BatchNorm2d(6), nn.ReLU(),
            nn.AvgPool2d(2), nn.Conv2d(6, 4, 2, groups=2), nn.InstanceNorm2d(4),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
        ),
        (3, 2, 12, 12),
    ),
    "back to images": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(3, 4, 3, stride=2), nn.LeakyReLU(0.1), nn.Upsample(scale_factor=2),
            nn.Conv2d(4, 1, 3),
        ),
        (2, 3, 4, 4),
    ),
    "signals": (
        lambda: nn.Sequential(nn.Conv1d(2, 5, 4, dilation=2), nn.MaxPool1d(2), nn.Conv1d(5, 3, 3)),
        (4, 2, 30),
    ),
    "lstm": (lambda: LastOutput(nn.LSTM(6, 9, num_layers=2, batch_first=True)), (3, 5, 6)),
    "gru": (lambda: LastOutput(nn.GRU(6, 8, bidirectional=True)), (4, 2, 6)),
    "encoder": (
        lambda: nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True), (2, 7, 16),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models(name):
    make, shape = MODELS[name]

    def program():
        rl.manual_seed(5)
        model, x = make(), rl.randn(*shape)
        optimizer = rl.optim.AdamW(model.parameters(), lr=0.01)
        outputs = []
        for _ in range(2):
            optimizer.zero_grad()
            output = model(x)
            F.mse_loss(output, rl.ones_like(output) * 0.5).backward()
            optimizer.step()
            outputs.append(output)
        return [*outputs, *model.parameters(), *model.buffers()]

    assert_same_bits(program, name)


@pytest.mark.parametrize("dtype", [rl.bfloat16, rl.float16], ids=str)
def test_training_in_16_bits(dtype):
    def program():
        rl.manual_seed(7)
        model = nn.Sequential(nn.Linear(70, 33), nn.GELU(), nn.Linear(33, 530)).to(dtype)
        x = rl.randn(5, 7, 70).to(dtype)
        optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
        outputs = []
        for _ in range(2):
            optimizer.zero_grad()
            y = model(x)
            # Sums longer than a block, operands in every order, batches.
            z = y @ y.mT + (y.mT @ y)[:, :7, :7]
            (z.float() ** 2).mean().backward()
            optimizer.step()
            outputs += [y, z]
        return [*outputs, *model.parameters(), *[p.grad for p in model.parameters()]]

    assert_same_bits(program, f"training in {dtype}")


def test_a_character_model_with_embedding_and_cross_entropy():
    def program():
        rl.manual_seed(6)
        embedding, head = nn.Embedding(17, 24), nn.Linear(24, 17)
        layer = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.1, batch_first=True)
        parameters = [*embedding.parameters(), *layer.parameters(), *head.parameters()]
        optimizer = rl.optim.Adam(parameters, lr=0.01)
        x, y = rl.randint(0, 17, (4, 9)), rl.randint(0, 17, (4, 9))
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = F.cross_entropy(head(layer(embedding(x))).flatten(0, 1), y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            losses.append(loss.detach())
        return [*losses, *parameters]

    assert_same_bits(program, "characters")


# ---- the variants --------------------------------------------------------------------------------


def test_two_threads_share_even_small_kernels():
    pool.stop()  # another test may have left more workers
    with MACHINES["two threads"]():
        forget()
        x = rl.arange(6, dtype=rl.float32).reshape(3, 2)
        x.exp().sum(1).tolist()
        assert len(pool._workers) == 1


@pytest.mark.skipif("code for AVX2" not in MACHINES, reason="the machine has no wider unit")
def test_avx2_code_has_narrow_vectors(monkeypatch):
    widths = []
    make = kernels.module_text

    def remembered(nests, target, *rest):
        widths.append(target.vector_bytes)
        return make(nests, target, *rest)

    monkeypatch.setattr(kernels, "module_text", remembered)
    monkeypatch.setattr(kernels, "_cache", KernelCache())
    for variant in (contextlib.nullcontext, MACHINES["code for AVX2"]):
        with variant():
            forget()
            (rl.ones(5) * 2 + 1).tolist()
    assert widths == [64, 32]


def test_other_bits_are_seen():
    def program():
        return [rl.ones(3) * (1.0 + config.eager)]

    with pytest.raises(AssertionError, match="flush after each operation"):
        assert_same_bits(program, "a program that knows the setting")


@pytest.mark.parametrize("causal", [True, False])
def test_attention_in_blocks(causal, monkeypatch):
    monkeypatch.setattr(attention, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(attention, "_FEWEST_CAUSAL", 1)

    def program():
        rl.manual_seed(3)
        q, k, v = rl.randn(2, 4, 70, 24), rl.randn(2, 2, 530, 24), rl.randn(2, 2, 530, 40)
        for x in (q, k, v):
            x.requires_grad_()
        mask = None if causal else rl.rand(2, 1, 70, 530) > 0.3
        y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, enable_gqa=True)
        (y * y).sum().backward()
        return [y, q.grad, k.grad, v.grad]

    assert_same_bits(program, "attention in blocks")
