"""Recurrent layers are one kernel for each direction, of any length, and give PyTorch's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.base.config import config
from rushlight.base.observe import watching
from rushlight.codegen.recurrent_weights import recurrence_tiles
from rushlight.nn.utils import rnn
from rushlight.runtime.host import host_target
from rushlight.runtime.threads import get_num_threads, set_num_threads
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape

torch = pytest.importorskip("torch")

from tests.nn.matching import array, assert_same_start  # noqa: E402

# Kind, arguments, (steps, batch, inputs, units), whether sequences are packed.
CASES = [
    ("LSTM", {}, (5, 7, 3, 17), False),
    ("LSTM", {"bidirectional": True, "num_layers": 2}, (6, 13, 4, 9), True),
    ("LSTM", {"proj_size": 5, "bias": False, "bidirectional": True}, (4, 5, 6, 20), True),
    ("LSTM", {"proj_size": 3}, (3, 2, 2, 4), False),
    ("GRU", {"bidirectional": True}, (4, 9, 3, 33), False),
    ("GRU", {"num_layers": 2, "bias": False}, (7, 6, 5, 8), True),
    ("RNN", {"bidirectional": True}, (3, 1, 2, 1), False),
    ("RNN", {"nonlinearity": "relu", "bidirectional": True}, (6, 11, 3, 16), True),
]


def outputs(library: Any, layer: Any, x: np.ndarray, lengths: list[int] | None) -> list[Any]:
    """The layer's results, those of packed sequences without padding."""
    given = library.tensor(x)
    given.requires_grad_()
    if lengths is not None:
        packing = library.nn.utils.rnn
        found, state = layer(packing.pack_padded_sequence(given, lengths))
        found = found.data
    else:
        found, state = layer(given)
    return [given, found, *(state if isinstance(state, tuple) else (state,))]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(("kind", "arguments", "sizes", "packed"), CASES)
def test_values_and_gradients_are_those_of_torch(kind, arguments, sizes, packed) -> None:
    steps, batch, inputs, units = sizes
    ours, theirs = assert_same_start(lambda lib: getattr(lib, kind)(inputs, units, **arguments))
    generator = np.random.default_rng(1)
    lengths = None
    if packed:
        drawn = generator.integers(1, steps + 1, batch - 1).tolist()
        lengths = [steps, *sorted(drawn, reverse=True)]
    x = generator.normal(size=(steps, batch, inputs))
    found = outputs(rl, ours.double(), x, lengths)
    wanted = outputs(torch, theirs.double(), x, lengths)
    for library, results in ((rl, found), (torch, wanted)):
        weights = np.random.default_rng(2)
        parts = [(y * library.tensor(weights.normal(size=tuple(y.shape)))).sum() for y in results]
        sum(parts[1:]).backward()
    for y, z in zip(found[1:], wanted[1:]):
        np.testing.assert_allclose(array(y), array(z), rtol=1e-9, atol=1e-11)
    gradients = [(found[0], wanted[0]), *zip(ours.parameters(), theirs.parameters())]
    for p, q in gradients:
        np.testing.assert_allclose(array(p.grad), array(q.grad), rtol=1e-8, atol=1e-10)


def trained(layer: Any, x: Any) -> list[np.ndarray]:
    """Gradients after one backward, and the outputs."""
    for parameter in layer.parameters():
        parameter.grad = None
    output, state = layer(x)
    output = output.data if isinstance(output, rnn.PackedSequence) else output
    last = state[0] if isinstance(state, tuple) else state
    ((output**2).sum() + last.sum()).backward()
    return [array(output), *(array(p.grad).copy() for p in layer.parameters())]


def test_another_length_batch_and_width_compile_nothing_and_every_length_is_as_many_kernels() -> (
    None
):
    rl.manual_seed(0)
    launches = []
    sizes = ((4, 3, 8), (9, 3, 8), (12, 3, 8), (5, 14, 8), (6, 15, 40))
    for steps, batch, units in sizes:
        layer = nn.LSTM(24, units)
        trained(layer, rl.randn(steps, batch, 24))
        before = rl.stats()
        trained(layer, rl.randn(steps, batch, 24))
        after = rl.stats()
        launches.append(after["kernel_launches"] - before["kernel_launches"])
        assert after["fallbacks"] == before["fallbacks"]
    # The first sizes of a form have a plan of their own, which knows the pieces of each sum; all
    # others share one plan, whose sizes are data.
    assert launches[1] == launches[2]
    compiled = rl.stats()["kernels_compiled"] + rl.stats()["kernels_from_disk"]
    trained(layer, rl.randn(17, 15, 24))
    trained(layer, rl.randn(3, 14, 24))
    assert rl.stats()["kernels_compiled"] + rl.stats()["kernels_from_disk"] == compiled


def test_the_number_of_threads_changes_no_bit(monkeypatch) -> None:
    rl.manual_seed(0)
    layer = nn.LSTM(16, 40, bidirectional=True, proj_size=24)
    x = rl.randn(12, 37, 16)
    lengths = [12] * 9 + list(range(12, 0, -1)) + [1] * 16
    before = get_num_threads()
    monkeypatch.setattr("rushlight.engine.recurrences._SMALLEST_SHARE", 1)
    found = []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            again = nn.LSTM(16, 40, bidirectional=True, proj_size=24)
            again.load_state_dict(layer.state_dict())
            current_tape().flush("test")
            memo.clear()  # plans choose their blocks for the threads there are
            current_tape().drop()
            packed = rnn.pack_padded_sequence(x, lengths)
            found.append([a.tobytes() for a in trained(again, packed)])
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


