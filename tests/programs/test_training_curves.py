"""The same script, with the same seed, gives the same loss curve in PyTorch and here.

Initial values, shuffling and dropout come from the same stream of random numbers; what differs is
the order of roundings inside an operation, which fifty steps must not amplify beyond 1e-4.
"""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.datasets.digits import load_digits

torch = pytest.importorskip("torch")

STEPS = 50


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors on few cores: threads of the reference only get in the way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digits():
    """Images in 0 ... 1 and labels, as float32 and int64 arrays."""
    images, labels = load_digits()
    images = np.asarray(images, np.float32).reshape(-1, 1, 8, 8)
    return images / images.max(), np.asarray(labels, np.int64)


def multilayer_perceptron(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 48),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(48, 32),
        nn.GELU(),
        nn.LayerNorm(32),
        nn.Linear(32, 10),
    )


def convolutional_network(lib):
    nn = lib.nn
    return nn.Sequential(
        # No bias: normalisation makes its gradient pure rounding, which Adam blows up to full
        # steps.
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.Dropout2d(0.1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(48, 10),
    )


def sgd(lib, model):
    return lib.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)


def adam(lib, model):
    return lib.optim.Adam(model.parameters(), lr=3e-3)


def curve(lib, make_model, make_optimizer, workers=0):
    """The losses of the first STEPS steps, written as a user would write them."""
    data = lib.utils.data
    lib.manual_seed(1234)
    images, labels = digits()
    dataset = data.TensorDataset(lib.tensor(images), lib.tensor(labels))
    training, _ = data.random_split(dataset, [0.8, 0.2])
    loader = data.DataLoader(training, batch_size=64, shuffle=True, num_workers=workers)
    model = make_model(lib)
    optimizer = make_optimizer(lib, model)
    schedule = lib.optim.lr_scheduler.StepLR(optimizer, 10, 0.8)
    criterion = lib.nn.CrossEntropyLoss(label_smoothing=0.05)
    losses = []
    model.train()
    while len(losses) < STEPS:
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            lib.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) == STEPS:
                break
    model.eval()
    with lib.no_grad():
        logits = model(lib.tensor(images[:50]))
    return np.array(losses), logits.detach().numpy()


@pytest.mark.parametrize("make_optimizer", [sgd, adam])
@pytest.mark.parametrize("make_model", [multilayer_perceptron, convolutional_network])
def test_fifty_steps_follow_pytorchs_loss_curve(make_model, make_optimizer):
    expected, expected_logits = curve(torch, make_model, make_optimizer)
    losses, logits = curve(rushlight, make_model, make_optimizer)
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_do_not_change_the_curve():
    alone = curve(rushlight, multilayer_perceptron, sgd)[0]
    np.testing.assert_array_equal(curve(rushlight, multilayer_perceptron, sgd, workers=2)[0], alone)
