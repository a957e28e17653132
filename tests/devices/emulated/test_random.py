"""Random numbers of devices: Philox by seed and offset, shared out as PyTorch's kernels do it."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight.base.stats import stats
from rushlight.rng.philox import Philox, philox, words_at
from rushlight.rng.rounding import from_bfloat16_bits
from rushlight.runtime.emulator import Emulator
from rushlight.utils.checkpoint import checkpoint, get_device_states, set_device_states

# What PyTorch prints for these seeds on a card.
UNIFORM = {0: (0.3990, 0.5167, 0.0249, 0.9401, 0.9459), 42: (0.6130, 0.0101, 0.3984)}


@pytest.mark.parametrize("seed", UNIFORM)
def test_uniform_numbers_are_those_of_pytorch(seed: int) -> None:
    torch.manual_seed(seed)
    known = UNIFORM[seed]
    drawn = torch.rand(len(known), device="cuda").cpu().numpy()
    np.testing.assert_allclose(drawn, known, atol=5e-5)


def test_the_generator_agrees_with_the_published_vectors() -> None:
    # From the known answers of Random123: key and counter of zeros, and of ones.
    zeros = philox(0, np.zeros(1, np.uint64), np.zeros(1, np.uint64))[0]
    assert [hex(w) for w in zeros] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    full = np.full(1, 2**64 - 1, np.uint64)
    ones = philox(2**64 - 1, full, full)[0]
    assert [hex(w) for w in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def test_the_device_and_the_cpu_have_streams_of_their_own() -> None:
    torch.manual_seed(3)
    alone = torch.rand(4)
    torch.manual_seed(3)
    torch.rand(100, device="cuda")
    assert torch.equal(torch.rand(4), alone)


def test_a_state_brings_the_numbers_back() -> None:
    torch.cuda.manual_seed_all(5)
    torch.randn(7, device="cuda")
    state = torch.cuda.get_rng_state()
    first = [torch.randn(9, device="cuda").cpu(), torch.randint(0, 9, (5,), device="cuda").cpu()]
    torch.cuda.set_rng_state(state)
    again = [torch.randn(9, device="cuda").cpu(), torch.randint(0, 9, (5,), device="cuda").cpu()]
    for one, other in zip(first, again):
        assert torch.equal(one, other)


def test_the_offset_counts_calls_of_one_thread() -> None:
    generator = torch.Generator("cuda").manual_seed(1)
    torch.rand(10, device="cuda", generator=generator)
    assert generator.get_offset() == 4
    torch.rand(10, device="cuda", generator=generator, dtype=torch.float64)
    assert generator.get_offset() == 8
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, generator=generator, device="cpu")


# ---- what devices compute is what `rng/philox.py` says -------------------------------------------


def _judge(seed: int = 7) -> Philox:
    """A stream on the host that stands where the device's default one does."""
    torch.cuda.manual_seed(seed)
    engine = torch.Generator("cuda").engine
    made = engine.copy()
    made.reseed(seed)
    return made


# Sizes with one number a thread, with several, and with several calls of a thread.
def _sizes(judge: Philox) -> tuple[int, ...]:
    threads = judge.most_blocks * 256
    return (1000, threads + 37, 5 * threads + 3)


def _same(drawn: torch.Tensor, values: np.ndarray) -> None:
    found = drawn.cpu()
    array = found.view(torch.uint16).numpy() if drawn.dtype is torch.bfloat16 else found.numpy()
    np.testing.assert_array_equal(array, values)


FLOATS = ("float32", "float64", "bfloat16", "float16")


@pytest.mark.parametrize("name", FLOATS)
def test_uniform_numbers_and_coins_are_computed_on_the_device(name: str) -> None:
    judge = _judge()
    for count in _sizes(judge)[: 3 if name == "float32" else 2]:
        x = torch.empty(count, dtype=getattr(torch, name), device="cuda")
        for low, high in ((0.0, 1.0), (0.0, 3.7), (-1.3, 2.4)):
            _same(x.uniform_(low, high), judge.uniform(count, name, low, high))
        coins = judge.coins(count, 0.3, name == "float64")
        _same(x.bernoulli_(0.3) != 0, coins)
        assert torch.cuda.default_generators[0].get_offset() == judge.offset


@pytest.mark.parametrize("name", FLOATS)
def test_normal_numbers_agree_up_to_rounding(name: str) -> None:
    judge = _judge()
    for count in _sizes(judge)[:2]:
        x = torch.empty(count, dtype=getattr(torch, name), device="cuda").normal_(1, 2)
        values = judge.normal(count, name, 1, 2)
        if name == "bfloat16":
            values = from_bfloat16_bits(values)
        tolerance = {"float64": 1e-13, "float32": 2e-6}.get(name, 1e-2)
        np.testing.assert_allclose(x.double().cpu().numpy(), values, tolerance, tolerance)


