"""A scripted program three ways: as Python, from its archive in PyTorch, and from it here."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch

import rushlight
from rushlight import jit
from rushlight.tensor.tensor import Tensor


def archive_of(program: Any) -> bytes:
    """The archive of a module or function, scripted."""
    buffer = io.BytesIO()
    jit.save(jit.script(program), buffer)
    return buffer.getvalue()


def theirs(value: Any) -> Any:
    """Tensors as PyTorch's, in their structure."""
    if isinstance(value, Tensor):
        return torch.tensor(value.detach().numpy())
    if isinstance(value, dict):
        return {k: theirs(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([theirs(v) for v in value])
    return value


def copied(value: Any) -> Any:
    """The same with tensors of its own: programs may write to them."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([copied(v) for v in value])
    return value


def assert_same(ours: Any, other: Any, exact: bool = False) -> None:
    """Structures of equal values; floats and ints, lists and tuples may stand for each other."""
    if isinstance(ours, dict):
        assert list(ours) == list(other)
        ours, other = list(ours.values()), list(other.values())
    if isinstance(ours, (list, tuple)):
        assert len(ours) == len(other), (ours, other)
        for one, two in zip(ours, other):
            assert_same(one, two, exact)
    elif isinstance(ours, Tensor):
        mine, his = ours.detach().numpy(), other.detach().numpy()
        assert mine.shape == his.shape and mine.dtype == his.dtype
        np.testing.assert_allclose(mine, his, rtol=2e-4, atol=2e-5)
    else:
        assert ours == other, (ours, other)


def check(program: Any, *calls: tuple[Any, ...]) -> Any:
    """Compare the program with its archive, in PyTorch and here, at each of the calls."""
    archive = archive_of(program)
    there = torch.jit.load(io.BytesIO(archive))
    here = jit.load(io.BytesIO(archive))
    for call in calls:
        expected = program(*copied(call))
        assert_same(expected, there(*theirs(call)))
        assert_same(expected, here(*copied(call)))
    return there


def rand(*shape: int) -> Tensor:
    """Values by seed."""
    return rushlight.randn(*shape)
