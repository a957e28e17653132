"""vmap over containers of another library's that make the members of their tensors themselves."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight._C import _functorch
from rushlight._functorch.vmap import _add_batch_dim, _maybe_remove_batch_dim


class Pair:
    """As tensordict's: a batch of two tensors."""

    def __init__(self, first, second, batch_size):
        self.first, self.second, self.batch_size = first, second, batch_size

    def _add_batch_dim(self, *, in_dim, vmap_level):
        parts = [_add_batch_dim(x, in_dim, vmap_level) for x in (self.first, self.second)]
        return Pair(*parts, self.batch_size[1:])

    def _maybe_remove_batch_dim(self, name, vmap_level, batch_size, out_dim):
        parts = [
            _maybe_remove_batch_dim(name, x, vmap_level, batch_size, out_dim)
            for x in (self.first, self.second)
        ]
        return Pair(*parts, (batch_size, *self.batch_size))


def test_members_of_a_container_are_mapped_and_put_together():
    def swapped(pair, shift):
        assert pair.first.shape == (3,) and _functorch.is_batchedtensor(pair.first)
        assert _functorch.maybe_get_level(pair.first) == 1
        return Pair(pair.second + shift, pair.first.sum(), pair.batch_size)

    x, y = rl.arange(6.0).reshape(2, 3), rl.ones(2, 3)
    found = rl.vmap(swapped)(Pair(x, y, (2,)), rl.tensor([1.0, 2.0]))
    assert found.batch_size == (2,)
    assert found.first.tolist() == [[2, 2, 2], [3, 3, 3]] and found.second.tolist() == [3, 12]


def test_what_all_members_share_is_repeated():
    def shared(pair):
        return Pair(rl.ones(2), pair.first, pair.batch_size)

    found = rl.vmap(shared)(Pair(rl.zeros(4), rl.zeros(4), (4,)))
    assert found.first.shape == (4, 2)


def test_a_plain_tensor_is_no_member():
    x = rl.ones(2)
    assert not _functorch.is_functorch_wrapped_tensor(x) and _functorch.maybe_get_bdim(x) == -1
    with pytest.raises(RuntimeError, match="plain tensor"):
        _functorch.get_unwrapped(x)
    with pytest.raises(RuntimeError, match="level 1"):
        _add_batch_dim(x, 0, 1)
