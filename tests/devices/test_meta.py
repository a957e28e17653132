"""The meta device: shapes and dtypes without data, and the default device as a context."""

from __future__ import annotations

import copy
import io
import pickle
import threading
import warnings

import pytest

import rushlight

reference = pytest.importorskip("torch")


def facts(found):
    if isinstance(found, (tuple, list)):
        return [facts(x) for x in found]
    if isinstance(found, (reference.Tensor, rushlight.Tensor)):
        return [str(found.device), str(found.dtype), list(found.shape), found.requires_grad]
    return str(found)


def check(run) -> None:
    assert facts(run(rushlight)) == facts(run(reference))


def empty(T, *shape, **keywords):
    return T.empty(shape, device="meta", **keywords)


OPERATIONS = {
    "arithmetic": lambda T: (empty(T, 3, 1) + 1) * empty(T, 4, dtype=T.float64),
    "product beyond memory": lambda T: empty(T, 10**6, 10**6) @ empty(T, 10**6, 10),
    "views": lambda T: [empty(T, 4, 6).t()[1:3].reshape(-1), *empty(T, 4).split(3)],
    "comparison": lambda T: empty(T, 3) > 1,
    "reduction": lambda T: [empty(T, 3, 4).sum(1), empty(T, 3, 4).max(0).indices],
    "in place": lambda T: empty(T, 3).add_(1).fill_(2).uniform_().normal_().zero_(),
    "copied into": lambda T: empty(T, 3).copy_(T.ones(3)),
    "convolution": lambda T: T.nn.functional.conv2d(empty(T, 1, 2, 8, 8), empty(T, 3, 2, 3, 3)),
    "like": lambda T: [
        T.zeros_like(empty(T, 2)),
        T.rand_like(empty(T, 2)),
        empty(T, 2).new_ones(3),
    ],
    "like elsewhere": lambda T: T.ones_like(empty(T, 2), device="cpu"),
    "moved": lambda T: [T.ones(3).to("meta"), T.ones(3, requires_grad=True).to("meta")],
    "conversion": lambda T: empty(T, 3).half().to(T.int64),
    "clone": lambda T: [empty(T, 3).clone(), empty(T, 3).detach(), empty(T, 3).contiguous()],
}


@pytest.mark.parametrize("run", OPERATIONS.values(), ids=OPERATIONS)
def test_operations_infer_shape_and_dtype(run):
    check(run)
    rushlight.synchronize()
    check(run)  # the second time along the known path


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "rand", "randn"])
def test_creating_functions_make_none_of_it(name):
    check(lambda T: getattr(T, name)(10**5, 10**6, device="meta"))


def test_other_creating_functions():
    check(lambda T: [T.full((2,), 3, device="meta"), T.arange(5, device="meta")])
    check(lambda T: [T.tensor([1, 2], device="meta"), T.as_tensor([1.0], device="meta")])
    check(lambda T: [T.eye(3, device="meta"), T.linspace(0, 1, 4, device="meta")])
    check(lambda T: [T.randint(0, 5, (3,), device="meta"), T.randperm(3, device="meta")])


def test_nothing_is_drawn():
    rushlight.manual_seed(0)
    rushlight.rand(3, device="meta")
    rushlight.nn.Linear(3, 4, device="meta")
    found = rushlight.rand(1)
    rushlight.manual_seed(0)
    assert rushlight.equal(found, rushlight.rand(1))


READS = {
    "item": (RuntimeError, lambda T: empty(T).item()),
    "bool": (RuntimeError, lambda T: bool(empty(T) > 0)),
    "tolist": (NotImplementedError, lambda T: empty(T, 2).tolist()),
    "numpy": (TypeError, lambda T: empty(T, 2).numpy()),
    "cpu": (NotImplementedError, lambda T: (empty(T, 2) + 1).cpu()),
    "to": (NotImplementedError, lambda T: empty(T, 2).to("cpu")),
    "copy": (NotImplementedError, lambda T: T.ones(3).copy_(empty(T, 3))),
    "nonzero": (NotImplementedError, lambda T: empty(T, 3).nonzero()),
    "module": (NotImplementedError, lambda T: T.nn.Linear(2, 2, device="meta").to("cpu")),
}


