"""fastai: a Learner with its own loaders, one cycle, and predictions."""

import fastai.callback.schedule  # noqa: F401 - adds fit_one_cycle
import torch
from fastai.basics import Adam, DataLoaders, Learner, MSELossFlat, mae
from fastai.data.load import DataLoader
from torch.utils.data import TensorDataset

from tests.ecosystem.report import report

torch.manual_seed(0)
x = torch.randn(256, 8)
y = x @ torch.randn(8, 1) + 0.1 * torch.randn(256, 1)
loaders = DataLoaders(
    DataLoader(TensorDataset(x[:200], y[:200]), bs=32, shuffle=False),
    DataLoader(TensorDataset(x[200:], y[200:]), bs=32),
)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
learner = Learner(loaders, model, loss_func=MSELossFlat(), opt_func=Adam, metrics=[mae])
with learner.no_bar(), learner.no_logging():
    learner.fit_one_cycle(3, 1e-2)
    scores = [float(score) for score in learner.validate()]
    predictions, _ = learner.get_preds()
report(scores=scores, predictions=predictions)
