"""skorch: a network in scikit-learn's grid search."""

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier

from tests.ecosystem.report import report

features, labels = make_classification(200, 10, n_informative=5, random_state=0)
features, labels = features.astype(np.float32), labels.astype(np.int64)


class Network(torch.nn.Module):
    def __init__(self, width=10):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(10, width), torch.nn.ReLU(), torch.nn.Linear(width, 2)
        )

    def forward(self, x):
        return self.layers(x).softmax(-1)


torch.manual_seed(0)
net = NeuralNetClassifier(Network, max_epochs=5, lr=0.1, verbose=0, train_split=None)
search = GridSearchCV(net, {"lr": [0.02, 0.2], "module__width": [5, 10]}, cv=2, scoring="accuracy")
search.fit(features, labels)
torch.manual_seed(1)
one = NeuralNetClassifier(Network, max_epochs=10, lr=0.1, verbose=0).fit(features, labels)
report(
    scores=search.cv_results_["mean_test_score"],
    best=search.best_params_,
    losses=one.history[:, "train_loss"],
    valid=one.history[:, "valid_loss"],
    probabilities=one.predict_proba(features[:4]),
)
