"""Whole modules that are saved here open in PyTorch, as modules of its own, and here again."""

from __future__ import annotations

import importlib
import inspect
import io

import numpy as np
import pytest

import rushlight as rl
from rushlight.serialization.class_names import torch_name

torch = pytest.importorskip("torch")


def _stack(m):
    nn = m.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding="same", bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.1),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 6), nn.GELU("tanh"), nn.LayerNorm(6),
        nn.Unflatten(1, (2, 3)), nn.PReLU(), nn.Dropout(0.5),
    )  # fmt: skip


def _hooked(m):
    layer = m.nn.Linear(5, 2)
    layer.register_load_state_dict_pre_hook(print)
    layer.register_forward_hook(ignore)
    return layer


def ignore(*arguments) -> None:
    """A hook that does nothing."""


def _pruned(m):
    layer = m.nn.Linear(5, 2)
    importlib.import_module(f"{m.__name__}.nn.utils.prune").l1_unstructured(layer, "weight", 0.4)
    return layer


# name: (what makes it, shapes of its inputs)
CASES = {
    "layers": (_stack, [(2, 3, 4, 4)]),
    "recurrent": (lambda m: m.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), [(5, 2, 3)]),
    "gru": (lambda m: m.nn.GRU(3, 4, batch_first=True), [(2, 5, 3)]),
    "cell": (lambda m: m.nn.GRUCell(3, 4), [(2, 3)]),
    "attention": (lambda m: m.nn.MultiheadAttention(4, 2), [(5, 2, 4)] * 3),
    "encoder": (
        lambda m: m.nn.TransformerEncoder(
            m.nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True), 2
        ),
        [(2, 5, 4)],
    ),
    "transformer": (lambda m: m.nn.Transformer(4, 2, 1, 1, 8), [(5, 2, 4), (3, 2, 4)]),
    "containers": (
        lambda m: m.nn.ModuleDict({"a": m.nn.ModuleList([m.nn.Embedding(3, 2)])}), None
    ),
    "parameters": (lambda m: m.nn.ParameterDict({"a": m.nn.Parameter(m.ones(2))}), None),
    "spectral": (lambda m: m.nn.utils.spectral_norm(m.nn.Linear(5, 2)), [(3, 5)]),
    "weight norm": (lambda m: m.nn.utils.weight_norm(m.nn.Linear(5, 2)), [(3, 5)]),
    "pruned": (_pruned, [(3, 5)]),
    "hooked": (_hooked, [(3, 5)]),
    "lazy": (lambda m: m.nn.LazyLinear(2), None),
}  # fmt: skip


def _saved(module) -> io.BytesIO:
    file = io.BytesIO()
    rl.save(module, file)
    file.seek(0)
    return file


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make, shapes", CASES.values(), ids=CASES.keys())
def test_a_module_saved_here_is_one_of_pytorch_there(make, shapes) -> None:
    rl.manual_seed(0)
    module = make(rl).eval()
    file = _saved(module)
    there = torch.load(file, weights_only=False)
    assert type(there) is type(make(torch))
    assert all(type(one).__module__.startswith("torch.") for one in there.modules())
    assert list(there.state_dict()) == list(module.state_dict())
    file.seek(0)
    again = rl.load(file, weights_only=False)
    assert type(again) is type(module) and repr(again) == repr(module)
    if shapes is None:
        return
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(shape).astype(np.float32) for shape in shapes]
    found = [
        one(*[m.tensor(a) for a in arrays])
        for m, one in ((rl, module), (torch, there), (rl, again))
    ]
    results = [one[0] if isinstance(one, tuple) else one for one in found]
    for other in results[1:]:
        np.testing.assert_allclose(
            results[0].detach().numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-5
        )


@pytest.mark.filterwarnings("ignore")
def test_optimizers_and_schedulers_saved_here_step_there() -> None:
    model = rl.nn.Linear(2, 1)
    optimizer = rl.optim.AdamW(model.parameters(), lr=0.1)
    model(rl.ones(1, 2)).sum().backward()
    optimizer.step()
    schedule = rl.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    there = torch.load(_saved([model, optimizer, schedule]), weights_only=False)
    assert type(there[1]) is torch.optim.AdamW
    assert type(there[2]) is torch.optim.lr_scheduler.CosineAnnealingLR
    assert there[1].param_groups[0]["params"][0] is there[0].weight
    there[1].step()
    there[2].step()


@pytest.mark.parametrize(
    "package",
    ["nn", "nn.utils.prune", "optim", "optim.lr_scheduler", "optim.swa_utils", "distributions",
     "utils.data"],
)  # fmt: skip
def test_the_names_written_are_those_of_pytorch(package) -> None:
    ours = importlib.import_module(f"rushlight.{package}")
    wrong = []
    for name in dir(ours):
        kind = getattr(ours, name)
        if name.startswith("_") or not inspect.isclass(kind):
            continue
        there = torch_name(kind.__module__, kind.__qualname__)
        if there is not None and not hasattr(importlib.import_module(there[0]), there[1]):
            wrong.append(there)
    assert wrong == []


def _completed(m, arrays) -> np.ndarray:
    """The second vector after loading a state that lacks it, as versions before it wrote."""
    layer = m.nn.utils.spectral_norm(m.nn.Linear(3, 4))
    assert layer.state_dict()._metadata[""]["spectral_norm"] == {"weight.version": 1}
    layer.load_state_dict({name: m.tensor(array) for name, array in arrays.items()})
    found = layer.weight_v.numpy().copy()
    m.nn.utils.remove_spectral_norm(layer)
    # PyTorch forgets to remove the second.
    assert not layer._state_dict_hooks
    assert m is torch or not layer._load_state_dict_pre_hooks
    return found


@pytest.mark.filterwarnings("ignore")
def test_a_state_of_spectral_norm_saved_without_its_second_vector_is_completed() -> None:
    layer = torch.nn.utils.spectral_norm(torch.nn.Linear(3, 4))
    layer(torch.ones(1, 3))
    state = {name: value.detach().numpy().copy() for name, value in layer.state_dict().items()}
    state["weight"] = layer.weight.detach().numpy().copy()
    del state["weight_v"]
    np.testing.assert_allclose(
        _completed(rl, state), _completed(torch, state), rtol=1e-3, atol=1e-4
    )


def test_record_functions_by_handle() -> None:
    for m in (rl, torch):
        steps = m.ops.profiler
        with m.profiler.profile(activities=[m.profiler.ProfilerActivity.CPU]) as seen:
            handle = steps._record_function_enter_new("stretch", None)
            steps._record_function_exit._RecordFunction(handle)
            old = steps._record_function_enter("older")
            steps._record_function_exit(old)
        assert {"stretch", "older"} <= {event.key for event in seen.key_averages()}
