"""State is saved in PyTorch's order and loaded with PyTorch's strictness messages."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn


def build(library: Any) -> Any:
    """The same tree in either library."""
    layers = library.Sequential(library.Linear(2, 3), library.BatchNorm1d(3))
    layers.add_module("head", library.Linear(3, 1, bias=False))
    return layers


def test_keys_order_and_metadata_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = build(nn).state_dict(), build(torch.nn).state_dict()
    assert list(ours) == list(theirs)
    assert ours._metadata == theirs._metadata
    assert isinstance(ours, OrderedDict)


def test_the_state_shares_memory_with_the_module() -> None:
    layer = nn.Linear(2, 1)
    state = layer.state_dict()
    assert not state["weight"].requires_grad
    assert layer.state_dict(keep_vars=True)["weight"] is layer.weight
    state["weight"].fill_(7.0)
    assert layer.weight.tolist() == [[7.0, 7.0]]


def test_loading_copies_values_and_says_that_all_matched() -> None:
    source, target = build(nn), build(nn)
    result = target.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    for key, value in source.state_dict().items():
        assert value.tolist() == target.state_dict()[key].tolist()
    with rl.no_grad():
        source[0].weight.zero_()
    assert target[0].weight.abs().sum().item() > 0


def test_every_difference_is_reported_in_torchs_words() -> None:
    torch = pytest.importorskip("torch")
    messages = []
    for library, tensors in ((nn, rl), (torch.nn, torch)):
        state = build(library).state_dict()
        del state["0.weight"], state["1.running_mean"]
        state["0.bias"] = tensors.zeros(5)
        state["2.more"] = tensors.zeros(1)
        with pytest.raises(RuntimeError) as caught:
            build(library).load_state_dict(state)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert (
        "Missing key(s) in state_dict" in messages[0] and "size mismatch for 0.bias" in messages[0]
    )


def test_without_strictness_differences_are_returned() -> None:
    state = build(nn).state_dict()
    del state["0.weight"]
    state["extra"] = rl.zeros(1)
    result = build(nn).load_state_dict(state, strict=False)
    assert result.missing_keys == ["0.weight"] and result.unexpected_keys == ["extra"]


def test_something_else_than_a_mapping_or_tensors_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Expected state_dict to be dict-like, got <class 'list'>"):
        nn.Linear(1, 1).load_state_dict([])
    with pytest.raises(RuntimeError, match=r"expected torch.Tensor or Tensor-like object"):
        nn.Linear(1, 1, bias=False).load_state_dict({"weight": [[1.0]]})


def test_assign_puts_the_given_tensors_in_place() -> None:
    layer = nn.Linear(2, 1)
    state = {"weight": rl.ones(1, 2, dtype=rl.float64), "bias": rl.zeros(1)}
    layer.load_state_dict(state, assign=True)
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.dtype == rl.float64
    state["weight"].fill_(3.0)
    assert layer.weight.tolist() == [[3.0, 3.0]]


def test_extra_state_is_saved_and_loaded() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def get_extra_state(self) -> Any:
            return self.count

        def set_extra_state(self, state: Any) -> None:
            self.count = state

    source = nn.Sequential(Counter())
    source[0].count = 5
    state = source.state_dict()
    assert state == {"0._extra_state": 5}
    target = nn.Sequential(Counter())
    target.load_state_dict(state)
    assert target[0].count == 5
    with pytest.raises(RuntimeError, match=r"Missing key"):
        target.load_state_dict({})
    with pytest.raises(RuntimeError, match=r"Unexpected key"):
        nn.Sequential(nn.Identity()).load_state_dict(state)


def test_hooks_run_around_saving_and_loading() -> None:
    layer = nn.Linear(1, 1)
    calls: list[str] = []
    layer.register_state_dict_pre_hook(lambda module, prefix, keep: calls.append("before saving"))
    layer.register_state_dict_post_hook(
        lambda module, state, prefix, metadata: calls.append("after saving")
    )
    layer.register_load_state_dict_pre_hook(lambda *args: calls.append("before loading"))
    handle = layer.register_load_state_dict_post_hook(
        lambda module, keys: calls.append("after loading")
    )
    layer.load_state_dict(layer.state_dict())
    handle.remove()
    layer.load_state_dict(layer.state_dict())
    assert calls[:4] == ["before saving", "after saving", "before loading", "after loading"]
    assert calls[4:] == ["before saving", "after saving", "before loading"]


def test_a_post_hook_may_clear_missing_names() -> None:
    layer = nn.Linear(1, 1)
    layer.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    layer.load_state_dict({})


def test_states_of_batch_norm_without_a_counter_still_load() -> None:
    norm = nn.BatchNorm1d(2)
    state = dict(norm.state_dict())
    del state["num_batches_tracked"]
    norm.load_state_dict(state)
    assert norm.num_batches_tracked.item() == 0


def test_instance_norm_names_statistics_that_it_does_not_track() -> None:
    norm = nn.InstanceNorm1d(2)
    state = {"running_mean": rl.zeros(2), "running_var": rl.ones(2)}
    with pytest.raises(RuntimeError, match=r"Unexpected running stats buffer"):
        norm.load_state_dict(state)