@pytest.mark.parametrize("error, run", READS.values(), ids=READS)
def test_reading_raises_as_in_pytorch(error, run):
    for T in (rushlight, reference):
        with pytest.raises(error):
            run(T)


def test_it_prints_as_in_pytorch():
    for run in (
        lambda T: empty(T, 2, 3),
        lambda T: empty(T, 2, dtype=T.int32),
        lambda T: empty(T, 2, requires_grad=True) * 2,
        lambda T: T.nn.Parameter(empty(T, 2)),
    ):
        assert repr(run(rushlight)) == repr(run(reference))


def test_values_beside_it_are_computed():
    x = rushlight.ones(3)
    kept = x * 2
    lost = empty(rushlight, 3) * 2 + x
    assert kept.tolist() == [2, 2, 2]
    assert (kept + 1).tolist() == [3, 3, 3]
    assert lost.is_meta
    assert (lost + 1).shape == (3,)


def test_gradients_are_on_it_too():
    def run(T):
        x = empty(T, 3, 4, requires_grad=True)
        (x.exp() * 2).sum().backward()
        layer = T.nn.Linear(3, 4, device="meta")
        layer(empty(T, 2, 3)).sum().backward()
        optimizer = T.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
        optimizer.step()
        return x.grad, layer.weight.grad, layer.weight

    check(run)


LAYERS = {
    "mlp": lambda nn: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.ReLU()),
    "convolutions": lambda nn: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 3, 2)),
    "recurrent": lambda nn: nn.LSTM(2, 3),
    "transformer": lambda nn: nn.TransformerEncoderLayer(8, 2),
    "embedding": lambda nn: nn.Sequential(nn.Embedding(5, 6, padding_idx=1), nn.LayerNorm(6)),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_model_is_built_without_memory_and_filled_later(make):
    with rushlight.device("meta"):
        model = make(rushlight.nn)
    assert {x.device.type for x in [*model.parameters(), *model.buffers()]} == {"meta"}
    rushlight.manual_seed(1)
    filled = make(rushlight.nn)
    model.load_state_dict(filled.state_dict(), assign=True)
    assert {x.device.type for x in [*model.parameters(), *model.buffers()]} == {"cpu"}
    for found, expected in zip(model.parameters(), filled.parameters(), strict=True):
        assert isinstance(found, rushlight.nn.Parameter)
        assert found.requires_grad
        assert rushlight.equal(found, expected)


def test_to_empty_gives_memory_and_loading_without_assign_warns():
    layer = rushlight.nn.Linear(3, 4, device="meta")
    with pytest.warns(UserWarning, match="assign=True"):
        layer.load_state_dict(rushlight.nn.Linear(3, 4).state_dict())
    assert layer.weight.is_meta
    layer.to_empty(device="cpu").reset_parameters()
    assert layer.weight.abs().sum() > 0
    assert layer.to("meta").weight.is_meta


def test_the_default_device_is_a_context_and_a_setting():
    def run(T):
        found = [T.get_default_device()]
        with T.device("meta"):
            found += [T.ones(1), T.get_default_device(), T.ones(1, device="cpu")]
            with T.device("cpu"):
                found.append(T.rand(1))
            found.append(T.tensor([1]))
        T.set_default_device("meta")
        found += [T.zeros(1), T.get_default_device()]
        T.set_default_device(None)
        return [*found, T.zeros(1), T.get_default_device()]

    check(run)
    with pytest.raises(ValueError, match="inside"), rushlight.device("meta"):
        raise ValueError("inside")
    assert not rushlight.ones(1).is_meta


def test_other_threads_keep_their_default():
    seen = []
    with rushlight.device("meta"):
        thread = threading.Thread(target=lambda: seen.append(rushlight.ones(1).device.type))
        thread.start()
        thread.join()
    assert seen == ["cpu"]


def test_copies_and_pickles_keep_it():
    layer = rushlight.nn.Linear(3, 4, device="meta")
    assert copy.deepcopy(layer).weight.is_meta
    assert pickle.loads(pickle.dumps(layer)).weight.shape == (4, 3)
    for writer, reader in ((rushlight, reference), (reference, rushlight)):
        stream = io.BytesIO()
        writer.save(writer.nn.Linear(3, 4, device="meta").state_dict(), stream)
        stream.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert reader.load(stream)["weight"].is_meta
