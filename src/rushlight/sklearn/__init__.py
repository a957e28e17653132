"""Networks as scikit-learn estimators: `Classifier` and `Regressor`.

In: arrays, as scikit-learn gives them.  Out: estimators for its pipelines, searches and scores.
Needs scikit-learn (`pip install 'rushlight[sklearn]'`).  Level 12.
"""

from __future__ import annotations

import importlib

try:
    importlib.import_module("sklearn")
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "rushlight.sklearn needs scikit-learn: pip install 'rushlight[sklearn]'", name="sklearn"
    ) from error

from rushlight.sklearn.estimators import Classifier, Regressor

__all__ = ["Classifier", "Regressor"]