def _floats(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().cpu().numpy()


@pytest.mark.parametrize("name", FLOATS)
def test_functions_of_uniform_numbers_are_computed_on_the_device(name: str) -> None:
    judge = _judge()
    compute = np.float64 if name == "float64" else np.float32
    tolerance = {"float64": 1e-13, "float32": 2e-6}.get(name, 1e-2)
    sent = stats.bytes_to_devices
    for count in _sizes(judge)[:2]:
        x = torch.empty(count, dtype=getattr(torch, name), device="cuda")
        least = np.finfo(compute).eps / 2
        u = judge._uniforms(count, name == "float64")[:count]
        want = np.where(u >= 1 - least, -least, np.log(u)) * (compute(-1) / compute(1.7))
        np.testing.assert_allclose(_floats(x.exponential_(1.7)), want, tolerance, tolerance)
        u = judge._uniforms(count, name == "float64")[:count]
        if name != "float64":
            u = np.clip(u, 2 * least, 1 - 2 * least).astype(compute)
        angle = (u - compute(0.5)) * compute(np.pi)
        want = np.tan(angle.astype(np.float64)) * 0.7 + 0.2
        found = _floats(x.cauchy_(0.2, 0.7))
        near = np.abs(want) < 1e3  # beyond, rounding the angle decides
        allowed = min(100 * tolerance, 1e-2)
        np.testing.assert_allclose(found[near], want[near], allowed, allowed)
        u = judge._uniforms(count, name == "float64")[:count]
        want = np.ceil(np.log(u) / np.log1p(compute(-0.3)))
        assert np.mean(_floats(x.geometric_(0.3)) != want) < 1e-4
        logarithms = _normals(judge, count, name)
        found = _floats(x.log_normal_(0.3, 0.5))
        np.testing.assert_allclose(found, np.exp(logarithms), 4 * tolerance)
        assert torch.cuda.default_generators[0].get_offset() == judge.offset
    assert stats.bytes_to_devices - sent < 1000


def _normals(judge: Philox, count: int, name: str) -> np.ndarray:
    wide = "float64" if name == "float64" else "float32"
    return judge.normal(count, wide, 0.3, 0.5).astype(np.float64)


def test_numbers_of_trials_are_integers_of_any_dtype() -> None:
    judge = _judge()
    x = torch.empty(1000, dtype=torch.int64, device="cuda").geometric_(0.05)
    want = np.ceil(np.log(judge._uniforms(1000, False)[:1000]) / np.log1p(np.float32(-0.05)))
    assert np.mean(x.cpu().numpy() != want) < 1e-2


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("int64", -5, 17), ("int32", 0, 1 << 29), ("int64", -(1 << 63), (1 << 63) - 1),
     ("uint8", 3, 200), ("float32", 0, 100), ("bool", 0, 2)],
)  # fmt: skip
def test_integers_are_computed_on_the_device(name: str, low: int, high: int) -> None:
    judge = _judge()
    for count in _sizes(judge)[:2]:
        x = torch.empty(count, dtype=getattr(torch, name), device="cuda").random_(low, high)
        _same(x, judge.integers(count, name, low, high))


@pytest.mark.parametrize(
    ("name", "limit", "wide"),
    [("int32", 1 << 31, False), ("int64", 1 << 63, True), ("float32", (1 << 24) + 1, False)],
)
def test_integers_of_the_whole_range(name: str, limit: int, wide: bool) -> None:
    judge = _judge()
    x = torch.empty(999, dtype=getattr(torch, name), device="cuda").random_()
    _same(x, judge.integers(999, name, 0, limit, wide))


@pytest.mark.parametrize(
    ("name", "shape", "run"),
    [("float32", (64, 128), 4), ("float32", (1001,), 1), ("float32", (3, 34), 2),
     ("bfloat16", (64, 128), 8), ("bfloat16", (6, 6), 4), ("float64", (5, 6), 2)],
)  # fmt: skip
def test_masks_of_dropout_are_those_of_pytorchs_kernel(name: str, shape: tuple, run: int) -> None:
    judge = _judge()
    x = torch.ones(shape, dtype=getattr(torch, name), device="cuda")
    kept = judge.kept(x.numel(), 0.6, run, name == "float64").reshape(shape)
    dropped = torch.nn.functional.dropout(x, 0.4)
    _same(dropped != 0, kept)
    expected = (x.double() / 0.6).to(x.dtype)[0].ravel()[0]
    assert (dropped[dropped != 0] == expected).all()


def test_a_draw_across_several_calls_of_a_thread_keeps_the_mask_of_dropout() -> None:
    judge = _judge()
    count = 8 * judge.most_blocks * 256
    dropped = torch.nn.functional.dropout(torch.ones(count, device="cuda"), 0.5)
    _same(dropped != 0, judge.kept(count, 0.5, 4, False))


def test_dropout_follows_the_order_of_memory() -> None:
    judge = _judge()
    x = torch.ones(2, 4, 3, 5, device="cuda").to(memory_format=torch.channels_last)
    kept = judge.kept(x.numel(), 0.5, 4, False).reshape(2, 3, 5, 4).transpose(0, 3, 1, 2)
    _same(torch.nn.functional.dropout(x, 0.5) != 0, kept)


