"""pytorch-metric-learning: losses, miners, samplers and the accuracy of neighbours."""

import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from pytorch_metric_learning.samplers import MPerClassSampler
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from tests.ecosystem.report import report

torch.manual_seed(0)
labels = torch.arange(32) % 4
x = torch.randn(32, 6) + torch.nn.functional.one_hot(labels, 6)
model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8))
kinds = {
    "triplet": losses.TripletMarginLoss(distance=distances.CosineSimilarity()),
    "contrastive": losses.ContrastiveLoss(),
    "circle": losses.CircleLoss(),
    "infonce": losses.NTXentLoss(temperature=0.1),
    "multi": losses.MultiSimilarityLoss(reducer=reducers.MeanReducer()),
    "arcface": losses.ArcFaceLoss(4, 8),
    "proxy": losses.ProxyAnchorLoss(4, 8),
    "supcon": losses.SupConLoss(),
    "lifted": losses.GeneralizedLiftedStructureLoss(),
}
values = {name: loss(model(x), labels) for name, loss in kinds.items()}
miner = miners.BatchHardMiner()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
curve = []
for _ in range(15):
    found = model(x)
    loss = kinds["multi"](found, labels, miner(found, labels))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    curve.append(loss.item())
with torch.no_grad():
    found = model(x)
search = CustomKNN(distances.LpDistance())
rule = AccuracyCalculator(include=("precision_at_1", "r_precision"), knn_func=search)
scores = rule.get_accuracy(found, labels, found, labels, True)
report(
    values=values,
    curve=curve,
    scores=scores,
    sampled=[labels[i] for i in list(MPerClassSampler(labels, 2, 8))[:8]].count(labels[0]),
)
