"""Comparison of a module with PyTorch's: same seed, same state, same outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import rushlight as rl

Build = Callable[[Any], Any]


def array(tensor: Any) -> np.ndarray:
    """The values of a tensor of either library."""
    return np.asarray(tensor.detach().numpy())


def to_rushlight(value: Any) -> Any:
    """A torch tensor (or a nest of them) as rushlight's, with the same requires_grad."""
    if isinstance(value, torch.Tensor):
        made = rl.from_numpy(value.detach().numpy().copy())
        return made.requires_grad_(value.requires_grad)
    if isinstance(value, (tuple, list)):
        return type(value)(to_rushlight(item) for item in value)
    return value


def flat(value: Any) -> list[Any]:
    """All tensors in nested results."""
    if isinstance(value, (torch.Tensor, rl.Tensor)):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in flat(item)]
    return []


def assert_close(ours: Any, theirs: Any, rtol: float, atol: float, what: str) -> None:
    """Equal dtype, shape and values."""
    found, expected = array(ours), array(theirs)
    assert found.dtype == expected.dtype, f"{what}: dtype {found.dtype}, expected {expected.dtype}"
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=what)


def assert_same_start(build: Build, seed: int = 0) -> tuple[Any, Any]:
    """Both modules, made with the same seed; their states and reprs are equal to the bit."""
    rl.manual_seed(seed)
    ours = build(rl.nn)
    torch.manual_seed(seed)
    theirs = build(torch.nn)
    assert repr(ours) == repr(theirs)
    found, expected = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(array(found[key]), array(value), err_msg=key)
    assert found._metadata == expected._metadata
    return ours, theirs


def assert_same_run(
    ours: Any,
    theirs: Any,
    *inputs: Any,
    rtol: float = 1e-9,
    atol: float = 1e-10,
    call: Callable[..., Any] = lambda module, *args: module(*args),
) -> None:
    """Equal outputs, gradients of inputs and parameters, and buffers afterwards (float64)."""
    ours, theirs = ours.double(), theirs.double()
    our_inputs = [to_rushlight(value) for value in inputs]
    our_results, results = flat(call(ours, *our_inputs)), flat(call(theirs, *inputs))
    assert len(our_results) == len(results)
    for i, (found, expected) in enumerate(zip(our_results, results)):
        assert_close(found, expected, rtol, atol, f"output {i}")
    differentiable = [i for i, result in enumerate(results) if result.requires_grad]
    if differentiable:
        for tensors in (our_results, results):
            # A loss that weighs every element differently.
            loss = sum((tensors[i] * tensors[i]).sum() * (i + 1) for i in differentiable)
            loss.backward()
        for i, (found, expected) in enumerate(zip(flat(our_inputs), flat(list(inputs)))):
            if expected.grad is not None:
                assert_close(found.grad, expected.grad, 10 * rtol, atol, f"gradient of input {i}")
        pairs = zip(ours.named_parameters(), theirs.named_parameters())
        for (name, found), (_, expected) in pairs:
            if expected.grad is not None:
                assert_close(found.grad, expected.grad, 10 * rtol, atol, f"gradient of {name}")
    for name, expected in theirs.named_buffers():
        assert_close(ours.get_buffer(name), expected, rtol, atol, f"buffer {name}")


def uniform(*shape: int, grad: bool = True) -> torch.Tensor:
    """A float64 input in [-2, 2], from the numbers of the shape alone."""
    values = np.random.default_rng(list(shape) or [0]).uniform(-2, 2, shape)
    return torch.from_numpy(np.asarray(values)).requires_grad_(grad)


def integers(high: int, *shape: int) -> torch.Tensor:
    """An int64 input in [0, high)."""
    return torch.from_numpy(np.random.default_rng(list(shape)).integers(0, high, shape))