def test_probabilities_in_a_tensor_are_neighbors_of_one_thread() -> None:
    judge = _judge()
    chances = torch.linspace(0, 1, 1003, device="cuda")
    coins = torch.bernoulli(chances)
    call, threads = judge.reserve_one_call(1003)
    words = words_at(np.arange(1003), 7, call, threads, 4, 4, "own").astype(np.float32)
    drawn = words * np.float32(2.0**-32) + np.float32(2.0**-33)
    _same(coins != 0, drawn <= chances.cpu().numpy())
    assert torch.cuda.default_generators[0].get_offset() == judge.offset == 12


def _step(model, optimizer, x, target) -> float:
    optimizer.zero_grad()
    noisy = x + 0.1 * torch.randn_like(x)
    loss = torch.nn.functional.cross_entropy(model(noisy), target)
    loss.backward()
    optimizer.step()
    return loss.item()


def test_training_with_random_numbers_needs_no_host_and_no_new_plan() -> None:
    first = torch.stats()
    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Dropout(0.3)]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(32, 4)).to("cuda")
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    x = torch.randn(8, 8, device="cuda")
    target = torch.randint(0, 4, (8,), device="cuda")
    losses = [_step(model, optimizer, x, target) for _ in range(4)]
    before = torch.stats()
    losses += [_step(model, optimizer, x, target) for _ in range(4)]
    after = torch.stats()
    assert len(set(losses)) == 8
    for counter in ("plans_made", "host_steps", "device_copies", "bytes_to_devices"):
        assert after[counter] == before[counter], counter
    assert before["host_steps"] == first["host_steps"]


def test_a_draw_is_fused_with_what_reads_it(monkeypatch) -> None:
    launched = []
    launch = Emulator.launch

    def noting(self, *arguments):
        launched.append(arguments)
        return launch(self, *arguments)

    x = torch.ones(40, 50, device="cuda")
    x.sum().item()
    monkeypatch.setattr(Emulator, "launch", noting)
    assert set(torch.nn.functional.dropout(x, 0.5).sum(1).tolist()) > {50.0}
    assert len(launched) == 1


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_members_of_a_batch_draw_alike_or_apart(randomness: str) -> None:
    torch.manual_seed(0)
    x = torch.ones(3, 64, device="cuda")
    drop = torch.func.vmap(lambda v: torch.nn.functional.dropout(v, 0.5), randomness=randomness)
    rows = {tuple(row) for row in drop(x).tolist()}
    assert len(rows) == (1 if randomness == "same" else 3)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_draws_the_same_again(reentrant: bool) -> None:
    x = torch.ones(4, 80, device="cuda", requires_grad=True)
    y = checkpoint(lambda v: torch.nn.functional.dropout(v, 0.5) * v, x, use_reentrant=reentrant)
    after = torch.cuda.get_rng_state()
    y.sum().backward()
    assert torch.equal(x.grad, 2 * y.detach())
    assert torch.equal(torch.cuda.get_rng_state(), after)


def test_states_of_devices_are_those_of_the_tensors_devices() -> None:
    x = torch.ones(2, device="cuda")
    devices, states = get_device_states(x, torch.ones(2))
    first = torch.rand(5, device="cuda").cpu()
    set_device_states(devices, states)
    assert devices == [0] and torch.equal(torch.rand(5, device="cuda").cpu(), first)


def test_each_replay_of_a_graph_draws_anew() -> None:
    x = torch.ones(64, device="cuda")
    torch.cuda.manual_seed(3)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        dropped = torch.nn.functional.dropout(x, 0.5)
        drawn = torch.rand(3, device="cuda")
    assert torch.cuda.default_generators[0].get_offset() == 0
    expected = [
        (torch.nn.functional.dropout(x, 0.5).cpu(), torch.rand(3, device="cuda").cpu())
        for _ in range(3)
    ]
    torch.cuda.manual_seed(3)
    for mask, numbers in expected:
        graph.replay()
        assert torch.equal(dropped.cpu(), mask) and torch.equal(drawn.cpu(), numbers)
    assert torch.cuda.default_generators[0].get_offset() == 24


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_distributions_look_as_they_should(dtype) -> None:
    torch.manual_seed(0)
    x = torch.empty(20000, device="cuda", dtype=dtype)
    assert abs(x.uniform_(2, 4).float().mean().item() - 3) < 0.02
    drawn = x.normal_(1, 2).float()
    assert abs(drawn.mean().item() - 1) < 0.05 and abs(drawn.std().item() - 2) < 0.05
    assert abs(x.bernoulli_(0.25).float().mean().item() - 0.25) < 0.02
    assert abs(x.exponential_(2.0).float().mean().item() - 0.5) < 0.02
    whole = torch.randint(-3, 5, (20000,), device="cuda")
    assert whole.min().item() == -3 and whole.max().item() == 4
    mask = torch.nn.functional.dropout(torch.ones(20000, device="cuda", dtype=dtype), 0.5)
    assert set(mask.unique().tolist()) == {0.0, 2.0} and mask.device.type == "cuda"
