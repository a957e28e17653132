"""Launches that are alike become one, and with them an optimizer's update of all parameters."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.engine import cuda
from rushlight.runtime.emulator import Emulator

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1),
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, 0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.1, amsgrad=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.1),
}
SIZES = [(3,), (700, 13), (64, 64), (8193,), (2, 3, 4), (128,)]


def _updated(name: str, place: str) -> tuple[list[np.ndarray], list[int]]:
    """Parameters after some steps, and how many launches each step took."""
    generator = np.random.default_rng(0)
    drawn = [generator.standard_normal(size).astype(np.float32) for size in SIZES]
    parameters = [nn.Parameter(torch.tensor(array).to(place)) for array in drawn]
    optimizer = OPTIMIZERS[name](parameters)
    launches = []
    for step in range(4):
        for p, array in zip(parameters, drawn):
            p.grad = torch.tensor(np.cos(array + step)).to(place)
        torch.cuda.synchronize()
        before = torch.stats()["kernel_launches"]
        optimizer.step()
        torch.cuda.synchronize()
        launches.append(torch.stats()["kernel_launches"] - before)
    return [p.detach().cpu().numpy() for p in parameters], launches


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_parameters_are_updated_by_one_launch(name: str) -> None:
    expected, _ = _updated(name, "cpu")
    found, launches = _updated(name, "cuda")
    # The first step may have a code of its own: there is no state before.
    assert launches[1:] == [1, 1, 1] and launches[0] <= 2
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_waits_for_another_is_not_joined() -> None:
    x = torch.arange(6.0, device="cuda")
    y = (x + 1).clone()
    before = torch.stats()["kernel_launches"]
    for _ in range(3):
        y = y.cumsum(0)
    assert y.tolist() == [1.0, 5.0, 15.0, 35.0, 70.0, 126.0]
    assert torch.stats()["kernel_launches"] - before >= 3


def test_products_alike_are_one_launch() -> None:
    torch.manual_seed(0)
    pairs = [(torch.randn(m, 5), torch.randn(5, 70)) for m in (3, 65, 130)]
    expected = [x @ y for x, y in pairs]
    torch.cuda.synchronize()
    there = [(x.cuda(), y.cuda()) for x, y in pairs]
    torch.cuda.synchronize()
    before = torch.stats()["kernel_launches"]
    found = [x @ y for x, y in there]
    torch.cuda.synchronize()
    assert torch.stats()["kernel_launches"] - before == 1
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other.cpu())


def test_a_pointer_of_the_host_in_a_table_is_an_illegal_access(emulator: Emulator) -> None:
    if not emulator.emulated:
        pytest.skip("a card takes no more work after it")
    parameters = [nn.Parameter(torch.ones(4, device="cuda")) for _ in range(3)]
    for p in parameters:
        p.grad = torch.ones(4, device="cuda")
    kernels = []
    with pytest.MonkeyPatch.context() as patched:
        launch = type(emulator).launch

        def noting(self, index, function, blocks, addresses, words, stream=0):
            kernels.append((function, blocks, list(words)))
            launch(self, index, function, blocks, addresses, words, stream)

        patched.setattr(type(emulator), "launch", noting)
        torch.optim.SGD(parameters, 0.5).step()
        assert parameters[0].tolist() == [0.5] * 4
    function, blocks, words = next(k for k in kernels if k[0].kernel.joined)
    places = function.kernel.pointer_places(words)
    assert len(places) == 3 * function.kernel.buffers
    words[places[-1]] = 4096
    with pytest.raises(RuntimeError, match="illegal memory access"):
        emulator.launch(cuda.backend().index, function, blocks, [], words)
        emulator.synchronize(0)