def results_with(threads: int, kind: str, sizes: tuple[int, ...]) -> tuple[list[bytes], set[str]]:
    """What a layer computes with so many threads, and the kernels that ran."""
    steps, batch, inputs, units = sizes
    names: set[str] = set()

    def note(event: Any) -> None:
        names.add(event.name)

    before = get_num_threads()
    try:
        set_num_threads(threads)
        rl.manual_seed(0)
        layer = getattr(nn, kind)(inputs, units, num_layers=2, bidirectional=True)
        x = rl.randn(steps, batch, inputs)
        current_tape().flush("test")
        memo.clear()  # plans choose their blocks for the threads there are
        current_tape().drop()
        with watching(note):
            found = [a.tobytes() for a in trained(layer, x)]
        with rl.no_grad():
            output, state = layer(x)
            parts = state if isinstance(state, tuple) else (state,)
            found += [array(part).tobytes() for part in (output, *parts)]
    finally:
        set_num_threads(before)
    return found, names


def widest_panel() -> int:
    """Units of a panel on this machine."""
    return recurrence_tiles("float32", host_target()).columns


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("sizes", [(7, 3, 4, 50), (3, 1, 2, 65), (5, 5, 3, 16)])
def test_threads_that_share_the_units_of_a_step_change_no_bit(kind, sizes, monkeypatch) -> None:
    monkeypatch.setattr("rushlight.engine.recurrences._SMALLEST_SHARE", 1)
    monkeypatch.setattr("rushlight.engine.recurrences._SMALLEST_STEP", 1)
    alone, names = results_with(1, kind, sizes)
    assert not any("crew" in name for name in names)
    for threads in (2, 3, 6):
        together, names = results_with(threads, kind, sizes)
        assert together == alone
        # Units of a single panel are nothing to share.
        assert any("crew" in name for name in names) == (sizes[3] > widest_panel())


def test_one_thread_alone_takes_a_step_that_was_made_for_several(monkeypatch) -> None:
    monkeypatch.setattr("rushlight.engine.recurrences._SMALLEST_STEP", 1)
    rl.manual_seed(0)
    layer, x = nn.LSTM(3, 70), rl.randn(9, 2, 3)
    before = get_num_threads()
    found = []
    try:
        for threads in (4, 1, 2):  # the plan is that of four
            set_num_threads(threads)
            with rl.no_grad():
                found.append(array(layer(x)[0]).tobytes())
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_a_gradient_after_a_flush_is_the_same() -> None:
    rl.manual_seed(0)
    layer = nn.GRU(3, 5)
    x = rl.randn(4, 2, 3)
    whole = trained(layer, x)
    for parameter in layer.parameters():
        parameter.grad = None
    output, state = layer(x)
    loss = (output**2).sum() + state.sum()
    loss.item()
    loss.backward()
    for parameter, wanted in zip(layer.parameters(), whole[1:]):
        assert array(parameter.grad).tobytes() == wanted.tobytes()


def test_cutting_the_tape_after_each_operation_changes_no_bit(monkeypatch) -> None:
    rl.manual_seed(0)
    layer = nn.LSTM(3, 5, bidirectional=True)
    x = rl.randn(4, 2, 3)
    whole = trained(layer, x)
    current_tape().flush("test")
    memo.clear()
    current_tape().drop()
    monkeypatch.setattr(config, "eager", True)
    cut = trained(layer, x)
    memo.clear()
    current_tape().drop()
    assert [a.tobytes() for a in cut] == [a.tobytes() for a in whole]


def test_without_gradients_nothing_is_kept_for_them() -> None:
    rl.manual_seed(0)
    layer = nn.LSTM(3, 64)
    x = rl.randn(50, 4, 3)
    wanted = array(layer(x)[0].detach())
    with rl.no_grad():
        found = layer(x)[0]
        assert array(found).tobytes() == wanted.tobytes()


@pytest.mark.filterwarnings("ignore:Using backward")
def test_gradients_have_gradients() -> None:
    ours, theirs = assert_same_start(lambda lib: lib.LSTM(3, 4, bidirectional=True, proj_size=2))
    x = np.random.default_rng(0).normal(size=(3, 2, 3))
    slopes = []
    for library, layer in ((rl, ours.double()), (torch, theirs.double())):
        given = library.tensor(x)
        given.requires_grad_()
        output = layer(given)[0]
        (slope,) = library.autograd.grad((output**2).sum(), given, create_graph=True)
        (slope**2).sum().backward()
        slopes.append([array(given.grad), *(array(p.grad) for p in layer.parameters())])
    for found, wanted in zip(*slopes):
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("sizes", [[2, 3], [3, 3], [3, 0, 2], []])
def test_batch_sizes_that_do_not_describe_the_data_are_refused(sizes) -> None:
    packed = rnn.PackedSequence(rl.zeros(5, 3), rl.tensor(sizes, dtype=rl.int64))
    with pytest.raises(RuntimeError, match="batch_sizes"):
        nn.GRU(3, 4)(packed)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_halves_are_rounded_once_for_each_result(dtype) -> None:
    rl.manual_seed(0)
    layer = nn.LSTM(3, 4).to(getattr(rl, dtype))
    x = rl.randn(5, 2, 3).to(getattr(rl, dtype))
    output, (h, c) = layer(x)
    assert output.dtype is h.dtype is c.dtype is getattr(rl, dtype)
    wide = layer.float()(x.float())[0]
    assert array(output.float() - wide).__abs__().max() < 0.02
    output.float().sum().backward()
