"""Networks as scikit-learn estimators; where scikit-learn is not installed, what is said."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

if importlib.util.find_spec("sklearn") is None:

    def test_without_scikit_learn_one_line_says_what_to_install() -> None:
        command = [sys.executable, "-c", "import rushlight.sklearn"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1
        assert "pip install 'rushlight[sklearn]'" in done.stderr.splitlines()[-1]

else:
    from sklearn.datasets import load_diabetes, load_iris
    from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.estimator_checks import parametrize_with_checks

    from rushlight import nn
    from rushlight.sklearn import Classifier, Regressor

    @parametrize_with_checks([Classifier(epochs=30), Regressor(epochs=100)])
    def test_scikit_learns_own_checks(estimator, check) -> None:
        check(estimator)

    def test_classes_of_any_kind_are_told_apart() -> None:
        X, y = load_iris(return_X_y=True)
        names = np.array(["setosa", "versicolor", "virginica"])[y]
        train, test, known, wanted = train_test_split(X, names, random_state=0, stratify=y)
        model = Classifier(random_state=0).fit(train, known)
        assert model.score(test, wanted) > 0.9
        assert np.allclose(model.predict_proba(test).sum(axis=1), 1)
        assert model.loss_curve_[-1] < model.loss_curve_[0]

    def test_one_seed_gives_one_network_and_leaves_the_programs_numbers_alone() -> None:
        import rushlight

        X, y = load_iris(return_X_y=True)
        rushlight.manual_seed(5)
        first = Classifier(epochs=3, random_state=1).fit(X, y).predict_proba(X)
        here = rushlight.rand(1).item()
        rushlight.manual_seed(5)
        assert rushlight.rand(1).item() == here
        second = Classifier(epochs=3, random_state=1).fit(X, y).predict_proba(X)
        assert np.array_equal(first, second)

    def test_a_module_of_ones_own_in_a_pipeline_and_a_search() -> None:
        X, y = load_diabetes(return_X_y=True)
        network = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1))
        pipeline = make_pipeline(StandardScaler(), Regressor(network, random_state=0, epochs=20))
        assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.3
        search = GridSearchCV(Regressor(random_state=0, epochs=10), {"lr": [1e-4, 1e-2]}, cv=3)
        assert search.fit(X, y).best_params_ == {"lr": 1e-2}

    def test_early_stopping_ends_early_and_keeps_the_best() -> None:
        X, y = load_diabetes(return_X_y=True)
        model = Regressor(early_stopping=True, patience=3, epochs=500, random_state=0).fit(X, y)
        assert len(model.loss_curve_) < 500 and model.score(X, y) > 0.3

    def test_learning_goes_on_row_by_row() -> None:
        X, y = load_iris(return_X_y=True)
        model = Classifier(random_state=0)
        with pytest.raises(ValueError, match="classes must be passed"):
            model.partial_fit(X, y)
        for _ in range(30):
            model.partial_fit(X, y, classes=[0, 1, 2])
        assert model.score(X, y) > 0.9
