"""Dynamic quantization of layers gives PyTorch's numbers; of linear ones, to the bit."""

import copy
import io

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import rushlight as rl
from rushlight.quantized.affine import parameters_of, tensors_of_parameters

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


def both(make):
    """A module with the same weights in both."""
    made = []
    for T in (rl, torch):
        T.manual_seed(0)
        made.append(make(T))
    return made


def perceptron(T):
    return T.nn.Sequential(T.nn.Linear(20, 30), T.nn.ReLU(), T.nn.Linear(30, 7, bias=False))


def _default(T, model):
    return T.ao.quantization.quantize_dynamic(model)


def _per_channel(T, model):
    Q = T.ao.quantization
    return Q.quantize_dynamic(model, {T.nn.Linear: Q.per_channel_dynamic_qconfig})


def _affine(T, model):
    Q = T.ao.quantization
    weight = Q.MinMaxObserver.with_args(dtype=T.qint8, qscheme=T.per_tensor_affine)
    qconfig = Q.QConfig(activation=Q.default_dynamic_quant_observer, weight=weight)
    return Q.quantize_dynamic(model, {T.nn.Linear: qconfig})


def _affine_per_channel(T, model):
    Q = T.ao.quantization
    weight = Q.PerChannelMinMaxObserver.with_args(dtype=T.qint8)
    qconfig = Q.QConfig(activation=Q.default_dynamic_quant_observer, weight=weight)
    return Q.quantize_dynamic(model, {T.nn.Linear: qconfig})


def _half(T, model):
    return T.ao.quantization.quantize_dynamic(model, {T.nn.Linear}, dtype=T.float16)


def _one_by_name(T, model):
    Q = T.ao.quantization
    return Q.quantize_dynamic(model, {"2": Q.default_dynamic_qconfig})


WAYS = [_default, _per_channel, _affine, _affine_per_channel, _one_by_name]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_linear_layers_have_pytorchs_bits(way):
    ours, theirs = (way(T, m) for T, m in zip((rl, torch), both(perceptron)))
    assert repr(ours) == repr(theirs)
    assert repr(ours.state_dict()) == repr(theirs.state_dict())
    rng = np.random.default_rng(0)
    exact = way is not _one_by_name  # a float32 product comes before
    for shape in ((5, 20), (1, 20), (2, 3, 20), (0, 20), (70, 20)):
        x = (rng.standard_normal(shape) * 3 + 1).astype(np.float32)
        found, expected = ours(rl.tensor(x)), theirs(torch.tensor(x))
        tolerance = 0.0 if exact else 0.02
        np.testing.assert_allclose(
            found.detach().numpy(), expected.detach().numpy(), rtol=0, atol=tolerance
        )


