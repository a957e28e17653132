"""A Module with fit and predict, by scikit-learn's rules.

In: a module, or a function that makes one for a number of features and of outputs, and how to train
it.  Out: `Classifier` and `Regressor`.  Level 12.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from rushlight import nn, optim
from rushlight.nn import functional as F
from rushlight.ops.generator import default_generator
from rushlight.random import fork_rng
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.interop import from_numpy


def _perceptron(features: int, outputs: int) -> nn.Module:
    """One hidden layer of 64, which fits most small tables."""
    return nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, outputs))


class _Network(BaseEstimator):
    """What both estimators share.

    module: a Module (a copy is trained), or a function (features, outputs) -> Module; None for a
        perceptron with one hidden layer.
    optimizer: a class of `rushlight.optim`.  lr: its learning rate.
    epochs, batch_size: how long, and by how many rows at once.
    standardize: whether features (and a regressor's targets) are brought to mean 0 and deviation 1
        by what `fit` sees.
    early_stopping: keep a tenth of the rows aside, stop after `patience` epochs without a better
        loss on them, and keep the best weights.
    random_state: seed of initial weights, shuffling and the rows aside; None draws one.
    """

    def __init__(
        self,
        module: Any = None,
        *,
        optimizer: type = optim.Adam,
        lr: float = 1e-2,
        epochs: int = 60,
        batch_size: int = 32,
        standardize: bool = True,
        early_stopping: bool = False,
        patience: int = 5,
        random_state: Any = None,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.patience = patience
        self.random_state = random_state

    # ---- training ----------------------------------------------------------------------------

    def _begin(self, X: np.ndarray, outputs: int) -> None:
        """Everything that is there before the first row is learned."""
        self._seeds = check_random_state(self.random_state)
        center, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        if self.standardize:
            center, scale = X.mean(axis=0), X.std(axis=0)
            scale[scale == 0] = 1.0
        self.center_, self.scale_ = center.astype(np.float32), scale.astype(np.float32)
        self.module_ = self._new_module(X.shape[1], outputs)
        self._steps = self.optimizer(self.module_.parameters(), lr=self.lr)
        self.loss_curve_: list[float] = []

    def _new_module(self, features: int, outputs: int) -> nn.Module:
        make: Callable[[int, int], nn.Module] = self.module or _perceptron
        seed = int(self._seeds.randint(2**31))
        with fork_rng():
            default_generator.manual_seed(seed)
            if isinstance(self.module, nn.Module):
                return copy.deepcopy(self.module)
            return make(features, outputs)

    def _learn(self, X: np.ndarray, targets: np.ndarray, epochs: int) -> None:
        rows = self._rows(X)
        aside = None
        if self.early_stopping and epochs > 1 and len(X) >= 10:
            order = self._seeds.permutation(len(X))
            kept, held = order[len(X) // 10 :], order[: len(X) // 10]
            aside = rows[held], from_numpy(targets[held])
            rows, targets = rows[kept], targets[kept]
        wanted = from_numpy(targets)
        best, best_state, waited = np.inf, None, 0
        for _ in range(epochs):
            self.module_.train()
            total = 0.0
            for chosen in self._batches(len(targets)):
                self._steps.zero_grad()
                loss = self._loss(self.module_(rows[chosen]), wanted[chosen])
                loss.backward()
                self._steps.step()
                total = total + loss.detach() * len(chosen)
            self.loss_curve_.append(float(total) / len(targets))
            if aside is None:
                continue
            with no_grad():
                self.module_.eval()
                found = self._loss(self.module_(aside[0]), aside[1]).item()
            if found < best:
                best, waited = found, 0
                best_state = copy.deepcopy(self.module_.state_dict())
            else:
                waited += 1
                if waited >= self.patience:
                    break
        if best_state is not None:
            self.module_.load_state_dict(best_state)

    def _batches(self, count: int):
        order = self._seeds.permutation(count)
        for start in range(0, count, self.batch_size):
            yield from_numpy(order[start : start + self.batch_size])

    def _rows(self, X: np.ndarray):
        return from_numpy(((X - self.center_) / self.scale_).astype(np.float32))

    def _loss(self, found, wanted):
        raise NotImplementedError

    # ---- what was learned --------------------------------------------------------------------

    def _outputs(self, X) -> np.ndarray:
        check_is_fitted(self, "module_")
        X = validate_data(self, X, reset=False, dtype=np.float64)
        with no_grad():
            self.module_.eval()
            return self.module_(self._rows(X)).numpy().astype(np.float64)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")


class Classifier(ClassifierMixin, _Network):
    """A network that tells classes apart, trained by cross-entropy.

    X: (rows, features), numbers.  y: (rows,), classes of any kind.  The module gives scores,
    (rows, classes).  Attributes after `fit`: classes_, module_, loss_curve_, n_features_in_.
    Raises: ValueError for input that scikit-learn refuses.
    """

    def fit(self, X, y) -> Classifier:
        """Learn from nothing; returns itself."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self._begin(X, len(self.classes_))
        self._learn(X, np.searchsorted(self.classes_, y), self.epochs)
        return self

    def partial_fit(self, X, y, classes=None) -> Classifier:
        """Go on learning, for one epoch; the first call needs all classes."""
        first = not hasattr(self, "module_")
        X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(y)
        if first:
            if classes is None:
                raise ValueError("partial_fit: classes must be passed on the first call")
            self.classes_ = np.unique(classes)
            self._begin(X, len(self.classes_))
        strange = np.setdiff1d(y, self.classes_)
        if len(strange):
            raise ValueError(f"partial_fit: y has classes {strange.tolist()} not seen at first")
        self._learn(X, np.searchsorted(self.classes_, y), 1)
        return self

    def predict_proba(self, X) -> np.ndarray:
        """(rows, classes): probabilities."""
        scores = self._outputs(X)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def predict(self, X) -> np.ndarray:
        """(rows,): the likeliest classes."""
        scores = self._outputs(X)
        return self.classes_[scores.argmax(axis=1)]

    def _loss(self, found, wanted):
        return F.cross_entropy(found, wanted)


class Regressor(RegressorMixin, _Network):
    """A network that predicts numbers, trained by mean squared error.

    X: (rows, features).  y: (rows,) or (rows, outputs), numbers.  The module gives (rows, outputs).
    Attributes after `fit`: module_, loss_curve_, n_features_in_.
    Raises: ValueError for input that scikit-learn refuses.
    """

    def fit(self, X, y) -> Regressor:
        """Learn from nothing; returns itself."""
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self._flat = y.ndim == 1
        targets = y.reshape(len(y), -1)
        self._begin(X, targets.shape[1])
        center, scale = np.zeros(targets.shape[1]), np.ones(targets.shape[1])
        if self.standardize:
            center, scale = targets.mean(axis=0), targets.std(axis=0)
            scale[scale == 0] = 1.0
        self.target_center_, self.target_scale_ = center, scale
        self._learn(X, ((targets - center) / scale).astype(np.float32), self.epochs)
        return self

    def partial_fit(self, X, y) -> Regressor:
        """Go on learning, for one epoch; scales stay those of the first call."""
        if not hasattr(self, "module_"):
            epochs, self.epochs = self.epochs, 1
            try:
                return self.fit(X, y)
            finally:
                self.epochs = epochs
        X, y = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, reset=False
        )
        targets = (y.reshape(len(y), -1) - self.target_center_) / self.target_scale_
        self._learn(X, targets.astype(np.float32), 1)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X) -> np.ndarray:
        """(rows,) or (rows, outputs), as `y` was."""
        found = self._outputs(X) * self.target_scale_ + self.target_center_
        return found[:, 0] if self._flat else found

    def _loss(self, found, wanted):
        return F.mse_loss(found, wanted)
