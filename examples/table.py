"""Supervised learning on tables: linear models, trees, forests, SVM, and a network beside them.

    rushlight run examples/table.py [PICTURE.png]    (needs `pip install 'rushlight[sklearn]'`)

Two real tables that scikit-learn carries: a number to predict (how far diabetes progressed in a
year) and a class (whether a tumour is malignant).  `rushlight.sklearn` wraps the network, so that
it is one estimator among others: pipelines and cross-validation take it as it is.  The picture: the
scores as bars.
"""

import sys

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from rushlight import nn
from rushlight.progress import track
from rushlight.sklearn import Classifier, Regressor


class Network(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, outputs))

    def forward(self, x):
        return self.layers(x)


def compare(models, x, y, scoring, words):
    found = {}
    for name, model in track(models.items()):
        scores = cross_val_score(make_pipeline(StandardScaler(), model), x, y, scoring=scoring)
        print(f"{words} by {name}: {np.mean(scores):.4f}")
        found[name] = np.mean(scores)
    return {words: found}


def draw(results, path):
    from PIL import Image, ImageDraw  # noqa: PLC0415

    image = Image.new("RGB", (560, 26 * sum(len(found) + 2 for found in results.values())), "white")
    pen, top = ImageDraw.Draw(image), 8
    for words, found in results.items():
        pen.text((8, top), words, "black", font_size=16)
        for name, score in found.items():
            top += 26
            pen.text((8, top + 2), name, "#555555", font_size=14)
            pen.rectangle([190, top, 190 + int(300 * max(score, 0)), top + 20], "#d1492e")
            pen.text(
                (196 + int(300 * max(score, 0)), top + 2), f"{score:.3f}", "black", font_size=14
            )
        top += 52
    image.save(path)


def main():
    x, y = load_diabetes(return_X_y=True)
    network = Regressor(Network(10, 1), epochs=40, lr=5e-3, random_state=0)
    numbers = {
        "linear regression": LinearRegression(),
        "one tree": DecisionTreeRegressor(max_depth=3, random_state=0),
        "a forest": RandomForestRegressor(100, min_samples_leaf=5, random_state=0),
        "a support vector machine": SVR(C=0.5),
        "a network": network,
    }
    results = compare(numbers, x, (y - y.mean()) / y.std(), "r2", "share of the variance explained")

    x, y = load_breast_cancer(return_X_y=True)
    network = Classifier(Network(30, 2), epochs=20, lr=1e-2, random_state=0)
    classes = {
        "logistic regression": LogisticRegression(max_iter=1000),
        "one tree": DecisionTreeClassifier(random_state=0),
        "a forest": RandomForestClassifier(100, random_state=0),
        "a support vector machine": SVC(),
        "a network": network,
    }
    results |= compare(classes, x, y, "accuracy", "accuracy")
    if len(sys.argv) > 1:
        draw(results, sys.argv[1])


if __name__ == "__main__":
    main()