def test_larger_layers_have_pytorchs_bits():
    ours, theirs = (_default(T, m) for T, m in zip((rl, torch), both(
        lambda T: T.nn.Sequential(T.nn.Linear(700, 300))
    )))  # fmt: skip
    x = np.random.default_rng(1).standard_normal((40, 700)).astype(np.float32)
    np.testing.assert_array_equal(ours(rl.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy())


def test_weights_rounded_to_float16():
    ours, theirs = (_half(T, m) for T, m in zip((rl, torch), both(perceptron)))
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(2).standard_normal((5, 20)).astype(np.float32)
    np.testing.assert_allclose(
        ours(rl.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), atol=1e-6
    )


def test_the_model_is_copied_unless_told():
    model = perceptron(rl)
    made = _default(rl, model)
    assert type(model[0]) is rl.nn.Linear and type(made[0]) is not rl.nn.Linear
    assert not hasattr(made[0], "qconfig")
    rl.ao.quantization.quantize_dynamic(model, inplace=True)
    assert repr(model) == repr(made)
    alone = rl.ao.quantization.quantize_dynamic(rl.nn.Linear(2, 3))
    assert type(alone) is rl.nn.Linear


def test_state_goes_from_one_to_the_other_through_files():
    models = [_default(T, m) for T, m in zip((rl, torch), both(perceptron))]
    x = np.random.default_rng(3).standard_normal((5, 20)).astype(np.float32)
    expected = models[0](rl.tensor(x)).numpy()
    for writer, reader, source in ((rl, torch, models[0]), (torch, rl, models[1])):
        file = io.BytesIO()
        writer.save(source.state_dict(), file)
        file.seek(0)
        reader.manual_seed(5)
        other = _default(reader, perceptron(reader))
        assert (other(reader.tensor(x)).detach().numpy() != expected).any()
        other.load_state_dict(reader.load(file))
        np.testing.assert_array_equal(other(reader.tensor(x)).detach().numpy(), expected)
    twin = copy.deepcopy(models[0])
    np.testing.assert_array_equal(twin(rl.tensor(x)).numpy(), expected)


RECURRENT = {
    "two directions": (
        "LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}, (3, 7, 4)
    ),
    "lstm": ("LSTM", {}, (7, 3, 4)),
    "gru": ("GRU", {"num_layers": 2}, (7, 3, 4)),
    "gru in two directions": ("GRU", {"bidirectional": True}, (5, 2, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_follow_pytorch(name):
    kind, options, shape = RECURRENT[name]
    ours, theirs = (
        _default(T, m)[0]
        for T, m in zip(
            (rl, torch), both(lambda T: T.nn.Sequential(getattr(T.nn, kind)(4, 5, **options)))
        )
    )
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    outputs = []
    for T, model in ((rl, ours), (torch, theirs)):
        y, last = model(T.tensor(x))
        # The states of the first sequence are where the second begins.
        z, _ = model(T.tensor(x), last)
        outputs.append([y, z, *(last if kind == "LSTM" else [last])])
    for found, expected in zip(*outputs):
        # tanh and sigmoid differ in their last digit, which a code of the state can follow.
        np.testing.assert_allclose(
            found.detach().numpy(), expected.detach().numpy(), atol=2e-6, rtol=0
        )
    other = _default(rl, rl.nn.Sequential(getattr(rl.nn, kind)(4, 5, **options)))[0]
    other.load_state_dict(ours.state_dict())
    np.testing.assert_array_equal(other(rl.tensor(x))[0].numpy(), outputs[0][0].numpy())


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cells_follow_pytorch(kind):
    ours, theirs = (
        _default(T, m)[0]
        for T, m in zip((rl, torch), both(lambda T: T.nn.Sequential(getattr(T.nn, kind)(4, 5))))
    )
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(5).standard_normal((3, 4)).astype(np.float32)
    found, expected = ours(rl.tensor(x)), theirs(torch.tensor(x))
    if kind == "LSTMCell":
        found, expected = found[0], expected[0]
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-7, rtol=0)


def test_unknown_dtypes_are_refused():
    for T in (rl, torch):
        with pytest.raises(ValueError, match="Don't know how to quantize"):
            T.ao.quantization.quantize_dynamic(T.nn.Sequential(T.nn.Linear(2, 3)), dtype=T.qint32)
    with pytest.raises(RuntimeError, match="expected a float32 input"):
        _default(rl, perceptron(rl))(rl.ones(2, 20).double())
    with pytest.raises(RuntimeError, match="the last axis must have 20 elements"):
        _default(rl, perceptron(rl))(rl.ones(2, 21))


def test_products_of_a_quantized_layer_are_machine_code(executor):
    if executor == "reference":
        pytest.skip("the reference executor has no machine code")
    model = _default(rl, perceptron(rl))
    before = rl.stats()["fallbacks"]
    model(rl.randn(64, 20)).sum().item()
    assert rl.stats()["fallbacks"] == before


def test_layers_are_quantized_without_a_read():
    model = _default(rl, perceptron(rl))
    x = rl.randn(4, 20)
    model(x).sum().item()
    before = rl.stats()["flushes"]
    model(x).sum().item()
    assert rl.stats()["flushes"] == before + 1


def test_any_number_of_rows_has_pytorchs_bits():
    ours, theirs = (_default(T, m) for T, m in zip((rl, torch), both(
        lambda T: T.nn.Sequential(T.nn.Linear(65, 33))
    )))  # fmt: skip
    rng = np.random.default_rng(3)
    for count in (1, 2, 4, 8, 16, 17, 64, 3, 15, 33):
        for _ in range(3):
            x = rng.standard_normal((count, 65)).astype(np.float32)
            expected = theirs(torch.tensor(x)).numpy()
            np.testing.assert_array_equal(ours(rl.tensor(x)).numpy(), expected)


def test_scales_chosen_on_the_tape_are_those_chosen_from_numbers():
    rng = np.random.default_rng(4)
    some = rng.standard_normal(50).astype(np.float32)
    signed = [some, some * np.float32(1e-6), some * np.float32(1e-44), some * np.float32(1e30)]
    edges = [np.zeros(3, np.float32), np.float32([0, 1]), np.float32([-3e38, 3e38])]
    for x in [*signed, *[np.abs(x) for x in signed], *[-np.abs(x) for x in signed], *edges]:
        scale, zero_point = tensors_of_parameters(rl.tensor(x), 0, 127)
        expected = torch._choose_qparams_per_tensor(torch.tensor(x), True)
        assert (scale.item(), zero_point.item()) == expected
        assert parameters_of(rl.tensor(x), 0, 127) == expected


def test_a_nan_is_not_hidden():
    x = np.float32([[1.0, float("nan")] * 10, [1.0] * 20])
    assert _default(rl, perceptron(rl))(rl.tensor(x)).isnan().all().item()
